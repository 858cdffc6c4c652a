"""Mutual information: MI(r, m) = sum_ab p_ab log(p_ab / (p_a p_b)), in nats, over the joint histogram of the mask.

Whatever tells one image's intensities from the other's counts: contrast may differ, even be inverted. P. Viola, W. M.
Wells, "Alignment by maximization of mutual information", Int. J. Comput. Vision 24 (1997); F. Maes et al., IEEE Trans.
Med. Imaging 16 (1997). The histogram has cubic B-spline (Parzen) windows in both images, so that it is smooth in the
pose and has a slope: P. Thevenaz, M. Unser, "Optimization of mutual information for multiresolution image
registration", IEEE Trans. Image Process. 9 (2000):

    dMI/dm_p = 1/(P h) sum_ab w_a(r_p) w'_b(m_p) log(p_ab / p_b),    h the width of a bin.

Intensities z, in standard deviations from the mean inside the mask, are first squeezed to t = z / sqrt(1 + z^2 / 4),
odd and from -2 to 2: no pixel falls outside the bins, and an inverted image has the mirrored histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel
from cryoalign.core.poses import Poses
from cryoalign.metrics.pixels.ladder import LadderMeasure
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels, masked, reference_pixels
from cryoalign.metrics.pixels.moving import MovingImages
from cryoalign.metrics.pixels.pixel_measure import PixelFeatures

_LIMIT = 2.0  # of squeezed intensities
_SUPPORT = 4  # bins that a cubic B-spline reaches


@dataclass(frozen=True)
class MutualInformation(LadderMeasure):
    """Mutual information of the pixels inside the mask, in nats, >= 0; higher is better.

    Parameters
    ----------
    bins
        Bins of either image's intensities.
    """

    bins: int = 16

    name = "mutual-information"
    words = "mutual information, any contrast"
    unit = "nats"
    lower_is_better = False
    cost = "a joint histogram for every pose of a low-band grid, then descents"
    pair_ms = 13.0
    warning = "of less use than correlation where the contrast is the same and noise is strong"
    loses_in_noise = "the default is better, and faster, where contrasts are alike or inverted (--invert)"
    any_contrast = True

    def __post_init__(self) -> None:
        """Refuse too few bins."""
        if self.bins < 4:
            raise InputError("mutual information needs 4 bins or more", value=self.bins)

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the mutual information, and its slopes."""
        m, count = moved.pixels.shape
        value = np.empty(m)
        slope = np.empty((m, count) if slopes else (0, 0), np.float32)
        pixels = np.ascontiguousarray(moved.pixels)  # one layout: each further one would be compiled on its own
        _information(reference.pixels[0], reference.statistics[0], pixels, moved.statistics, self.bins, value, slope)
        return value, slope if slopes else None

    def across_scales(
        self, reference: PixelFeatures, images: PixelFeatures, poses: Poses, values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return (H(r) + H(m)) / H(r, m) of the first reference with each image at its pose, float64 (n,).

        Information grows with what is inside the mask, so that larger copies are favoured; the ratio of entropies does
        so less. C. Studholme, D. L. G. Hill, D. J. Hawkes, Pattern Recognition 32 (1999).
        """
        level = images.level(images.box)
        fixed, rows = reference_pixels(reference.level(reference.box), 0), np.arange(len(images))
        moved = masked(MovingImages(level).pixels(rows, poses), level, rows)
        ratio = np.empty(len(images))
        for i in range(len(images)):
            one = MaskedPixels(moved.pixels[i : i + 1], moved.statistics[i : i + 1], moved.box, moved.inside)
            joint = self.joint_histogram(fixed, one)
            entropy = [float(-(p[p > 0] * np.log(p[p > 0])).sum()) for p in (joint.sum(1), joint.sum(0), joint)]
            ratio[i] = (entropy[0] + entropy[1]) / entropy[2] if entropy[2] > 0 else 1.0
        return ratio

    def grid(self, turned: MaskedPixels, shifted: MaskedPixels) -> NDArray[np.float64]:
        """Fill the histograms of all turned with all shifted copies at once: a product of their windows' weights.

        Half the bins will do to rank peaks.
        """
        bins = max(self.bins // 2, 6)
        weights = [_spread(m.pixels, m.statistics[0], bins) for m in (turned, shifted)]
        histograms = weights[0].reshape(-1, weights[0].shape[2]) @ weights[1].reshape(-1, weights[1].shape[2]).T
        value = np.empty((len(turned.pixels), len(shifted.pixels)))
        _information_of_all(histograms, bins, turned.pixels.shape[1], value)
        return value

    def joint_histogram(self, reference: MaskedPixels, moved: MaskedPixels) -> NDArray[np.float64]:
        """Return p_ab of one pair, shape (bins, bins), reference first; it sums to 1."""
        value, slope = np.empty(1), np.empty((0, 0), np.float32)
        return np.asarray(
            _information(
                reference.pixels[0],
                reference.statistics[0],
                moved.pixels[:1],
                moved.statistics,
                self.bins,
                value,
                slope,
            )
        )


@njit(inline="always")
def _squeeze(pixel, mean, inverse_deviation):  # type: ignore[no-untyped-def]
    z = (pixel - mean) * inverse_deviation
    root = 1.0 / np.sqrt(1.0 + 0.25 * z * z)
    return z * root, root * root * root * inverse_deviation


@njit(inline="always")
def _windows(t, per_bin, weight):  # type: ignore[no-untyped-def]
    """Write the four window weights of a squeezed intensity and return the first bin and the place between bins."""
    place = (t + 2.0) * per_bin
    first = int(place)
    f = place - first
    g = 1.0 - f
    weight[0] = g * g * g / 6.0
    weight[1] = 2.0 / 3.0 - 0.5 * f * f * (1.0 + g)
    weight[2] = 2.0 / 3.0 - 0.5 * g * g * (1.0 + f)
    weight[3] = f * f * f / 6.0
    return first, f


@kernel(nogil=True)
def _information(reference, statistics_r, moved, statistics_m, bins, value, slope):  # type: ignore[no-untyped-def]
    """Write MI (m,) and, where ``slope`` has rows, its slopes (m, P); return the histogram of the last image."""
    m, count = moved.shape
    per_bin = (bins - 3) / 4.0  # the centres of the outermost windows lie beyond the outermost intensities
    first_r, weight_r = np.empty(count, np.int64), np.empty((count, 4))
    first_m, place_m = np.empty(count, np.int64), np.empty(count)
    weight, steep = np.empty(4), np.empty(4)
    histogram, ratio = np.empty((bins + 1, bins + 1)), np.empty((bins + 1, bins + 1))
    of_r, of_m = np.empty(bins + 1), np.empty(bins + 1)
    inverse = 1.0 / statistics_r[1] if statistics_r[1] > 0.0 else 0.0
    for p in range(count):
        t, _ = _squeeze(reference[p], statistics_r[0], inverse)
        first_r[p], _ = _windows(t, per_bin, weight_r[p])
    for i in range(m):
        inverse = 1.0 / statistics_m[i, 1] if statistics_m[i, 1] > 0.0 else 0.0
        mean = statistics_m[i, 0]
        histogram[:, :] = 0.0
        for p in range(count):
            t, _ = _squeeze(moved[i, p], mean, inverse)
            first, f = _windows(t, per_bin, weight)
            first_m[p], place_m[p] = first, f
            base = first_r[p]
            for a in range(4):
                w = weight_r[p, a]
                for b in range(4):
                    histogram[base + a, first + b] += w * weight[b]
        of_r[:], of_m[:] = 0.0, 0.0
        for a in range(bins + 1):
            for b in range(bins + 1):
                histogram[a, b] /= count
                of_r[a] += histogram[a, b]
                of_m[b] += histogram[a, b]
        total = 0.0
        for a in range(bins + 1):
            for b in range(bins + 1):
                h = histogram[a, b]
                if h > 1e-300:
                    total += h * np.log(h / (of_r[a] * of_m[b]))
        value[i] = max(total, 0.0)
        if slope.shape[0] > 0:
            for a in range(bins + 1):
                for b in range(bins + 1):
                    h = histogram[a, b]
                    ratio[a, b] = np.log(h / of_m[b]) if h > 1e-300 else 0.0
            for p in range(count):
                f = place_m[p]
                g = 1.0 - f
                steep[0] = -0.5 * g * g
                steep[1] = f * (1.5 * f - 2.0)
                steep[2] = -g * (1.5 * g - 2.0)
                steep[3] = 0.5 * f * f
                _, squeezed = _squeeze(moved[i, p], mean, inverse)
                base, first = first_r[p], first_m[p]
                total = 0.0
                for a in range(4):
                    part = 0.0
                    for b in range(4):
                        part += steep[b] * ratio[base + a, first + b]
                    total += weight_r[p, a] * part
                slope[i, p] = total * per_bin * squeezed / count
    return histogram[:bins, :bins].copy()


@kernel(nogil=True)
def _spread(pixels, statistics, bins):  # type: ignore[no-untyped-def]
    """Return the weight of every pixel in every bin, float32 (m, bins, P)."""
    spread = np.zeros((pixels.shape[0], bins, pixels.shape[1]), np.float32)
    weight = np.empty(4)
    inverse = 1.0 / statistics[1] if statistics[1] > 0.0 else 0.0
    for i in range(pixels.shape[0]):
        for p in range(pixels.shape[1]):
            t, _ = _squeeze(pixels[i, p], statistics[0], inverse)
            first, _ = _windows(t, (bins - 3) / 4.0, weight)
            first = min(first, bins - 4)
            for b in range(4):
                spread[i, first + b, p] = weight[b]
    return spread


@kernel(nogil=True)
def _information_of_all(histograms, bins, count, value):  # type: ignore[no-untyped-def]
    """Write the mutual information of joint histograms of ``count`` pixels laid side by side, (A bins, C bins)."""
    of_r, of_m = np.empty(bins), np.empty(bins)
    for i in range(value.shape[0]):
        for j in range(value.shape[1]):
            of_r[:], of_m[:] = 0.0, 0.0
            total = 0.0
            for a in range(bins):
                for b in range(bins):
                    h = np.float64(histograms[i * bins + a, j * bins + b])
                    of_r[a] += h
                    of_m[b] += h
                    if h > 0.0:
                        total += h * np.log(h)
            for a in range(bins):
                total -= of_r[a] * np.log(of_r[a]) if of_r[a] > 0.0 else 0.0
                total -= of_m[a] * np.log(of_m[a]) if of_m[a] > 0.0 else 0.0
            value[i, j] = total / count + np.log(count)
