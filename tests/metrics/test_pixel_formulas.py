"""Each measure of pixels against its formula written out, and its slopes against differences."""

import itertools
import sys

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.masks import centre_offsets
from cryoalign.core.poses import Poses
from cryoalign.metrics.correntropy import Correntropy
from cryoalign.metrics.measure import Preparation
from cryoalign.metrics.mutual_information import MutualInformation
from cryoalign.metrics.names import measure
from cryoalign.metrics.pixels.masked_pixels import MaskedPixels
from cryoalign.metrics.pixels.pyramid import disc_pixels
from cryoalign.metrics.wavelet_emd import WaveletEmd
from helpers.pixel_cases import PIXEL_MEASURES

BOX, RADIUS = 32, 11.0


def pair(seed=0, m=3):
    """Draw masked pixels of a reference and of m images that are half like it."""
    rng = np.random.default_rng(seed)
    inside = disc_pixels(BOX, RADIUS)
    reference = rng.gamma(2.0, 1.0, (1, len(inside)))
    moved = 0.6 * reference + 0.5 * rng.standard_normal((m, len(inside))) + 0.3
    found = []
    for pixels in (reference, moved):
        noise = np.full(len(pixels), 0.4)
        statistics = np.stack([pixels.mean(axis=1), pixels.std(axis=1), noise], axis=1)
        found.append(MaskedPixels(pixels.astype(np.float32), statistics, BOX, inside))
    return found


def by_formula(name, r, m):
    """Return the measure of two lists of pixels, r the reference's."""
    if name == "ssd":
        return np.mean((r - m) ** 2)
    if name == "euclidean":
        return np.sqrt(np.sum((r - m) ** 2))
    if name == "ncc":
        return np.corrcoef(r, m)[0, 1]
    if name == "normalised-ssd":
        return np.mean(((r - r.mean()) / r.std() - (m - m.mean()) / m.std()) ** 2)
    if name == "absolute-difference":
        return np.mean(np.abs(r - m))
    if name == "correntropy":
        sigma = max(np.hypot(0.4, 0.4), 0.5 * r.std())
        return np.mean(np.exp(-((r - m) ** 2) / (2 * sigma**2)))
    if name == "mutual-information":
        return information(r, m)
    return wavelet_emd(r, m)


def cubic(x):
    """Evaluate the cubic B-spline."""
    x = np.abs(x)
    return np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, np.where(x < 2, (2 - x) ** 3 / 6, 0.0))


def joint(r, m, bins=16):
    """Return the joint histogram, every pixel spread by its two windows; all intensities between the middles."""
    spread = []
    for v in (r, m):
        z = (v - v.mean()) / v.std()
        t = z / np.sqrt(1 + z**2 / 4)
        spread.append(cubic((t + 2) / 4 * (bins - 3) + 1 - np.arange(bins)[:, None]))
    return spread[0] @ spread[1].T / len(r)


def information(r, m):
    """Return the mutual information as entropies: H(a) + H(b) - H(a, b)."""
    p = joint(r, m)
    entropies = [-np.sum(q[q > 0] * np.log(q[q > 0])) for q in (p.sum(axis=0), p.sum(axis=1), p)]
    return entropies[0] + entropies[1] - entropies[2]


SYM3 = np.array([0.035226291882100656, -0.08544127388224149, -0.13501102001039084,
                 0.4598775021193313, 0.8068915093133388, 0.3326705529509569])  # fmt: skip


def split(x, axis):
    """Return the low and the high half band along an axis, zeros beyond the ends."""
    high = SYM3[::-1] * (-1.0) ** np.arange(1, 7)
    return [np.apply_along_axis(lambda v, f=f: np.convolve(v, f)[1::2], axis, x) for f in (SYM3, high)]


def wavelet_emd(r, m):
    """Return sum over scales of 2^(j (1 + n/2)) sum |coefficients|, n = 2, by convolutions."""
    image = np.zeros(BOX * BOX)
    image[disc_pixels(BOX, RADIUS)] = r - m
    coarse, total = image.reshape(BOX, BOX), 0.0
    scales = int(np.log2(BOX / (len(SYM3) - 1)))
    for j in range(1, scales + 1):
        bands = [half for part in split(coarse, 0) for half in split(part, 1)]
        coarse = bands[0]
        total += 2.0 ** (2 * j) * sum(np.abs(band).sum() for band in bands[1:])
    return total + 2.0 ** (2 * scales) * np.abs(coarse).sum()


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_values_are_those_of_the_formula(name):
    reference, moved = pair()
    values, slopes = measure(name).compare(reference, moved)
    expected = [by_formula(name, reference.pixels[0].astype(float), m.astype(float)) for m in moved.pixels]
    np.testing.assert_allclose(values, expected, rtol=2e-5)
    assert slopes is None


