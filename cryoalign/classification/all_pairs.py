"""Exact scores of all pairs: nearest neighbours without candidates, and graphs of all pairs above a threshold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pair_score import score_pairs, top_neighbours


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Pairs i < j, in order of i, then j; the pose brings image j onto image i.

    Parameters
    ----------
    i, j
        Rows, int32 (m,).
    score
        float32 (m,).
    angle_deg
        In (-180, 180], float32 (m,).
    mirror
        Whether j is mirrored, bool (m,).
    """

    i: NDArray[np.int32]
    j: NDArray[np.int32]
    score: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    mirror: NDArray[np.bool_]


def all_neighbours(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    k: int,
    offset: ArrayLike | None = None,
    *,
    mirror: bool = True,
    threads: int = 1,
) -> NeighbourLists:
    """Find the k best others of each image among all.

    Parameters
    ----------
    coefficients, frequency, offset, mirror, threads
        As for :func:`cryoalign.classification.pair_score.score_pairs`.
    k
        Neighbours of each image.
    """
    n = len(coefficients)
    rows = np.broadcast_to(np.arange(n, dtype=np.int32), (n, n)).copy()
    np.fill_diagonal(rows, -1)
    return top_neighbours(rows, score_pairs(coefficients, frequency, rows, offset, mirror=mirror, threads=threads), k)


def pairs_above(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    threshold: float,
    offset: ArrayLike | None = None,
    *,
    mirror: bool = True,
    threads: int = 1,
) -> Iterator[PairBlock]:
    """Yield all pairs i < j whose score is at least a threshold (-inf for all), in blocks of ascending i.

    Parameters
    ----------
    coefficients, frequency, offset, mirror, threads
        As for :func:`cryoalign.classification.pair_score.score_pairs`.
    threshold
        Lowest score.
    """
    n = len(coefficients)
    rows = np.broadcast_to(np.arange(n, dtype=np.int32), (n, n))
    rows = np.where(rows > np.arange(n)[:, None], rows, -1).astype(np.int32)
    found = score_pairs(coefficients, frequency, rows, offset, mirror=mirror, threads=threads)
    i, j = np.nonzero((rows >= 0) & (found.score >= threshold))
    yield PairBlock(
        i.astype(np.int32), j.astype(np.int32), found.score[i, j], found.angle_deg[i, j], found.mirror[i, j]
    )
