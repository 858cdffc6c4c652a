"""Centres by the round mean: shifts of a round particle are found, and images of one view agree about theirs."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.centring import centre_by_round_mean
from cryoalign.core.poses import rotate_points
from helpers.blobs import Blobs, random_blobs


def displaced(particle, box, n, sd_px, noise, seed):
    rng = np.random.default_rng(seed)
    psi, d = rng.uniform(-180, 180, n), rng.normal(0, sd_px, (n, 2))
    images = particle.images(box, psi=psi, dx=d[:, 0], dy=d[:, 1])
    return (images + noise * rng.standard_normal(images.shape)).astype(np.float32), psi, d


@pytest.mark.parametrize("box", [32, 33])
def test_a_round_particle_comes_to_the_centre(box):
    round_particle = Blobs(*(np.array([v]) for v in (0.0, 0.0, 3.5, 3.0)))
    images, _, d = displaced(round_particle, box, 200, 1.0, 0.5, 51)
    found = centre_by_round_mean(images, 1.0)
    assert found.shape == (200, 2)
    # Images are displaced by -d; the noise allows about sd / (height sqrt(pi)).
    assert np.sqrt(np.mean((found - d) ** 2)) < 0.2
    assert np.abs((found - d).mean(axis=0)).max() < 0.05


def test_images_of_one_view_share_a_centre():
    particle = random_blobs(np.random.default_rng(52), 8.0, width=(1.7, 2.5))
    images, psi, d = displaced(particle, 32, 600, 1.0, 1.0, 53)
    left = centre_by_round_mean(images, 1.0) - d
    # In the particle's own frame what is left is one point.
    x, y = rotate_points(psi, left[:, 0], left[:, 1])
    assert max(x.std(), y.std()) < 0.4
    assert np.hypot(x - x.mean(), y - y.mean()).mean() < 0.5 * np.hypot(*d.T).mean()


def test_the_prior_holds_noise_back_and_threads_change_nothing():
    noise = np.random.default_rng(54).standard_normal((1100, 32, 32)).astype(np.float32)
    found = centre_by_round_mean(noise, 0.5)
    assert found.std() < 0.7
    assert np.array_equal(found, centre_by_round_mean(noise, 0.5, threads=4))
