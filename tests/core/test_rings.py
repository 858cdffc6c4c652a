"""The polar sampling: its quadrature is that of the pixels, its points are where they should be."""

import numpy as np
import pytest

from cryoalign.core.search.polar import N_BANDS, plan_rings, polar_samples_by_finufft
from helpers.blobs import Blobs, random_blobs


@pytest.mark.parametrize("box", [64, 65])
def test_weighted_power_of_white_noise_is_that_of_the_pixels_in_the_band(box):
    rng = np.random.default_rng(11)
    images = rng.standard_normal((64, box, box))
    layout = plan_rings(box, 24)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(box, 1 / box), np.fft.fftfreq(box, 1 / box)))
    band = (k > 0.5) & (k <= 24.5)
    cartesian = (np.abs(np.fft.fft2(images)) ** 2)[:, band].sum() / box**2
    polar = np.abs(polar_samples_by_finufft(images, layout)) ** 2
    weighted = (polar * np.repeat(layout.ring_weight, layout.ring_samples)).sum()
    assert weighted == pytest.approx(cartesian, rel=0.01)
    # The expected value: every pixel of the band holds power 1.
    assert weighted / 64 == pytest.approx(np.pi * 24.5**2, rel=0.01)


@pytest.mark.parametrize("box", [48, 49])
def test_weighted_product_is_the_inner_product_of_the_images(box):
    rng = np.random.default_rng(12)
    one, two = (random_blobs(rng, 0.25 * box, 8, (2.0, 3.0)) for _ in range(2))
    # Without a mean there is nothing in the disc inside the first ring, which the rings leave out.
    level = (one.height * one.width**2).sum() / (two.height * two.width**2).sum()
    balanced = Blobs(*(np.concatenate([getattr(one, n), getattr(two, n)]) for n in ("x", "y", "width")), None)
    balanced = Blobs(balanced.x, balanced.y, balanced.width, np.concatenate([one.height, -level * two.height]))
    first, second = balanced.image(box), balanced.image(box, psi=20.0, dx=1.5)
    layout = plan_rings(box, (box - 1) // 2)
    f, g = polar_samples_by_finufft(np.stack([first, second]), layout)
    product = (np.real(f * g.conj()) * np.repeat(layout.ring_weight, layout.ring_samples)).sum()
    assert product == pytest.approx((first * second).sum(), abs=1e-3 * (first**2).sum())


def test_points_cover_half_of_every_ring_evenly():
    layout = plan_rings(65, 20)
    kx, ky = layout.points()
    start = layout.ring_start
    assert layout.n_points == len(kx) == start[-1]
    for k in range(1, layout.n_rings + 1):
        part = slice(start[k - 1], start[k])
        h = layout.ring_samples[k - 1]
        np.testing.assert_allclose(np.hypot(kx[part], ky[part]), k)
        np.testing.assert_allclose(np.arctan2(ky[part], kx[part]), np.pi * np.arange(h) / h, atol=1e-12)


@pytest.mark.parametrize("n_rings", [1, 3, 6, 7, 20, 32])
def test_bands_share_their_angles_and_sample_every_ring_finely_enough(n_rings):
    layout = plan_rings(64, n_rings)
    assert layout.n_rings == n_rings
    assert len(layout.samples) == len(layout.first_ring) - 1 == min(N_BANDS, n_rings)
    k = np.arange(1, n_rings + 1)
    # Half a circle of an image of radius L / 2 holds pi k harmonics.
    assert (layout.ring_samples >= np.pi * k).all()
    assert (np.diff(layout.ring_samples) >= 0).all()


def test_ring_mean_averages_each_ring():
    layout = plan_rings(32, 9)
    values = np.repeat(np.arange(9.0), layout.ring_samples)
    ripple = np.concatenate([(-1.0) ** np.arange(h) - (h % 2) / h for h in layout.ring_samples])
    np.testing.assert_allclose(layout.ring_mean(np.stack([values, values + ripple])), [np.arange(9.0)] * 2, atol=1e-12)


@pytest.mark.parametrize("n_rings", [0, 33])
def test_rings_that_do_not_fit_are_refused(n_rings):
    with pytest.raises(ValueError, match="do not fit a box of 64"):
        plan_rings(64, n_rings)