@pytest.mark.parametrize("name", PIXEL_MEASURES)
def test_slopes_are_those_of_the_values(name):
    reference, moved = pair(1, 2)
    _, slopes = measure(name).compare(reference, moved, slopes=True)
    rng = np.random.default_rng(2)
    for _ in range(3):
        change = rng.standard_normal(moved.pixels.shape).astype(np.float32) * np.float32(1e-3)
        ends = [measure(name).compare(reference, moved._replace(pixels=moved.pixels + s * change))[0] for s in (1, -1)]
        # What the values did, against what the slopes say; the kinks of absolute values blur it a little.
        np.testing.assert_allclose(
            0.5 * (ends[0] - ends[1]), (slopes.astype(float) * change).sum(axis=1), rtol=0.02, atol=1e-6
        )


def test_the_joint_histogram_is_a_density_that_follows_the_pixels():
    reference, moved = pair(3, 1)
    histogram = MutualInformation().joint_histogram(reference, moved)
    assert histogram.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(
        histogram, joint(reference.pixels[0].astype(float), moved.pixels[0].astype(float)), atol=1e-6
    )


def test_histograms_of_a_whole_grid_are_those_of_each_pair():
    one, other = pair(6, 3), pair(7, 2)
    turned, shifted = one[1], other[1]
    statistics = np.array([[0.7, 1.3, 0.0]])
    turned, shifted = (m._replace(statistics=np.repeat(statistics, len(m.pixels), axis=0)) for m in (turned, shifted))
    grid, metric = MutualInformation(bins=16).grid(turned, shifted), MutualInformation(bins=8)
    for a in range(3):
        single = turned._replace(pixels=turned.pixels[a : a + 1], statistics=statistics)
        np.testing.assert_allclose(grid[a], metric.compare(single, shifted)[0], atol=2e-6)


def test_independent_images_share_no_information():
    """The bias of a histogram of n pixels is about (cells - 1)^2 / (2 n); windows of four bins make cells fewer."""
    rng = np.random.default_rng(4)
    inside = disc_pixels(200, 90.0)
    pixels = rng.standard_normal((2, 1, len(inside))).astype(np.float32)
    statistics = np.array([[0.0, 1.0, 0.0]])
    one, other = (MaskedPixels(p, statistics, 200, inside) for p in pixels)
    metric = MutualInformation()
    assert metric.compare(one, other)[0][0] < 15**2 / (2 * len(inside))
    # An image tells all of itself: the entropy of its histogram, less what the windows blur.
    assert metric.compare(one, one)[0][0] > 1.0


def test_the_wavelet_distance_goes_on_growing_where_squares_stop():
    """A dot that moves on: its earth mover's distance is how far it went."""
    x, y = centre_offsets(64)
    dots = [np.exp(-((x - px) ** 2 + y**2) / 4).astype(np.float32) for px in (-12.0, -8.0, -4.0, 0.0, 8.0)]
    known, still = Preparation(mask_radius_px=28.0), Poses.identity(1)
    moved = [WaveletEmd(scales=6).value(dots[0], dot, still, known)[0] for dot in dots]
    squares = [measure("ssd").value(dots[0], dot, still, known)[0] for dot in dots]
    assert squares[4] / squares[2] == pytest.approx(1.0, abs=0.02)
    distance = np.array([4.0, 8.0, 12.0, 20.0])
    np.testing.assert_allclose(np.array(moved[1:]) / distance, moved[2] / 8.0, rtol=0.35)


def test_correntropy_with_a_width_of_ones_own():
    reference, moved = pair(5, 1)
    value = Correntropy(sigma=0.7).compare(reference, moved)[0][0]
    difference = reference.pixels[0].astype(float) - moved.pixels[0]
    assert value == pytest.approx(np.mean(np.exp(-(difference**2) / 0.98)), rel=1e-5)
    with pytest.raises(InputError, match="must be positive"):
        Correntropy(sigma=0.0)


def test_too_few_bins_are_refused():
    with pytest.raises(InputError, match=r"4 bins or more \(2\)"):
        MutualInformation(bins=2)


def test_without_pywavelets_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(InputError, match=r"wavelet-emd needs PyWavelets; pip install 'cryoalign\[wavelet\]'"):
        measure("wavelet-emd")


def test_half_known_filters_are_orthogonal():
    """The oracle's own wavelet: its shifts by two are orthonormal."""
    for shift, other in itertools.product((0, 2, 4), repeat=2):
        product = np.dot(np.pad(SYM3, (shift, 4 - shift)), np.pad(SYM3, (other, 4 - other)))
        assert product == pytest.approx(float(shift == other), abs=1e-9)
