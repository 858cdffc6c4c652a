"""Ramp-filtered sliced Wasserstein distance: both parts of filtered projections, as densities of mass one each.

The ramp |k| sharpens projections as before a back-projection, so that details count and not only where the bulk lies.
It leaves a positive and a negative part of equal mass; the squared distances of both are averaged (Shi, Singer and
Verbeke, arXiv 2503.13756, section 3; the negative part is worth 2.5 points of a hundred on hand-written digits).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryoalign.metrics.sliced.sliced_measure import SlicedMeasure


@dataclass(frozen=True)
class RampFilteredSlicedWasserstein(SlicedMeasure):
    """Ramp-filtered sliced Wasserstein distance in pixels; lower is better.

    Parameters
    ----------
    exponent
        Of |k|, .75 to 1; 1.5 loses a tenth of the images.
    """

    exponent: float = 0.75

    name = "rfsw"
    words = "ramp-filtered sliced Wasserstein distance, for deformed images"
    warning = "euclidean is better where images are hardly deformed, and for neighbours of raw noisy particles"
    parts = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if not 0.0 < self.exponent <= 3.0:
            raise ValueError(f"the ramp's exponent must lie between 0 and 3, not {self.exponent}")

    @property
    def ramp(self) -> float:
        """The exponent."""
        return self.exponent
