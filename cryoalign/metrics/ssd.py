"""Mean squared difference: SSD(r, m) = 1/P sum over the P pixels of the mask of (r - m)^2.

The measure that is best for one image plus white Gaussian noise (its log likelihood); SSD is divided by the number of
pixels so that masks can be compared. L. G. Brown, "A survey of image registration techniques", ACM Comput. Surv. 24
(1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.metrics.pixels.closed_form import ClosedFormMeasure, Lost
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels, by_kernel


@dataclass(frozen=True)
class SumOfSquaredDifferences(ClosedFormMeasure):
    """Mean squared difference of the pixels inside the mask; lower is better."""

    name = "ssd"
    words = "mean squared difference"
    unit = "squared intensity"
    warning = "needs both images on one intensity scale"

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the mean squared difference, and its slopes 2 (m - r) / P."""
        return by_kernel(_squares, reference, moved, slopes)

    def at_lower_peak(self, value: NDArray[np.float64], lost: Lost) -> NDArray[np.float64]:
        """See :meth:`ClosedFormMeasure.at_lower_peak`: it is what is lost."""
        return np.asarray(value + lost.mean_square)


@kernel(nogil=True)
def _squares(reference, moved, value, slope):  # type: ignore[no-untyped-def]
    count = reference.shape[0]
    for i in range(moved.shape[0]):
        total = 0.0
        for p in range(count):
            total += (np.float64(moved[i, p]) - np.float64(reference[p])) ** 2
        value[i] = total / count
        if slope.shape[0] > 0:
            for p in range(count):
                slope[i, p] = 2.0 * (moved[i, p] - reference[p]) / count
