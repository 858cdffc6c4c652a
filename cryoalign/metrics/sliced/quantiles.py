"""Inverse distribution functions of projections: where the mass of a line lies, quantile by quantile.

A projection's positive and negative part are two densities, each normalised to its own mass. The distribution
function is piecewise linear through the edges of the pixels; its inverse is read at q = (j + 1/2) / Q (C. Villani,
"Topics in optimal transportation", 2003, theorem 2.18: in one dimension W_p is the L_p distance of the inverses).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel


def part_quantiles(lines: NDArray[np.float32], count: int, parts: int) -> NDArray[np.float32]:
    """Return quantiles of the projections on the full circle.

    Parameters
    ----------
    lines
        Projections at angles in [0, 180), float32 (h, L); the centre pixel L // 2 at sample 0, wrapped.
    count
        Quantiles Q of a line, even.
    parts
        1 for the positive part alone, 2 for the negative one after it.

    Returns
    -------
    ndarray
        Positions in pixels from the centre, float32 (2 h, parts Q / 2), the lower half of each part's quantiles: the
        upper half is the lower one of the opposite angle, U(t + 180, q) = -U(t, 1 - q).
    """
    if count % 2 or count < 2:
        raise ValueError(f"the number of quantiles must be even, not {count}")
    columns = np.empty((2 * len(lines), parts * count // 2), np.float32)
    _quantiles(np.ascontiguousarray(lines, dtype=np.float32), count, parts, columns)
    return columns


def positive_means(lines: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the centre of mass of the positive part of each line in pixels, float64 (h,); 0 where there is none."""
    means = np.empty(len(lines))
    _means(np.ascontiguousarray(lines, dtype=np.float32), means)
    return means


@kernel(nogil=True, inline="always")
def _unwrap(line, sign, masses):  # type: ignore[no-untyped-def]
    """Write a part's mass at every pixel, from one edge of the line to the other, and return their sum.

    Of an even box, the outermost sample lies half on each side.
    """
    box = line.shape[0]
    edge = box // 2
    for s in range(-edge, 0):
        masses[edge + s] = max(sign * line[box + s], np.float32(0.0))
    for s in range(box - edge):
        masses[edge + s] = max(sign * line[s], np.float32(0.0))
    if box % 2 == 0:
        masses[0] *= np.float32(0.5)
        masses[box] = masses[0]
    total = 0.0
    for s in range(masses.shape[0]):
        total += masses[s]
    return total


@kernel(nogil=True)
def _quantiles(lines, count, parts, columns):  # type: ignore[no-untyped-def]
    """Walk along each line once per part; a pixel's mass is spread evenly between its edges."""
    h, box = lines.shape
    half = count // 2
    edge = box // 2
    masses = np.empty(2 * edge + 1, np.float32)
    for t in range(h):
        for part in range(parts):
            first = part * half
            total = _unwrap(lines[t], np.float32(1.0 if part == 0 else -1.0), masses)
            if not total > 0.0:
                for j in range(half):
                    columns[t, first + j] = 0.0
                    columns[t + h, first + j] = 0.0
                continue
            j = 0
            before = 0.0
            for s in range(2 * edge + 1):
                mass = masses[s]
                while j < count and mass > 0.0 and (j + 0.5) * total <= (before + mass) * count:
                    position = s - edge - 0.5 + ((j + 0.5) * total / count - before) / mass
                    if j < half:
                        columns[t, first + j] = position
                    else:
                        columns[t + h, first + count - 1 - j] = -position
                    j += 1
                before += mass
            while j < count:  # rounding kept the last one out
                if j < half:
                    columns[t, first + j] = edge + 0.5
                else:
                    columns[t + h, first + count - 1 - j] = -(edge + 0.5)
                j += 1


@kernel(nogil=True)
def _means(lines, means):  # type: ignore[no-untyped-def]
    h, box = lines.shape
    edge = box // 2
    masses = np.empty(2 * edge + 1, np.float32)
    for t in range(h):
        total = _unwrap(lines[t], np.float32(1.0), masses)
        moment = 0.0
        for s in range(2 * edge + 1):
            moment += masses[s] * (s - edge)
        means[t] = moment / total if total > 0.0 else 0.0
