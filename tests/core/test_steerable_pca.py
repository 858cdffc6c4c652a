"""Steerable PCA: what was put into noise is found again, noise is not, and mirrors change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.steerable.basis import multiply_pixels, plan_basis, shifted_images
from cryoalign.core.steerable.pca import (
    MIN_COMPONENTS,
    all_components,
    fit_steerable_pca,
    moments,
    noise_edge,
    pixel_matrix,
    signal_variance,
)
from helpers.blobs import random_blobs
from helpers.steerable import back, mirrored, projected

FREQUENCY = np.repeat(np.arange(12), np.arange(14, 2, -1))


def white(n, frequency, seed):
    rng = np.random.default_rng(seed)
    a = (rng.standard_normal((n, len(frequency))) + 1j * rng.standard_normal((n, len(frequency)))) / np.sqrt(2)
    return np.where(frequency == 0, np.sqrt(2) * a.real, a).astype(np.complex64)


def with_signal(n, variance, seed):
    """Noise with one known direction of known variance in each frequency of a dict."""
    rng = np.random.default_rng(seed)
    a, directions = white(n, FREQUENCY, seed + 1), {}
    for k, v in variance.items():
        at = np.flatnonzero(k == FREQUENCY)
        direction = rng.standard_normal(len(at))
        direction /= np.linalg.norm(direction)
        amplitude = rng.standard_normal(n) + 1j * rng.standard_normal(n) * (k > 0)
        a[:, at] += np.sqrt(v / (2 if k else 1)) * amplitude[:, None] * direction
        directions[k] = direction
    return a, directions


@pytest.mark.parametrize("n", [500, 3000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_has_no_component_and_a_handful_is_kept_all_the_same(n, seed):
    pca = fit_steerable_pca([moments(white(n, FREQUENCY, seed), FREQUENCY)], FREQUENCY)
    assert pca.n_above_noise == 0
    assert len(pca.frequency) == MIN_COMPONENTS
    assert (pca.eigenvalue > 0).all() and pca.eigenvalue.max() < 4 * np.sqrt(14 / n)


def test_components_and_variances_are_found_again():
    variance = {0: 3.0, 2: 1.0, 3: 0.4, 7: 0.2}
    a, directions = with_signal(4000, variance, 5)
    pca = fit_steerable_pca([moments(a, FREQUENCY)], FREQUENCY)
    assert pca.n_above_noise == len(variance)
    assert (np.diff(pca.frequency) >= 0).all()
    for k, v in variance.items():
        best = np.flatnonzero(pca.frequency == k)[0]
        # A variance v seen through noise: sampling error of v + 1.
        assert abs(pca.eigenvalue[best] - v) < 4 * (1 + v) * np.sqrt(2 / 4000)
        assert abs(pca.vectors[k == FREQUENCY, best] @ directions[k]) > 1 - 20 * (1 + v) / v**2 / 4000
        assert not pca.vectors[k != FREQUENCY, best].any()


def test_the_variance_is_not_what_the_sample_says():
    # With few images the sample eigenvalue is far too large; the spiked model takes that off.
    a, _ = with_signal(120, {1: 1.0}, 8)
    at = FREQUENCY == 1
    sample = np.linalg.eigvalsh(moments(a, FREQUENCY).second[1] / 120)[-1]
    assert signal_variance(np.array([sample]), int(at.sum()), 240)[0] < sample - 1 - 0.05
    found = signal_variance(np.array([(1 + 0.5) * (1 + 0.1 / 0.5), 0.9]), 10, 100)
    assert np.allclose(found, [0.5, np.sqrt(0.1)])


def test_noise_rarely_passes_the_edge():
    rng = np.random.default_rng(9)
    size, samples, above = 12, 600, 0
    for _ in range(300):
        x = rng.standard_normal((samples, size))
        above += np.linalg.eigvalsh(x.T @ x / samples)[-1] > noise_edge(size, samples)
    assert above <= 3
    assert noise_edge(size, samples) < (1 + np.sqrt(size / samples)) ** 2 + 0.12


def test_mirrors_change_not_a_bit():
    a, _ = with_signal(700, {0: 2.0, 1: 1.0, 4: 0.7}, 12)
    plain, flipped = (fit_steerable_pca([moments(x, FREQUENCY)], FREQUENCY) for x in (a, mirrored(a, FREQUENCY)))
    assert np.array_equal(plain.vectors, flipped.vectors) and np.array_equal(plain.mean, flipped.mean)
    assert np.array_equal(plain.eigenvalue, flipped.eigenvalue)


def test_moments_of_parts_add_up():
    a, _ = with_signal(900, {0: 2.0, 3: 1.0}, 13)
    parts = fit_steerable_pca((moments(x, FREQUENCY) for x in (a[:512], a[512:])), FREQUENCY)
    whole = fit_steerable_pca([moments(a, FREQUENCY)], FREQUENCY)
    assert np.allclose(parts.eigenvalue, whole.eigenvalue, rtol=1e-4)
    assert np.abs(parts.mean - whole.mean).max() < 1e-5


def test_the_mean_lies_in_frequency_0_and_is_no_component():
    a = white(2000, FREQUENCY, 14)
    a[:, 3] += 5.0
    pca = fit_steerable_pca([moments(a, FREQUENCY)], FREQUENCY)
    assert pca.n_above_noise == 0
    assert abs(pca.mean[3] - 5.0) < 0.1 and not pca.mean[FREQUENCY > 0].any()
    assert np.abs(projected(pca, a)[:, pca.frequency == 0].mean(axis=0)).max(initial=0) < 1e-4


def test_projecting_back_and_forth():
    a, _ = with_signal(1000, {0: 2.0, 1: 1.0, 4: 0.7}, 15)
    pca = fit_steerable_pca([moments(a, FREQUENCY)], FREQUENCY)
    components = projected(pca, a)
    assert components.dtype == np.complex64
    assert np.abs(projected(pca, back(pca, components)) - components).max() < 1e-4
    every = all_components([moments(a, FREQUENCY)], FREQUENCY)
    assert len(every.frequency) == len(FREQUENCY)
    assert np.abs(back(every, projected(every, a)) - a).max() < 1e-4


def test_at_most_so_many_and_those_with_the_most_signal():
    a, _ = with_signal(3000, {0: 3.0, 2: 1.0, 3: 0.4, 7: 0.2}, 16)
    pca = fit_steerable_pca([moments(a, FREQUENCY)], FREQUENCY, max_components=2)
    assert pca.frequency.tolist() == [0, 2] and pca.n_above_noise == 4


@pytest.mark.parametrize("box", [32, 33])
def test_one_product_from_pixels_of_shifted_copies(box):
    rng = np.random.default_rng(17)
    clean = random_blobs(rng, 0.25 * box, width=(1.7, 2.5)).images(box, psi=rng.uniform(-180, 180, 60))
    images = (2.0 * clean + rng.standard_normal(clean.shape)).astype(np.float32)
    basis = plan_basis(box)
    pca = fit_steerable_pca([moments(basis.expand(images), basis.frequency)], basis.frequency)
    for shift in ((0.0, 0.0), (1.4, -0.6)):
        found = multiply_pixels(images, pixel_matrix(basis, pca, shift)) - pca.mean_component
        assert np.abs(found - projected(pca, basis.expand(shifted_images(images, shift)))).max() < 1e-4


def test_one_image_is_too_few():
    with pytest.raises(ValueError, match="two images at least, not 1"):
        fit_steerable_pca([moments(white(1, FREQUENCY, 1), FREQUENCY)], FREQUENCY)
