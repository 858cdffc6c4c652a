"""Fourier ring correlation, its noise curve, and the resolution read from it."""

import numpy as np
import pytest

from cryoalign.averaging.frc import (
    class_frcs,
    mask_fraction,
    noise_curve,
    pool_rings,
    resolution_at,
    ring_products,
)
from cryoalign.core.filters import ring_counts
from cryoalign.core.masks import soft_disc

BOX = 64


def noise(n, box=BOX, seed=21):
    return np.random.default_rng(seed).standard_normal((n, box, box))


@pytest.mark.parametrize("box", [32, 33])
def test_it_is_the_sum_over_the_full_plane(box):
    a, b = noise(2, box)
    b = b + 0.7 * a
    k = np.fft.fftfreq(box, 1 / box)
    ring = np.rint(np.hypot(*np.meshgrid(k, k)))
    one, other = np.fft.fft2(a), np.fft.fft2(b)
    found = ring_products(a, b).correlation()
    assert found.shape == (box // 2 + 1,)
    for r in range(box // 2 + 1):
        at = ring == r
        norm = np.sqrt((np.abs(one[at]) ** 2).sum() * (np.abs(other[at]) ** 2).sum())
        assert found[r] == pytest.approx((one[at] * other[at].conj()).sum().real / norm, abs=1e-12)


def test_images_correlate_with_themselves_and_scale_does_not_matter():
    a = noise(3)
    np.testing.assert_allclose(ring_products(a, a).correlation(), 1.0)
    np.testing.assert_allclose(ring_products(a, -3.0 * a).correlation(), -1.0)
    assert not ring_products(a, np.zeros_like(a)).correlation().any()


def test_the_correlation_of_halves_follows_their_signal_to_noise_ratio():
    signal, errors = noise(200, seed=22), noise(400, seed=23) * 1.5
    frc = ring_products(signal + errors[:200], signal + errors[200:]).correlation().mean(axis=0)
    np.testing.assert_allclose(frc[8:], 1 / (1 + 1.5**2), atol=0.02)


def test_pooling_adds_neighbours_but_leaves_ring_0_alone():
    np.testing.assert_array_equal(pool_rings(np.array([100.0, 1, 2, 3, 4, 5])), [100, 3, 6, 9, 12, 9])
    np.testing.assert_array_equal(pool_rings(np.arange(5.0), 1), np.arange(5))
    one, other = noise(2)
    products = ring_products(one, other)
    cross, first, second = (v[9:12].sum() for v in (products.cross, products.first, products.second))
    assert products.correlation(3)[10] == pytest.approx(cross / np.sqrt(first * second))


@pytest.mark.parametrize("diameter", [32, 48, 56])
def test_the_noise_curve_is_three_standard_deviations(diameter):
    mask = soft_disc(BOX, diameter)
    products = ring_products(noise(600, seed=24) * mask, noise(600, seed=25) * mask)
    for rings in (1, 3):
        found = products.correlation(rings)
        # Rings of one kind scatter about the rule by a tenth: their means are compared.
        ratio = 3 * found.std(axis=0) / noise_curve(BOX, mask_fraction(mask), rings)
        assert np.mean(ratio[4:]) == pytest.approx(1.0, abs=0.06)
        assert 0.8 < ratio[4:].min() < ratio[4:].max() < 1.2
        under = (found <= noise_curve(BOX, mask_fraction(mask), rings))[:, 1:].all(axis=1)
        assert under.mean() > 0.95


def test_the_noise_curve_by_its_formula():
    curve = noise_curve(BOX, 0.49)
    np.testing.assert_allclose(curve[8:], 3 / np.sqrt(ring_counts(BOX)[8:] * 0.7))
    assert curve.max() == 1.0
    assert (np.diff(noise_curve(BOX, 0.49, 3)[3:-1]) < 0).mean() > 0.8
    hard = soft_disc(BOX, 40, 0)
    assert mask_fraction(hard) == pytest.approx(np.pi * 20**2 / BOX**2, rel=0.02)


def test_resolution_is_read_at_the_first_fall():
    frc = np.array([1.0, 0.9, 0.8, 0.6, 0.2, 0.7, 0.1, 0.0, 0.0])
    half = np.full(9, 0.5)
    assert resolution_at(frc, half, 1, 16, 2.0) == pytest.approx(32 / 3.25)
    assert resolution_at(frc, half, 5, 16, 2.0) == pytest.approx(32 / (5 + 0.2 / 0.6))
    assert resolution_at(frc, half, 4, 16, 2.0) == 999.0
    assert resolution_at(frc, half, 9, 16, 2.0) == 999.0
    assert resolution_at(np.ones(9), half, 0, 16, 2.0) == 4.0
    assert resolution_at(np.full(9, np.nan), half, 1, 16, 2.0) == 999.0


def falling(last, box=BOX):
    """Make ring products whose correlation is 0.9 up to a ring and 0 beyond."""
    n = ring_counts(box).astype(float)
    products = ring_products(np.zeros((box, box)), np.zeros((box, box)))
    cross = np.where(np.arange(box // 2 + 1) <= last, 0.9, 0.0) * n
    return type(products)(cross, n, n)


def read(last, shared_ring, box=BOX):
    one = type(falling(last))(*(v[None] for v in vars(falling(last, box)).values()))
    return next(
        class_frcs(
            one, np.ones((1, box // 2 + 1)), box=box, pixel_size_angstrom=2.0, mask_share=0.5, shared_ring=shared_ring
        )
    )


def test_shared_rings_are_no_evidence():
    free = read(16, 0)
    assert free.resolution_angstrom == pytest.approx(128 / 17, rel=0.04)
    assert free.resolution_angstrom < free.resolution_half_angstrom < 128 / 15.5
    assert read(16, 10).resolution_angstrom == free.resolution_angstrom
    assert read(16, 19).resolution_angstrom == 999.0
    assert read(16, BOX // 2).resolution_angstrom == 999.0
    assert read(BOX // 2, BOX // 2).resolution_half_angstrom == 999.0
    assert read(BOX // 2, BOX // 2 - 1).resolution_angstrom == 4.0
    assert read(16, 10).shared_ring == 10
    np.testing.assert_allclose(free.frc[:17], 0.9)


def test_a_shared_ring_lends_nothing_to_the_first_independent_one():
    # In a box of 256 noise alone stays below 0.143, so that a third of 0.9 would pass for signal.
    found = read(40, 40, 256)
    assert falling(40, 256).correlation(3)[41] > noise_curve(256, 0.5, 3)[41]
    assert found.resolution_angstrom == found.resolution_half_angstrom == 999.0
