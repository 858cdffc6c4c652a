"""Mean absolute difference: AD(r, m) = 1/P sum over the P pixels of the mask of |r - m|.

Less moved by a few wild pixels than squares are (the log likelihood of Laplacian noise). D. I. Barnea, H. F. Silverman,
"A class of algorithms for fast digital image registration", IEEE Trans. Comput. C-21 (1972).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryoalign.core.kernels import kernel
from cryoalign.metrics.pixels.ladder import LadderMeasure
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels, by_kernel


@dataclass(frozen=True)
class AbsoluteDifference(LadderMeasure):
    """Mean absolute difference of the pixels inside the mask; lower is better."""

    name = "absolute-difference"
    words = "mean absolute difference"
    unit = "intensity"
    pair_ms = 12.0
    warning = "needs both images on one intensity scale"

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the mean absolute difference, and its slopes sign(m - r) / P."""
        return by_kernel(_absolute, reference, moved, slopes)


@kernel(nogil=True)
def _absolute(reference, moved, value, slope):  # type: ignore[no-untyped-def]
    count = reference.shape[0]
    for i in range(moved.shape[0]):
        total = 0.0
        for p in range(count):
            total += abs(np.float64(moved[i, p]) - np.float64(reference[p]))
        value[i] = total / count
        if slope.shape[0] > 0:
            for p in range(count):
                slope[i, p] = np.sign(moved[i, p] - reference[p]) / count
