"""Means over images that a few wrong members cannot spoil, pixel by pixel.

Median; winsorised mean (the outer tenth on either side replaced by the nearest value kept; Tukey 1962, Ann. Math.
Stat. 33, 1); sigma-clipped mean, started from median and median absolute deviation (Huber & Ronchetti, Robust
Statistics, 2009).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Robust = Literal["median", "winsorised", "sigma-clip"]
METHODS: tuple[str, ...] = get_args(Robust)
WINSORISED_SHARE = 0.1
"""Share of the members, on either side, whose value is replaced."""
SIGMA_CLIP = 3.0
_DEVIATIONS_OF_MAD = 1.482602218505602
_ROUNDS = 10
_STRIP_BYTES = 1 << 25


def robust_mean(values: NDArray[np.floating], method: Robust, sigma_clip: float = SIGMA_CLIP) -> NDArray[np.float64]:
    """Average over members.

    Parameters
    ----------
    values
        Shape (n, p), n at least 1; a memory map does too: it is read in strips of p.
    method
        "median", "winsorised" (a tenth on either side, rounded down) or "sigma-clip".
    sigma_clip
        For "sigma-clip": values further from the centre than so many standard deviations are left out, until nothing
        changes.

    Returns
    -------
    NDArray
        float64, shape (p,).
    """
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"values must have shape (n, p) with n of 1 or more, not {values.shape}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    n, p = values.shape
    means = np.empty(p)
    step = max(1, _STRIP_BYTES // (8 * n))
    for start in range(0, p, step):
        strip = np.ascontiguousarray(np.asarray(values[:, start : start + step]).T, dtype=np.float64)
        if method == "median":
            means[start : start + step] = np.median(strip, axis=1, overwrite_input=True)
        elif method == "winsorised":
            means[start : start + step] = _winsorised(strip)
        else:
            means[start : start + step] = _clipped(strip, sigma_clip)
    return means


def restore_amplitudes(
    means: NDArray[np.floating], transfer: NDArray[np.floating], counts: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what phase-flipped means would be as sums of C F and of C^2, so that one Wiener filter serves both.

    A mean A of n phase-flipped images holds T G, with T the mean of abs(C): it counts as a sum n T A with the weight
    n T^2.

    Parameters
    ----------
    means
        Shape (m, L, L).
    transfer
        T of each, on the frequencies of an ``rfft2``, (m, L, L // 2 + 1).
    counts
        Members of each, (m,).

    Returns
    -------
    tuple
        Totals, float64 (m, L, L), and powers, float64 (m, L, L // 2 + 1).
    """
    n = np.asarray(counts, np.float64)[:, None, None]
    weight = n * np.asarray(transfer, np.float64)
    spectrum = scipy.fft.rfft2(np.asarray(means, np.float64), workers=1) * weight
    return np.asarray(scipy.fft.irfft2(spectrum, s=means.shape[-2:], workers=1)), weight * transfer


def _winsorised(strip: NDArray[np.float64]) -> NDArray[np.float64]:
    n = strip.shape[1]
    outer = int(WINSORISED_SHARE * n)
    strip.sort(axis=1)
    inner = strip[:, outer : n - outer]
    return (inner.sum(axis=1) + outer * (inner[:, 0] + inner[:, -1])) / n


def _clipped(strip: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    if strip.shape[1] < 3:
        return strip.mean(axis=1)
    centre = np.median(strip, axis=1)
    spread = _DEVIATIONS_OF_MAD * np.median(np.abs(strip - centre[:, None]), axis=1)
    kept = np.ones(strip.shape, bool)
    for _ in range(_ROUNDS):
        now = np.abs(strip - centre[:, None]) <= limit * spread[:, None]
        now[~now.any(axis=1)] = True  # a limit so small that nothing would be left
        if (now == kept).all():
            break
        kept = now
        count = kept.sum(axis=1)
        centre = np.where(kept, strip, 0.0).sum(axis=1) / count
        spread = np.sqrt(np.where(kept, (strip - centre[:, None]) ** 2, 0.0).sum(axis=1) / count)
    return np.where(kept, strip, 0.0).sum(axis=1) / kept.sum(axis=1)
