"""Plain counts over neighbour lists: their first and last entries, how often a particle is a neighbour, who is mutual.

A particle that is a neighbour of very many others is a hub (M. Radovanovic, A. Nanopoulos and
M. Ivanovic, J. Mach. Learn. Res. 11, 2010, 2487-2531).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def lists_ends(i: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the first and last edge of each list, where edges (E,) are grouped by `i`."""
    rows = np.asarray(i)
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]])) if len(rows) else np.zeros(0, np.int64)
    return starts, np.append(starts[1:], len(rows))[: len(starts)] - 1


def in_degree(j: ArrayLike, particles: int) -> NDArray[np.int64]:
    """Return (particles,) how often each row stands in `j`."""
    return np.bincount(np.asarray(j, np.int64), minlength=particles)


def mutual_share(i: ArrayLike, j: ArrayLike, particles: int) -> tuple[int, int]:
    """Return (edges whose opposite is there too, edges whose opposite could be: those to rows that have a list)."""
    start, end = np.asarray(i, np.int64), np.asarray(j, np.int64)
    has_list = np.zeros(particles, bool)
    has_list[start] = True
    kept = has_list[end]
    start, end = start[kept], end[kept]
    there = np.sort(start * particles + end)
    opposite = end * particles + start
    place = np.minimum(np.searchsorted(there, opposite), max(0, len(there) - 1))
    return int(np.count_nonzero(there[place] == opposite)) if len(there) else 0, len(there)
