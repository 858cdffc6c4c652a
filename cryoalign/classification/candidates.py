"""Candidates by rotation invariants: the images whose unit vectors have the largest products, plain or mirrored.

All products are computed, by matrix products of fixed tiles, and each row keeps its best ones in a heap as the tiles
pass by, so that memory does not grow with n^2.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.classification.tile_pool import run_tiles

TILE_ROWS, TILE_COLUMNS = 256, 2048
"""Rows and columns of one tile of products: it stays in cache."""


def propose(
    plain: NDArray[np.float32], mirrored: NDArray[np.float32] | None, count: int, threads: int = 1
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Propose the images that resemble each image most.

    Parameters
    ----------
    plain
        Unit vector of each image, float32 (n, D).
    mirrored
        Unit vector of each mirrored image, float32 (n, D); None if mirrored views do not count.
    count
        Images proposed for each.
    threads
        Threads; they change no result.

    Returns
    -------
    rows, mirror
        int32 (n, min(count, n - 1)), largest product first, of equal ones the lower row; and whether the mirrored
        image resembles more, bool of the same shape.
    """
    n = len(plain)
    count = max(0, min(count, n - 1))
    rows, flip = np.full((n, count), -1, np.int32), np.zeros((n, count), bool)
    if count == 0:
        return rows, flip

    def compute(begin: int) -> None:
        stop = min(begin + TILE_ROWS, n)
        value = np.full((stop - begin, count), -np.inf, np.float32)
        for first in range(0, n, TILE_COLUMNS):
            last = min(first + TILE_COLUMNS, n)
            products = plain[begin:stop] @ plain[first:last].T
            reflected = products if mirrored is None else plain[begin:stop] @ mirrored[first:last].T
            _keep(products, reflected, begin, first, value, rows[begin:stop], flip[begin:stop])
        _sort(value, rows[begin:stop], flip[begin:stop])

    run_tiles(compute, range(0, n, TILE_ROWS), threads)
    return rows, flip


@njit(cache=True, nogil=True)
def _keep(products, reflected, begin, first, value, rows, flip):  # type: ignore[no-untyped-def]
    """Offer a tile of products to the heaps of its rows; the worst kept one is at the root."""
    for i in range(products.shape[0]):
        worst = value[i, 0]
        for c in range(products.shape[1]):
            best = max(products[i, c], reflected[i, c])
            # Columns come in ascending order: a later equal one never replaces an earlier.
            if best > worst and first + c != begin + i:
                _sift(value[i], rows[i], flip[i], len(rows[i]), best, first + c, reflected[i, c] > products[i, c])
                worst = value[i, 0]


@njit(nogil=True, forceinline=True)
def _sift(value, rows, flip, size, new, row, mirror):  # type: ignore[no-untyped-def]
    """Replace the root of a heap and let it sink; below: a lower value, or the same and a higher row."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            value[other] < value[child] or (value[other] == value[child] and rows[other] > rows[child])
        ):
            child = other
        if value[child] < new or (value[child] == new and rows[child] > row):
            value[at], rows[at], flip[at] = value[child], rows[child], flip[child]
            at = child
        else:
            break
    value[at], rows[at], flip[at] = new, row, mirror


@njit(cache=True, nogil=True)
def _sort(value, rows, flip):  # type: ignore[no-untyped-def]
    """Turn heaps into lists, best first."""
    for i in range(len(value)):
        for size in range(value.shape[1] - 1, 0, -1):
            low, row, mirror = value[i, 0], rows[i, 0], flip[i, 0]
            _sift(value[i], rows[i], flip[i], size, value[i, size], rows[i, size], flip[i, size])
            value[i, size], rows[i, size], flip[i, size] = low, row, mirror
