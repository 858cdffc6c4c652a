"""Normalised squared difference: NSSD(r, m) = 1/P sum of ((r - <r>)/sd(r) - (m - <m>)/sd(m))^2 over the mask.

Either image is brought to mean 0 and standard deviation 1 first, so that a m + b with a > 0 changes nothing;
NSSD = 2 (1 - NCC), from 0 to 4, a distance where NCC is a likeness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.ncc import NormalisedCrossCorrelation
from cryoalign.metrics.pixels.closed_form import ClosedFormMeasure, Lost
from cryoalign.metrics.pixels.masked_pixels import MaskedPixels

_NCC = NormalisedCrossCorrelation()


@dataclass(frozen=True)
class NormalisedSsd(ClosedFormMeasure):
    """Squared difference of normalised pixels inside the mask; lower is better."""

    name: ClassVar[str] = "normalised-ssd"
    title: ClassVar[str] = "squared difference after normalising either image"
    lower_is_better: ClassVar[bool] = True
    warning: ClassVar[str | None] = "fails where the contrast is inverted or differs otherwise than by a factor"

    def compare(
        self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
        """Return 2 (1 - NCC), and its slopes."""
        value, slope = _NCC.compare(reference, moved, slopes=slopes)
        return 2.0 * (1.0 - value), None if slope is None else np.float32(-2.0) * slope

    def at_lower_peak(self, value: NDArray[np.float64], lost: Lost) -> NDArray[np.float64]:
        """See :meth:`ClosedFormMeasure.at_lower_peak`: in units of either contrast."""
        return np.asarray(value + lost.normalised)
