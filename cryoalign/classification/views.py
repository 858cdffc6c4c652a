"""Which views get an average: a covering set of well separated ones, the most coherent first.

How far a view can be trusted is read from the graph: neighbours of a true view are each other's neighbours, those of an
image of nothing lie anywhere, or among others of its kind, each with neighbours of its own.

Views lie apart as far as their neighbour lists say: an edge is as long as the root of its rank, since a disc on the
sphere of views holds as many images as its radius squared. So views are close together where there are many images, and
mirrored views, which share their neighbours, count as one. Only edges that both ends list are walked, lest an image of
nothing, whose neighbours lie anywhere, join views that are far apart. The greedy choice of centres by falling score
with a radius of exclusion is that of J. A. Hartigan's leader algorithm ("Clustering Algorithms", 1975, chapter 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from cryoalign.classification.classification import Classification
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.errors import InputError

MOST_VIEWS, IMAGES_PER_VIEW = 100, 50
"""Views that are chosen where nobody says how many: one for so many images, but no more than that."""
COHERENT_SHARE = 0.6
"""Views below this share of the coherence that a quarter of all exceed are no centres while there are better ones."""
_HALVINGS = 16
_ROWS = 2048


def default_count(n: int) -> int:
    """Return how many views are chosen among n images where nobody says."""
    return max(1, min(MOST_VIEWS, n // IMAGES_PER_VIEW))


def choose_views(
    classification: Classification,
    count: int | None = None,
    *,
    min_class_size: int = 1,
    among: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Choose well separated views that cover the others.

    Parameters
    ----------
    classification
        Of n images.
    count
        Views wanted; None = :func:`default_count`.
    min_class_size
        Views with fewer neighbours are not chosen.
    among
        Rows to choose from; None = all.

    Returns
    -------
    NDArray
        Rows of the images in the middle of the views, most coherent first, int64; fewer than ``count`` where there are
        not as many to choose from.

    Raises
    ------
    InputError
        If no view has as many neighbours.
    """
    lists = classification.neighbours
    score = coherence(lists)
    wanted = default_count(len(lists)) if count is None else count
    usable = _usable(lists, min_class_size)
    if among is not None:
        usable &= np.isin(np.arange(len(usable)), among)
    # Short lists leave many alike: of these the image that agrees best with its neighbours, then the first row.
    order = np.lexsort((np.arange(len(score)), -classification.quality.astype(np.float64), -score))
    order = order[usable[order]]
    if wanted >= len(order):
        return order.astype(np.int64)
    graph = mutual_graph(lists)
    trusted = order[score[order] >= COHERENT_SHARE * np.percentile(score[usable], 75)]
    candidates = trusted if len(trusted) >= wanted else order
    # The widest separation that leaves enough views; with none, the best of all would do.
    low, high = 0.0, float(np.sqrt(len(lists)))
    chosen = candidates[:wanted]
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        found = _leaders(graph, candidates, middle, wanted)
        if len(found) < wanted:
            high = middle
        else:
            low, chosen = middle, found
    return chosen.astype(np.int64)


def given_views(
    classification: Classification, rows: Sequence[int] | NDArray | None, *, min_class_size: int = 1
) -> NDArray[np.int64]:
    """Return the given rows (0-based; None = every image) that have enough neighbours, in their order.

    Raises
    ------
    InputError
        If a row does not exist, or none has enough neighbours.
    """
    n = len(classification.neighbours)
    asked = np.arange(n) if rows is None else np.asarray(rows, np.int64)
    outside = np.flatnonzero((asked < 0) | (asked >= n))
    if len(outside):
        raise InputError(f"there are {n} images", value=int(asked[outside[0]]) + 1, hint="rows count from 1")
    return asked[_usable(classification.neighbours, min_class_size)[asked]].astype(np.int64)


def coherence(lists: NeighbourLists) -> NDArray[np.float64]:
    """Return the mean share of an image's neighbours that its neighbours list too, float64 (n,) in [0, 1]."""
    n, k = lists.index.shape
    present = lists.index >= 0
    row = np.repeat(np.arange(n), present.sum(axis=1))
    listed = csr_array((np.ones(len(row)), (row, lists.index[present].astype(np.int64))), shape=(n, n))
    shared = np.zeros(n)
    for start in range(0, n, _ROWS):
        block = listed[start : start + _ROWS]
        shared[start : start + _ROWS] = (block @ listed.T).multiply(block).sum(axis=1)
    counts = np.maximum(present.sum(axis=1), 1)
    return np.asarray(shared / counts / max(k, 1))


def mutual_graph(lists: NeighbourLists) -> csr_array:
    """Return the edges that both ends list, each as long as the root of its higher rank (from 1), (n, n)."""
    n, k = lists.index.shape
    row, rank = np.divmod(np.flatnonzero(lists.index.ravel() >= 0), max(k, 1))
    column = lists.index[row, rank].astype(np.int64)
    length = np.sqrt(rank + 1.0)
    there = coo_array((length, (row, column)), shape=(n, n)).tocsr()
    # An element-wise product with the transpose's pattern keeps mutual edges; their lengths are looked up alike.
    mutual = there.multiply(there.T.tocsr() > 0).tocsr()
    return csr_array(mutual.maximum(mutual.T))


def _usable(lists: NeighbourLists, min_class_size: int) -> NDArray[np.bool_]:
    enough = (lists.index >= 0).sum(axis=1) >= max(min_class_size, 1)
    if not enough.any():
        if min_class_size <= 1:
            raise InputError("no particle has a neighbour", hint="give more particles")
        raise InputError(
            "no view has as many neighbours as asked for", value=min_class_size,
            hint="a smaller --min-class-size, or more particles",
        )  # fmt: skip
    return np.asarray(enough)


def _leaders(graph: csr_array, order: NDArray[np.int64], radius: float, most: int) -> NDArray[np.int64]:
    """Go down the order and take what no one taken before covers within the radius; stop at so many."""
    from scipy.sparse.csgraph import dijkstra  # slow to import, not needed where every particle has a view

    free = np.ones(graph.shape[0], bool)
    chosen: list[int] = []
    for row in order.tolist():
        if not free[row]:
            continue
        chosen.append(row)
        if len(chosen) == most:
            break
        distance = dijkstra(graph, indices=row, limit=radius)
        free[np.isfinite(distance)] = False
    return np.asarray(chosen, np.int64)
