"""Exact scores of all pairs: nearest neighbours without candidates, and graphs of all pairs above a threshold.

The sums over the components are matrix products, FIRST_ROWS x LANES pairs at a time in registers, and so are those over
the angular frequencies for a grid of angles; what leaves the cache is one score a pair. Each pair is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.best_lists import empty_lists, offer_columns, offer_rows, sort_lists
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pair_kernels import COARSE, FINE, AngleGrid, angle_grid, pack_images_in_lanes, score_block
from cryoalign.classification.pair_score import score_pairs, top_neighbours
from cryoalign.core.tiles import TILE, map_tiles, run_tiles

ROWS, COLUMNS = TILE, 512
"""Pairs of a tile: COLUMNS is a multiple of ROWS."""
STRONGEST, LOW = 60, 10
"""Components by which candidates are told, and the highest frequency of these."""
SPARE_SHARE, SPARE = 2, 16
"""By the grid's scores twice k and 16 entries are kept, from which the exact ones choose."""


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


def screen_pairs(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    count: int,
    offset: ArrayLike | None = None,
    *,
    mirror: bool = True,
    threads: int = 1,
) -> NDArray[np.int32]:
    """List for each image the others whose scores on a grid of angles are highest, among all.

    Parameters
    ----------
    coefficients, frequency, offset, mirror, threads
        As for :func:`cryoalign.classification.pair_score.score_pairs`; for candidates the components of
        :func:`strongest_components` are enough.
    count
        Images listed for each.

    Returns
    -------
    ndarray
        int32 (n, min(count, n - 1)), best first, of equal ones the lower row.
    """
    n = len(coefficients)
    count = max(0, min(n - 1, count))
    value, rows = empty_lists(n, count)
    if count == 0:
        return rows
    operands = _operands(coefficients, frequency, offset, mirror, COARSE)
    locks = [Lock() for _ in range(0, n, ROWS)]

    def compute(tile: tuple[int, int]) -> None:
        i, j = tile
        score, _, _ = operands.scores(i, j, climb=False)
        with locks[i // ROWS]:
            offer_rows(score, i, j, value, rows)
        for first in range(j, j + score.shape[1], ROWS):
            # On the diagonal rows and columns hold the same pairs.
            if first > i:
                with locks[first // ROWS]:
                    block = np.ascontiguousarray(score[:, first - j : first - j + ROWS])
                    offer_columns(block, i, first, value, rows)

    run_tiles(compute, _tiles(n), threads)
    sort_lists(value, rows)
    return rows


def strongest_components(coefficients: NDArray[np.complex64], frequency: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose components by which candidates can be told: the strongest `STRONGEST` of frequencies up to `LOW`.

    Where there are none (in noise) the strongest of any frequency.
    """
    power = np.mean(coefficients.real.astype(np.float64) ** 2 + coefficients.imag.astype(np.float64) ** 2, axis=0)
    low = frequency <= LOW
    order = np.argsort(np.where(low | (not low.any()), -power, 0.0), kind="stable")[:STRONGEST]
    return np.sort(order[low[order]] if low.any() else order)


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
    rows = screen_pairs(coefficients, frequency, SPARE_SHARE * k + SPARE, offset, mirror=mirror, threads=threads)
    scores = score_pairs(coefficients, frequency, rows, offset, mirror=mirror, threads=threads)
    return top_neighbours(rows, scores, k)


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
    operands = _operands(coefficients, frequency, offset, mirror, FINE)

    def compute(tile: tuple[int, int]) -> PairBlock:
        row, column = tile
        score, angle, flipped = operands.scores(row, column, climb=True)
        above = score >= threshold
        above &= np.arange(row, row + score.shape[0])[:, None] < np.arange(column, column + score.shape[1])
        i, j = np.nonzero(above)
        where = (i + row).astype(np.int32), (j + column).astype(np.int32)
        return PairBlock(*where, score[i, j], angle[i, j], flipped[i, j])

    yield from map_tiles(compute, _tiles(len(coefficients)), threads)


def _tiles(n: int) -> Iterator[tuple[int, int]]:
    """List the tiles of all pairs i <= j by first row and first column."""
    for i in range(0, n, ROWS):
        for j in range(i, n, COLUMNS):
            yield i, j


@dataclass(frozen=True, eq=False)
class _Operands:
    """All images, laid out for the products."""

    n: int
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    starts: NDArray[np.int64]
    grid: AngleGrid
    offset: NDArray[np.float32]
    mirror: bool

    def scores(
        self, i: int, j: int, *, climb: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Return scores of the tile at (i, j), and if ``climb`` angles and hands."""
        shape = min(ROWS, self.n - i), min(COLUMNS, self.n - j)
        score, some = np.empty(shape, np.float32), shape if climb else (0, 0)
        angle, flipped = np.empty(some, np.float32), np.empty(some, np.bool_)
        score_block(
            self.rows, self.columns, self.starts, self.grid, self.offset, self.mirror, climb, i, j,
            score, angle, flipped,
        )  # fmt: skip
        return score, angle, flipped


def _operands(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    offset: ArrayLike | None,
    mirror: bool,
    weak: float,
) -> _Operands:
    n, size = coefficients.shape
    g = np.zeros(n, np.float32) if offset is None else np.asarray(offset, np.float32)
    if frequency.shape != (size,) or len(g) != n:
        raise ValueError("coefficients, frequencies and offsets do not fit each other")
    k_max = int(np.max(frequency, initial=0))
    starts = np.searchsorted(frequency, np.arange(k_max + 2)).astype(np.int64)
    rows = np.zeros((-(-n // ROWS) * ROWS, size, 2), np.float32)
    rows[:n, :, 0], rows[:n, :, 1] = coefficients.real, coefficients.imag
    return _Operands(
        n, rows, pack_images_in_lanes(coefficients), starts, angle_grid(coefficients, frequency, weak), g, mirror
    )
