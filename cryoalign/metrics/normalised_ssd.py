"""Normalised squared difference: NSSD(r, m) = 1/P sum of ((r - <r>)/sd(r) - (m - <m>)/sd(m))^2 over the mask.

Either image is brought to mean 0 and standard deviation 1 first, so that a m + b with a > 0 changes nothing;
NSSD = 2 (1 - NCC), from 0 to 4, a distance where NCC is a likeness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.ncc import NormalisedCrossCorrelation
from cryoalign.metrics.pixels.closed_form import ClosedFormMeasure, Lost
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels

_NCC = NormalisedCrossCorrelation()


@dataclass(frozen=True)
class NormalisedSsd(ClosedFormMeasure):
    """Squared difference of normalised pixels inside the mask; lower is better."""

    name = "normalised-ssd"
    words = "squared difference after normalising either image"
    unit = "squared standard deviations"
    warning = "fails where the contrast is inverted or differs otherwise than by a factor"

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return 2 (1 - NCC), and its slopes."""
        value, slope = _NCC.compare(reference, moved, slopes=slopes)
        return 2.0 * (1.0 - value), None if slope is None else np.float32(-2.0) * slope

    def at_lower_peak(self, value: NDArray[np.float64], lost: Lost) -> NDArray[np.float64]:
        """See :meth:`ClosedFormMeasure.at_lower_peak`: in units of either contrast."""
        return np.asarray(value + lost.normalised)
