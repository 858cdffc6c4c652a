"""Correntropy: V(r, m) = 1/P sum over the P pixels of the mask of exp(-(r - m)^2 / (2 sigma^2)).

Pixels that differ by much more than sigma count as wrong, however wrong they are: deaf to outliers. W. Liu, P. P.
Pokharel, J. C. Principe, "Correntropy: properties and applications in non-Gaussian signal processing", IEEE Trans.
Signal Process. 55 (2007). Sigma comes from the noise: the standard deviation of the difference of two images of the
same thing, sqrt(sigma_r^2 + sigma_m^2), and not below half the contrast of the reference inside the mask, so that clean
images have slopes to go down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel
from cryoalign.metrics.pixels.ladder import LadderMeasure
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels, by_kernel

LEAST_SHARE = 0.5
"""Sigma is at least this share of the reference's standard deviation inside the mask."""


@dataclass(frozen=True)
class Correntropy(LadderMeasure):
    """Correntropy of the pixels inside the mask, in (0, 1]; higher is better.

    Parameters
    ----------
    sigma
        Width of the kernel in units of the pixels' values; None = from the noise.
    """

    sigma: float | None = None

    name = "correntropy"
    words = "correntropy, deaf to outliers"
    unit = "1 - correntropy"
    lower_is_better = False
    pair_ms = 13.0
    warning = "needs both images on one intensity scale"

    def __post_init__(self) -> None:
        """Refuse a width that is not one."""
        if self.sigma is not None and not self.sigma > 0:
            raise InputError("the width of correntropy's kernel must be positive", value=self.sigma)

    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the correntropy, and its slopes (r - m) exp(...) / (sigma^2 P)."""
        if self.sigma is None:
            _, contrast, noise = reference.statistics[0]
            sigma = np.maximum(np.hypot(noise, moved.statistics[:, 2]), LEAST_SHARE * contrast)
            sigma = np.where(sigma > 0, sigma, 1.0)
        else:
            sigma = np.full(len(moved.pixels), float(self.sigma))
        return by_kernel(_kernel, reference, moved, slopes, sigma)


@kernel(nogil=True)
def _kernel(reference, moved, sigma, value, slope):  # type: ignore[no-untyped-def]
    count = reference.shape[0]
    for i in range(moved.shape[0]):
        width = np.float32(-0.5 / sigma[i] ** 2)
        total = 0.0
        for p in range(count):
            d = moved[i, p] - reference[p]
            e = np.exp(width * d * d)
            total += e
            if slope.shape[0] > 0:
                slope[i, p] = 2.0 * width * d * e / count
        value[i] = total / count
