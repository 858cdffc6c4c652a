"""How the signal-to-noise ratio of an average grows with the images in it.

With n aligned images the power of the noise falls as 1 / n while the signal stays, so the ratio of amplitudes grows as
sqrt(n), less what misalignment loses. Signal and noise are told apart by two halves: their cross power is the signal's,
and what is left of the power of either is noise, of which the full average has half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.class_averages import finish_averages
from cryoalign.averaging.frc import ring_products
from cryoalign.core.masks import soft_disc

SMALLEST = 16
"""Images in the smallest average: fewer say nothing."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GrowthCurve:
    """How the amplitude signal-to-noise ratio of an average grows with the images in it.

    Parameters
    ----------
    counts
        (p,) number of images, > 0, in any order.
    amplitude_snr
        (p,) square root of (power of the signal / power of the noise) in an average of so many images; what is not
        finite or not positive is left out of the picture, and counted.
    class_number
        Of the one class that was grown; None where every point is a class of its own.
    band_angstrom
        (longest, shortest) wavelength in A of the band that was measured; None = the whole band.
    amplitude_snr_one
        What one image has, known from elsewhere: the line is this times sqrt(n). None = the line goes through the
        points (median of amplitude_snr / sqrt(n)).
    """

    counts: ArrayLike
    amplitude_snr: ArrayLike
    class_number: int | None = None
    band_angstrom: tuple[float, float] | None = None
    amplitude_snr_one: float | None = None

    def __post_init__(self) -> None:
        """Refuse lists of unlike length."""
        if np.shape(self.amplitude_snr) != (np.size(self.counts),):
            raise ValueError(
                f"amplitude_snr must have shape ({np.size(self.counts)},), not {np.shape(self.amplitude_snr)}"
            )


def growth_counts(n: int) -> NDArray[np.int64]:
    """Return 16, 32, ... and n, the numbers of images at which the growth is looked at; empty below 16."""
    doubling = SMALLEST * 2 ** np.arange(64, dtype=np.float64)
    counts = doubling[doubling < n].astype(np.int64)
    return np.append(counts, n) if n >= SMALLEST else counts[:0]


def growth_level(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of counts[-1] images, in order, the first of the averages that it is in; shape (counts[-1],)."""
    return np.searchsorted(counts, np.arange(int(counts[-1])), side="right")


def amplitude_growth(
    totals: NDArray[np.float64],
    power: NDArray[np.float64],
    counts: ArrayLike,
    *,
    mask_diameter_px: float,
    last_ring: int,
) -> NDArray[np.float64]:
    """Return sqrt(power of the signal / power of the noise) of averages of more and more images.

    Parameters
    ----------
    totals, power, counts
        Sums of C F and C^2 and number of images of the halves of p growing averages: (p, 2, L, L),
        (p, 2, L, L // 2 + 1), (p, 2).
    mask_diameter_px
        Soft mask in which halves are compared, in pixels.
    last_ring
        Rings 1 .. last_ring are looked at.

    Returns
    -------
    NDArray
        Shape (p,); NaN where a half is empty or no signal is seen.
    """
    box = totals.shape[-1]
    halves = finish_averages(
        totals, power, np.asarray(counts), mask_diameter_px=mask_diameter_px, pixel_size_angstrom=1.0,
        treatment="wiener", shared_ring=0,
    ).halves  # fmt: skip
    products = ring_products(*(halves * soft_disc(box, mask_diameter_px)))
    rings = slice(1, last_ring + 1)
    signal = products.cross[:, rings].sum(axis=1)
    noise = 0.5 * (products.first[:, rings] + products.second[:, rings]).sum(axis=1) - signal
    seen = (np.asarray(counts) > 0).all(axis=1) & (signal > 0) & (noise > 0)
    return np.sqrt(np.divide(2.0 * signal, noise, out=np.full(len(totals), np.nan), where=seen))
