"""Candidates by rotation invariants: the images whose unit vectors have the largest products, plain or mirrored.

All products are computed, each pair's once, by matrix products of fixed tiles, and each image keeps its best ones in a
heap as the tiles pass by: memory does not grow with n^2. Where mirroring only changes signs of components, the products
of mirrored images cost nothing: the sums over the components that stay and over those that change are taken apart.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.best_lists import empty_lists, offer_columns, offer_rows, sort_lists
from cryoalign.core.tiles import run_tiles

SIDE = 512
"""Rows and columns of a tile of products: two of them stay in cache."""


def propose(
    plain: NDArray[np.float32], mirrored: NDArray[np.float32] | None, count: int, threads: int = 1
) -> NDArray[np.int32]:
    """Propose the images that resemble each image most.

    Parameters
    ----------
    plain
        Unit vector of each image, float32 (n, D).
    mirrored
        Unit vector of each mirrored image, float32 (n, D), such that the product of i with mirrored j is that of j with
        mirrored i; None if mirrored views do not count.
    count
        Images proposed for each.
    threads
        Threads; they change no result.

    Returns
    -------
    ndarray
        int32 (n, min(count, n - 1)), largest product first, of equal ones the lower row.
    """
    n = len(plain)
    count = max(0, min(count, n - 1))
    value, rows = empty_lists(n, count)
    if count == 0:
        return rows
    sign = None if mirrored is None else _signs(plain, mirrored)
    if mirrored is None:
        factors = [(plain, plain)]
    elif sign is None:
        factors = [(plain, plain), (plain, mirrored)]
    else:
        factors = [(part, part) for part in (plain[:, sign > 0].copy(), plain[:, sign < 0].copy())]
    locks = [Lock() for _ in range(0, n, SIDE)]

    def compute(tile: tuple[int, int]) -> None:
        i, j = tile
        products, *reflected = (a[i : i + SIDE] @ b[j : j + SIDE].T for a, b in factors)
        if sign is not None:
            # What stays plus or minus what changes its sign, whichever is larger.
            products += np.abs(reflected[0], out=reflected[0])
        elif reflected:
            np.maximum(products, reflected[0], out=products)
        # Tiles share lists; what they keep does not depend on which tile comes first.
        with locks[i // SIDE]:
            offer_rows(products, i, j, value, rows)
        if i != j:
            with locks[j // SIDE]:
                offer_columns(products, i, j, value, rows)

    run_tiles(compute, [(i, j) for i in range(0, n, SIDE) for j in range(i, n, SIDE)], threads)
    sort_lists(value, rows)
    return rows


def _signs(plain: NDArray[np.float32], mirrored: NDArray[np.float32]) -> NDArray[np.int8] | None:
    """Return the sign that mirroring gives each component, shape (D,); None if it does more than that."""
    sign = np.ones(plain.shape[1], np.int8)
    for d in range(plain.shape[1]):
        if not np.array_equal(plain[:, d], mirrored[:, d]):
            sign[d] = -1
            if not np.array_equal(plain[:, d], -mirrored[:, d]):
                return None
    return sign
