"""Plain sliced Wasserstein distance: images as they are, clipped at zero, as densities of mass one.

The reference point of the ramp-filtered distance (Bonneel, Rabin, Peyre and Pfister, J. Math. Imaging Vis. 51:22, 2015,
for slicing; Shi, Singer and Verbeke, arXiv 2503.13756, for the rotations by FFT). Moving an image by v changes it by
c_p |v|, c_2 = 1 / sqrt(2), c_1 = 2 / pi. Of order 1, absolute differences take the place of squares: a little mass that
lies far away counts for less, and no FFT shortens the comparison of all rotations.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryoalign.metrics.sliced.sliced_measure import SlicedMeasure


@dataclass(frozen=True)
class SlicedWasserstein(SlicedMeasure):
    """Sliced Wasserstein distance in pixels; lower is better. Parameters as :class:`SlicedMeasure`'s."""

    name = "sw"
    words = "sliced Wasserstein distance"
    warning = "smooth details hardly count, and noise outside the mask counts as mass"


@dataclass(frozen=True)
class SlicedWassersteinOne(SlicedWasserstein):
    """Sliced Wasserstein distance of order 1 in pixels: the mean absolute difference of quantiles; lower is better."""

    p: int = 1

    name = "sw1"
    words = "sliced Wasserstein distance of order 1"
    cost = "each image is transformed once; a pair compares all quantiles at every angle, O(L^2)"
    pair_ms = 0.25
