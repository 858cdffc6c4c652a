"""The variance within a class, pixel by pixel: what members have and their average has not.

A member x = T G + noise leaves the residual W (x - T G) when its average is taken off, W the filter that makes the
noise white with variance 1. Where members differ in nothing but noise, the variance of the residuals over the members
is 1; where some have what others lack it is more (Penczek et al. 2006, J. Struct. Biol. 154, 168, for the idea).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.filters import conjugate_weight, ring_index

_EMPTY = 1e-3


def whitening_filter(noise_power: NDArray[np.floating], box: int) -> NDArray[np.float64]:
    """Return the gain that makes noise white, on the frequencies of an ``rfft2``.

    Parameters
    ----------
    noise_power
        E|F|^2 / L^2 of each ring, shape (L // 2 + 1,); rings with next to nothing are left out, as ring 0 and the
        corners are.
    box
        L.

    Returns
    -------
    NDArray
        float64, (L, L // 2 + 1): filtered noise has the variance L^2 in every frequency that is not 0.
    """
    used = noise_power > _EMPTY * np.median(noise_power)
    used[0] = False
    gain = np.zeros(len(noise_power) + 1)
    gain[:-1][used] = 1.0 / np.sqrt(noise_power[used])
    return gain[np.minimum(ring_index(box), len(noise_power))]


def residuals(
    spectra: NDArray[np.complexfloating], models: NDArray[np.complexfloating], whitening: NDArray[np.floating], box: int
) -> NDArray[np.float32]:
    """Return whitened residuals as images whose noise has the variance 1 in every pixel.

    Parameters
    ----------
    spectra, models
        ``rfft2`` of aligned members and of T G, (n, L, L // 2 + 1), not whitened.
    whitening
        From :func:`whitening_filter`, (L, L // 2 + 1) or one for each member.
    box
        L.
    """
    kept = np.where(whitening > 0, conjugate_weight(box), 0.0).sum(axis=(-2, -1), keepdims=True)
    # Frequencies that are left out take their share of the variance with them.
    gain = whitening * np.sqrt(box**2 / np.maximum(kept, 1.0))
    difference = (spectra - models) * gain
    return np.asarray(scipy.fft.irfft2(difference, s=(box, box), workers=1), dtype=np.float32)


def variance_maps(
    sums: NDArray[np.float64], squares: NDArray[np.float64], counts: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return the variance of residuals over the members of each class.

    Parameters
    ----------
    sums, squares
        Sums of residuals and of their squares, (m, L, L).
    counts
        Members, (m,).

    Returns
    -------
    NDArray
        float32 (m, L, L): unbiased by the average that was taken off; 0 where a class has fewer than two members.
    """
    n = np.asarray(counts, np.float64)[:, None, None]
    several = n > 1
    spread = squares - sums**2 / np.maximum(n, 1.0)
    return np.where(several, np.maximum(spread, 0.0) / np.where(several, n - 1.0, 1.0), 0.0).astype(np.float32)
