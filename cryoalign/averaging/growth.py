"""How the signal-to-noise ratio of an average grows with the images in it.

With n aligned images the power of the noise falls as 1 / n while the signal stays, so the ratio of amplitudes grows as
sqrt(n), less what misalignment loses. Signal and noise are told apart by two halves: their cross power is the signal's,
and what is left of the power of either is noise, of which the full average has half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.class_averages import unfiltered_half
from cryoalign.averaging.frc import ring_products
from cryoalign.core.masks import background_region, soft_disc

SMALLEST = 16
"""Images in the smallest average: fewer say nothing."""


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
    outside, mask = background_region(box, mask_diameter_px), soft_disc(box, mask_diameter_px)
    ratio = np.full(len(totals), np.nan)
    for i in range(len(totals)):
        if not (np.asarray(counts)[i] > 0).all():
            continue
        halves = [unfiltered_half(totals[i, h], power[i, h], "wiener") for h in (0, 1)]
        first, second = ((half - half[outside].mean()) * mask for half in halves)
        products = ring_products(first, second)
        rings = slice(1, last_ring + 1)
        signal = products.cross[rings].sum()
        noise = 0.5 * (products.first[rings].sum() + products.second[rings].sum()) - signal
        if signal > 0 and noise > 0:
            ratio[i] = np.sqrt(2.0 * signal / noise)
    return ratio
