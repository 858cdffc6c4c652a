"""Compiled parts of the pair score: sums of products per frequency, the highest angle of a grid, Newton's method."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEWTON_STEPS = 3


def angle_tables(frequency: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tabulate cos(k psi) and sin(k psi) over half a circle, float32 (angles, frequencies).

    The full circle has at least 4.5 angles per turn of the highest frequency: with parabolas through the peaks of the
    grid, the highest peak of flat random spectra is then missed once in a thousand times, by a percent.
    """
    half = 8 * max(2, -(-9 * int(frequency.max(initial=0)) // 32))
    phase = np.outer(np.pi * np.arange(half) / half, frequency)
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


@njit(cache=True, nogil=True, fastmath={"contract"})
def score_rows(  # type: ignore[no-untyped-def]
    first, second, frequency, ends, rows, g, penalty, mirror, cosine, sine, begin, stop, score, angle, flipped, variant
):
    """Score the lists of rows begin .. stop - 1; outputs as in PairScores."""
    n_k = len(frequency)
    half = len(cosine)
    re, im = np.empty((2, n_k), np.float32), np.empty((2, n_k), np.float32)
    curve = np.empty(2 * half, np.float32)
    hands = 2 if mirror else 1
    for i in range(begin, stop):
        a = first[i]
        for s in range(rows.shape[1]):
            j = rows[i, s]
            if j < 0:
                continue
            for v in range(len(second)):
                b = second[v, j]
                for q in range(n_k):
                    rr, ii, ri, ir = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                    for p in range(ends[q], ends[q + 1]):
                        rr += a[p].real * b[p].real
                        ii += a[p].imag * b[p].imag
                        ri += a[p].real * b[p].imag
                        ir += a[p].imag * b[p].real
                    sign = np.float32(1 - 2 * (frequency[q] % 2))
                    re[0, q], im[0, q] = rr + ii, ir - ri
                    re[1, q], im[1, q] = sign * (rr - ii), sign * (ir + ri)
                for h in range(hands):
                    for t in range(half):
                        even, odd = np.float32(0), np.float32(0)
                        for q in range(n_k):
                            value = re[h, q] * cosine[t, q] - im[h, q] * sine[t, q]
                            if frequency[q] % 2:
                                odd += value
                            else:
                                even += value
                        curve[t], curve[t + half] = even + odd, even - odd
                    where = _highest_peak(curve)
                    psi, best = _climb(re[h], im[h], frequency, np.pi * where / half, np.pi / half)
                    total = np.float32(best - penalty[v] - g[i] - g[j])
                    if total > score[i, s]:
                        score[i, s] = total
                        degrees = np.rad2deg(psi)
                        angle[i, s] = degrees - 360.0 if degrees > 180.0 else degrees
                        flipped[i, s] = h == 1
                        variant[i, s] = v


@njit(nogil=True, forceinline=True)
def _highest_peak(curve):  # type: ignore[no-untyped-def]
    """Return the grid angle of the peak that is highest by a parabola; of equal ones the first."""
    size = len(curve)
    best, where = np.float32(-np.inf), 0
    for t in range(size):
        here, left, right = curve[t], curve[t - 1], curve[t + 1 - size]
        if here >= left and here >= right:
            bend = here - left + here - right
            top = here + (right - left) * (right - left) / (np.float32(8) * bend) if bend > 0 else here
            if top > best:
                best, where = top, t
    return where


@njit(nogil=True, forceinline=True)
def _climb(re, im, frequency, psi, step):  # type: ignore[no-untyped-def]
    """Climb from a grid angle to the peak next to it; returns the angle in radians and the value."""
    start = psi
    for turn in range(NEWTON_STEPS + 1):
        value, slope, curve = 0.0, 0.0, 0.0
        for q in range(len(frequency)):
            k = frequency[q]
            c, s = np.cos(k * psi), np.sin(k * psi)
            along, across = re[q] * c - im[q] * s, re[q] * s + im[q] * c
            value += along
            slope -= k * across
            curve -= k * k * along
        if turn == NEWTON_STEPS or not curve < 0.0:
            break
        psi = min(max(psi - slope / curve, start - step), start + step)
    return psi, value
