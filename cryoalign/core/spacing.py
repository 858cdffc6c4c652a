"""Points that keep their distance: of neighbours closer than a limit, the one of higher priority stays.

Greedy in the order of priority, so the points kept are the one maximal set with this property: no two of them are
within the limit, and every point left out has a kept one of higher priority within it. Neighbours come from a k-d tree
(Bentley, Commun. ACM 18:509, 1975).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_PAIRS = 20_000_000
"""Pairs that are held at once; 16 bytes each."""
_CROWD = 4096
"""Points taken at once where there are more pairs than that: at most 8 million pairs."""


def keep_apart(points: ArrayLike, groups: ArrayLike, order: ArrayLike, distance: float) -> NDArray[np.bool_]:
    """Choose points so that no two of the same group are within a distance.

    Parameters
    ----------
    points
        Shape (n, d).
    groups
        Whole numbers, shape (n,); points of different groups never meet.
    order
        Rows by priority, the highest first: a permutation of 0 .. n - 1.
    distance
        In the unit of the points, 0 or more. Points at exactly this distance are within it.

    Returns
    -------
    NDArray
        bool, shape (n,): which points stay. A function of points, groups and priority alone: the order in which
        points are listed does not matter.

    Raises
    ------
    ValueError
        If shapes do not fit or the distance is negative.
    """
    points = np.asarray(points, dtype=np.float64)
    groups = np.asarray(groups, dtype=np.int64)
    order = np.asarray(order, dtype=np.int64)
    if points.ndim != 2 or groups.shape != (len(points),) or order.shape != (len(points),):
        raise ValueError(f"{points.shape} points, {groups.shape} groups and {order.shape} places do not fit")
    if not distance >= 0:
        raise ValueError(f"negative distance {distance}")
    keep = np.ones(len(points), np.bool_)
    if len(points) == 0:
        return keep
    # Groups become one more coordinate with steps beyond reach; within a group it adds exactly nothing.
    _, level = np.unique(groups, return_inverse=True)
    apart = np.column_stack([points, level * (2.0 * max(distance, 1.0))])[order]
    tree = _tree(apart)
    if (tree.count_neighbors(tree, distance) - len(apart)) // 2 <= _PAIRS:
        kept = _greedy(len(apart), tree.query_pairs(distance, output_type="ndarray"))
    else:
        kept = _in_crowds(apart, distance)
    keep[order] = kept
    return keep


def _tree(points: NDArray) -> Any:
    # Unbalanced trees are built much faster and serve as well.
    from scipy.spatial import cKDTree  # slow to import, rarely needed

    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def _greedy(count: int, pairs: NDArray) -> NDArray[np.bool_]:
    """Decide from all pairs; points are listed by priority."""
    kept = np.ones(count, np.bool_)
    if len(pairs) == 0:
        return kept
    pairs = np.sort(pairs, axis=1)  # the better one first
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    better, start = np.unique(pairs[:, 0], return_index=True)
    stop = [*start[1:].tolist(), len(pairs)]
    for point, first, last in zip(better.tolist(), start.tolist(), stop, strict=True):
        if kept[point]:
            kept[pairs[first:last, 1]] = False
    return kept


def _in_crowds(apart: NDArray, distance: float) -> NDArray[np.bool_]:
    """Decide a few points at a time, where so many are close together that not all pairs can be held."""
    kept = np.zeros(len(apart), np.bool_)
    for first in range(0, len(apart), _CROWD):
        rows = np.arange(first, min(first + _CROWD, len(apart)))
        earlier = apart[:first][kept[:first]]
        if len(earlier):
            # The bound of a query excludes itself, so it lies a little beyond the distance (and its square above 0).
            bound = distance * (1 + 1e-9) + 1e-100
            near, _ = _tree(earlier).query(apart[rows], k=1, distance_upper_bound=bound)
            rows = rows[~(near <= distance)]
        if len(rows):
            kept[rows] = _greedy(len(rows), _tree(apart[rows]).query_pairs(distance, output_type="ndarray"))
    return kept
