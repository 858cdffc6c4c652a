"""A measure that cryoalign does not know: the whole of what adding one takes, besides a line that registers it."""

from __future__ import annotations

import numpy as np

from cryoalign.metrics.pixels.ladder import LadderMeasure
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels


class LogCosh(LadderMeasure):
    """Mean of log cosh(m - r): squared where images are near, absolute where they are far apart."""

    name = "log-cosh"
    words = "logarithm of the hyperbolic cosine of differences"
    unit = "log intensity"
    pair_ms = 20.0
    warning = "needs both images on one intensity scale"

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the mean, and its slopes tanh(m - r) / P."""
        difference = moved.pixels.astype(np.float64) - reference.pixels
        value = (np.logaddexp(difference, -difference) - np.log(2.0)).mean(axis=1)
        return value, (np.tanh(difference) / difference.shape[1]).astype(np.float32) if slopes else None
