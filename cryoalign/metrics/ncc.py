"""Normalised cross-correlation: NCC(r, m) = sum (r - <r>)(m - <m>) / (P sd(r) sd(m)) over the pixels of the mask.

In [-1, 1] and unchanged by a m + b with a > 0 (Pearson's correlation coefficient). J. P. Lewis, "Fast normalized
cross-correlation", Vision Interface (1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.metrics.pixels.closed_form import ClosedFormMeasure, Lost
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels, by_kernel


@dataclass(frozen=True)
class NormalisedCrossCorrelation(ClosedFormMeasure):
    """Correlation coefficient of the pixels inside the mask; higher is better."""

    name = "ncc"
    words = "normalised cross-correlation"
    unit = "1 - correlation"
    lower_is_better = False
    warning = "fails where the contrast is inverted or differs otherwise than by a factor"

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the correlation, and its slopes ((r - <r>)/sd(r) - NCC (m - <m>)/sd(m)) / (P sd(m))."""
        return by_kernel(_correlate, reference, moved, slopes)

    def at_lower_peak(self, value: NDArray[np.float64], lost: Lost) -> NDArray[np.float64]:
        """See :meth:`ClosedFormMeasure.at_lower_peak`: squares lose twice what the covariance does."""
        return np.asarray(value - 0.5 * lost.normalised)


@kernel(nogil=True)
def _correlate(reference, moved, value, slope):  # type: ignore[no-untyped-def]
    """Write correlations (m,), 0 for a constant image, and, where ``slope`` has rows, their slopes (m, P)."""
    count = reference.shape[0]
    mean_r = 0.0
    for p in range(count):
        mean_r += reference[p]
    mean_r /= count
    square_r = 0.0
    for p in range(count):
        square_r += (reference[p] - mean_r) ** 2
    sd_r = np.sqrt(square_r / count)
    for i in range(moved.shape[0]):
        mean_m = 0.0
        for p in range(count):
            mean_m += moved[i, p]
        mean_m /= count
        square, product = 0.0, 0.0
        for p in range(count):
            d = moved[i, p] - mean_m
            square += d * d
            product += d * (reference[p] - mean_r)
        sd_m = np.sqrt(square / count)
        defined = sd_r * sd_m > 0.0
        value[i] = product / (count * sd_r * sd_m) if defined else 0.0
        if slope.shape[0] > 0:
            for p in range(count):
                slope[i, p] = 0.0
                if defined:
                    z_r, z_m = (reference[p] - mean_r) / sd_r, (moved[i, p] - mean_m) / sd_m
                    slope[i, p] = (z_r - value[i] * z_m) / (count * sd_m)
