"""Images that lie off the middle of their box: found first, then masked, then compared."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.masks import centre_offsets, soft_disc
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.sliced.centring import centre_of_density, masked_about
from cryoalign.metrics.sliced.wiener_split import known_of_stack
from helpers.blobs import random_blobs, random_poses


def centre_of_mass(blobs):
    """Weigh the blobs: a Gaussian's mass is 2 pi h w^2."""
    mass = blobs.height * blobs.width**2
    return np.array([(mass * blobs.x).sum(), (mass * blobs.y).sum()]) / mass.sum()


@pytest.mark.parametrize("box", [64, 65])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (-10.0, 5.0), (7.3, 9.6)])
def test_the_centre_is_that_of_the_formula(box, shift):
    blobs = random_blobs(np.random.default_rng(box), 14)
    truth = centre_of_mass(blobs) - shift
    image = blobs.image(box, dx=shift[0], dy=shift[1]) + 3.0
    np.testing.assert_allclose(centre_of_density(image.astype(np.float32), 24.0, 5.0), truth, atol=0.02)


def test_the_mask_follows_the_centre():
    rng = np.random.default_rng(1)
    image = rng.random((48, 48)).astype(np.float32)
    x, y = centre_offsets(48)
    still, moved = masked_about(image, (0.0, 0.0), 15.0, 5.0)
    level = image[np.hypot(x, y) > 15.0].mean()
    np.testing.assert_allclose(still, (image - level) * soft_disc(48, 30.0, 5.0), atol=1e-6)
    assert moved == (0, 0)
    # About (3.4, -2.6): the disc lies .4 off the pixel that comes to the middle.
    away, moved = masked_about(image, (3.4, -2.6), 15.0, 5.0)
    assert moved == (3, -3)
    distance = np.hypot(x - 3.4, y + 2.6)
    disc = 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - 15.0) / 5.0, 0, 1))
    truth = (image - image[distance > 15.0].mean()) * disc
    np.testing.assert_allclose(away[4:-4, 4:-4], np.roll(truth, (3, -3), (0, 1))[4:-4, 4:-4], atol=1e-6)


def test_what_is_cut_by_the_box_or_empty_has_a_centre():
    for image in (np.zeros((32, 32)), -np.ones((32, 32)), np.eye(32)):
        pixels = image.astype(np.float32)
        centre = centre_of_density(pixels, 16.0, 5.0)
        assert np.isfinite(centre).all() and np.hypot(*centre) < 32
        assert np.isfinite(masked_about(pixels, centre, 16.0, 5.0)[0]).all()
    assert centre_of_density(np.zeros((32, 32), np.float32), 12.0, 5.0) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["sw", "sw1", "rfsw"])
def test_particles_far_off_the_middle_are_laid_onto_each_other(name):
    """A mask about the box would cut them: this pair was once 2 px apart."""
    kind, known = measure(name), Preparation(24.0)
    for seed in range(6):
        blobs = random_blobs(np.random.default_rng(seed), 16)
        one, other = (
            kind.prepare(blobs.images(64, *pose).astype(np.float32), known) for pose in ((0, 0, 0), (70, 10.0, -5.0))
        )
        found = kind.search(one, other, SearchLimits(12.0))
        assert abs(found.poses.psi[0] - 70) < 0.5
        assert np.hypot(found.poses.dx - 10.0, found.poses.dy + 5.0)[0] < 0.05
        # The value at a pose says the same.
        value = kind.curve(one, other, found.poses.psi, found.poses)[0]
        assert value == pytest.approx(found.score[0], abs=0.05)


def test_noise_does_not_drag_the_centre_to_the_middle():
    rng, box, n = np.random.default_rng(3), 64, 40
    blobs = random_blobs(rng, 12)
    _, dx, dy = random_poses(rng, n, 11.0)
    clean = blobs.images(box, 0.0, dx, dy)
    variance = clean.var(axis=(1, 2)).mean() / 0.3
    images = (clean + np.sqrt(variance) * rng.normal(size=clean.shape)).astype(np.float32)
    known = known_of_stack(images, Preparation(18.0, np.full(33, variance)))
    centre = measure("rfsw").prepare(images, known).centre
    off = centre - (centre_of_mass(blobs) - np.stack([dx, dy], axis=-1))
    assert np.median(np.hypot(*off.T)) < 1.0
    # Nor towards the middle on average: what is left does not go with the shift.
    drag = (off * np.stack([dx, dy], axis=-1)).sum() / (dx**2 + dy**2).sum()
    assert abs(drag) < 0.05
