"""Centres against means of neighbours, with particles of one view whose poses and shifts are known by formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoalign.classification.features import prepare_features
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.settings import SearchSettings
from cryoalign.classification.template_centres import centre_by_templates
from cryoalign.core.poses import rotate_points, wrap_degrees
from helpers.blobs import random_blobs

N, BOX, NEIGHBOURS = 300, 32, 40


@pytest.fixture(scope="module")
def family():
    """Return noisy images of one particle, plain and mirrored, true lists, and what would centre each."""
    rng = np.random.default_rng(61)
    particle = random_blobs(rng, 8.0, width=(1.7, 2.5))
    psi, flip, d = rng.uniform(-180, 180, N), rng.random(N) < 0.5, rng.normal(0, 0.7, (N, 2))
    images = particle.images(BOX, psi=psi, dx=d[:, 0], dy=d[:, 1], mirror=flip)
    images = (images + 0.4 * rng.standard_normal(images.shape)) / 0.4
    index = np.array([rng.permutation(np.delete(np.arange(N), i))[:NEIGHBOURS] for i in range(N)], np.int32)
    angle = np.where(flip[:, None], -1, 1) * (psi[index] - psi[:, None])
    lists = NeighbourLists(
        index, np.zeros(index.shape, np.float32), wrap_degrees(angle).astype(np.float32), flip[:, None] ^ flip[index],
        np.zeros((*index.shape, 2), np.float32),
    )  # fmt: skip
    centre = np.where(flip[:, None], d * [-1, 1], d)
    return images.astype(np.float32), lists, centre, psi, flip


def left_over(found, family):
    """Rms of either coordinate of what is left of the shifts, less one shift of the particle."""
    _, _, centre, psi, flip = family
    error = found - centre
    x, y = rotate_points(psi, np.where(flip, -1, 1) * error[:, 0], error[:, 1])
    return float(np.sqrt((np.var(x) + np.var(y)) / 2))


def test_images_come_onto_their_neighbours(family):
    images, lists, centre, _, _ = family
    step, spread = centre_by_templates(prepare_features(images, SearchSettings()), lists, 0.7)
    again, _ = centre_by_templates(prepare_features(images, SearchSettings(), step), lists, 0.7)
    assert left_over(np.zeros((N, 2)), family) > 0.65
    assert left_over(step, family) < 0.4
    assert left_over(step + again, family) < 0.25
    assert spread == pytest.approx(centre.std(), rel=0.2)


def test_a_strong_prior_holds_images_back(family):
    features = prepare_features(family[0], SearchSettings())
    free, _ = centre_by_templates(features, family[1], 0.7)
    held, spread = centre_by_templates(features, family[1], 0.02)
    assert np.abs(held).max() < 0.1 * np.abs(free).max()
    assert spread < 0.05


def test_images_without_neighbours_stay_and_threads_change_nothing(family):
    images, lists, _, _, _ = family
    features = prepare_features(images, SearchSettings())
    lonely = lists.index.copy()
    lonely[7] = -1
    lists = NeighbourLists(lonely, lists.score, lists.angle_deg, lists.mirror, lists.shift_px)
    moved, spread = centre_by_templates(features, lists, 0.7)
    again, same = centre_by_templates(replace(features, threads=3), lists, 0.7)
    assert not moved[7].any() and np.abs(moved[8]).max() > 0
    assert np.array_equal(moved, again) and spread == same
