"""Euclidean distance: d(r, m) = sqrt(sum over the pixels of the mask of (r - m)^2).

It orders pairs as the mean squared difference does; the search over turned and shifted copies is that of the core, in
polar Fourier coordinates, where a rotation is a shift of each ring's samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.pixels.closed_form import ClosedFormMeasure, Lost
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels
from cryoalign.metrics.ssd import SumOfSquaredDifferences

_SSD = SumOfSquaredDifferences()


@dataclass(frozen=True)
class Euclidean(ClosedFormMeasure):
    """Euclidean distance of the pixels inside the mask; lower is better."""

    name = "euclidean"
    words = "Euclidean distance"
    unit = "intensity"
    warning = "flat or wrong where images are deformed copies of one another"

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the distance, and its slopes (m - r) / d."""
        mean, slope = _SSD.compare(reference, moved, slopes=slopes)
        count = len(moved.inside)
        value = np.sqrt(count * mean)
        if slope is not None:
            slope *= (0.5 * count / np.maximum(value, 1e-30)).astype(np.float32)[:, None]
        return value, slope

    def at_lower_peak(self, value: NDArray[np.float64], lost: Lost) -> NDArray[np.float64]:
        """See :meth:`ClosedFormMeasure.at_lower_peak`: as for the mean square, with the mask's size taken out."""
        return np.sqrt(value**2 + lost.pixels * lost.mean_square)
