"""Lists of the best entries of each row, kept while candidates pass by: heaps, then sorted lists.

Of equal values the lower row is better. That is a total order: what is kept does not depend on the order of arrival.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.kernels import INNER, kernel


@njit(nogil=True, forceinline=True, **INNER)
def is_better(value, row, other_value, other_row):  # type: ignore[no-untyped-def]
    """Tell whether an entry goes before another."""
    return value > other_value or (value == other_value and row < other_row)


@njit(nogil=True, forceinline=True, **INNER)
def replace_worst(value, row, size, new_value, new_row):  # type: ignore[no-untyped-def]
    """Replace the root of a heap, its worst entry, and let the new one sink."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and is_better(value[child], row[child], value[child + 1], row[child + 1]):
            child += 1
        if not is_better(new_value, new_row, value[child], row[child]):
            break
        value[at], row[at] = value[child], row[child]
        at = child
    value[at], row[at] = new_value, new_row


@kernel(nogil=True)
def offer_rows(block, row, column, value, kept):  # type: ignore[no-untyped-def]
    """Offer a block of values (rows, columns), which starts at (row, column), to the lists of its rows.

    ``value`` (n, count) and ``kept`` are the heaps of all rows, empty entries -inf and a row beyond all. An entry that
    is its own row is passed over.
    """
    for i in range(block.shape[0]):
        here, listed = value[row + i], kept[row + i]
        worst = here[0]
        for c in range(block.shape[1]):
            if block[i, c] >= worst and is_better(block[i, c], column + c, worst, listed[0]) and column + c != row + i:
                replace_worst(here, listed, len(here), block[i, c], column + c)
                worst = here[0]


@kernel(nogil=True)
def offer_columns(block, row, column, value, kept):  # type: ignore[no-untyped-def]
    """Offer the same block to the lists of its columns."""
    worst = np.empty(block.shape[1], np.float32)
    for c in range(block.shape[1]):
        worst[c] = value[column + c, 0]
    for i in range(block.shape[0]):
        for c in range(block.shape[1]):
            if block[i, c] >= worst[c]:
                here, listed = value[column + c], kept[column + c]
                if is_better(block[i, c], row + i, worst[c], listed[0]) and column + c != row + i:
                    replace_worst(here, listed, len(here), block[i, c], row + i)
                    worst[c] = here[0]


@kernel(nogil=True)
def sort_lists(value, kept):  # type: ignore[no-untyped-def]
    """Turn heaps into lists, best first."""
    for i in range(value.shape[0]):
        here, listed = value[i], kept[i]
        for size in range(len(here) - 1, 0, -1):
            worst, row = here[0], listed[0]
            last, last_row = here[size], np.int64(listed[size])  # one type of rows for the heap: it is compiled once
            replace_worst(here, listed, size, last, last_row)
            here[size], listed[size] = worst, row


@kernel(nogil=True)
def best_columns(value, rows, count):  # type: ignore[no-untyped-def]
    """Return the columns (n, count) of the best entries of each row, best first; -1 where there is no more.

    Entries with a negative row or the row itself do not count.
    """
    n = value.shape[0]
    result = np.full((n, count), np.int64(-1), np.int64)
    best, listed = np.empty(count, np.float32), np.empty(count, np.int64)
    for i in range(n):
        # The heap's tie rule wants the row, the result the column: both in one number.
        width = np.int64(value.shape[1])
        best[:] = -np.inf
        listed[:] = np.iinfo(np.int64).max
        for c in range(value.shape[1]):
            if rows[i, c] >= 0 and rows[i, c] != i and value[i, c] >= best[0]:
                label = np.int64(rows[i, c]) * width + c
                if is_better(value[i, c], label, best[0], listed[0]):
                    replace_worst(best, listed, count, value[i, c], label)
        sort_lists(best.reshape(1, -1), listed.reshape(1, -1))
        for s in range(count):
            if listed[s] != np.iinfo(np.int64).max:
                result[i, s] = listed[s] % width
    return result


def empty_lists(n: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return heaps with no entries."""
    return np.full((n, count), -np.inf, np.float32), np.full((n, count), np.iinfo(np.int32).max, np.int32)
