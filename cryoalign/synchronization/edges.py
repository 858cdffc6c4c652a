"""Edges of a graph of images, i < j, weighted by how near the two are.

A k-nearest list is directed and lists many pairs twice. Here an edge stands as i < j, with the pose that brings image
j onto image i; the other direction is the inverse pose. `undirected` keeps the best edge of a pair, `every_edge` all
that say different things.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.poses import PosedEdges, Poses, wrap_degrees


@dataclass(frozen=True, eq=False)
class EdgeList(PosedEdges):
    """Undirected edges between n images, sorted by (i, j); make one with `undirected` or `every_edge`.

    Parameters
    ----------
    n
        Number of images.
    i, j
        Rows, int32 (E,), i < j.
    angle_deg
        psi of the pose that brings j onto i, float32 (E,), in (-180, 180].
    mirror
        Whether j is mirrored, bool (E,).
    shift_px
        d = (dx, dy) of that pose, float32 (E, 2).
    weight
        Weights >= 0, float32 (E,).
    """

    n: int
    i: NDArray[np.int32]
    j: NDArray[np.int32]
    angle_deg: NDArray[np.float32]
    mirror: NDArray[np.bool_]
    shift_px: NDArray[np.float32]
    weight: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of edges."""
        return len(self.i)

    def with_weight(self, weight: ArrayLike) -> EdgeList:
        """Return the same edges with other weights."""
        weight = np.asarray(weight, dtype=np.float32)
        return EdgeList(self.n, self.i, self.j, self.angle_deg, self.mirror, self.shift_px, weight)

    def take(self, rows: ArrayLike) -> EdgeList:
        """Return some edges; ``rows`` is a mask, or ascending positions."""
        rows = np.asarray(rows)
        parts = (part[rows] for part in (self.i, self.j, self.angle_deg, self.mirror, self.shift_px, self.weight))
        return EdgeList(self.n, *parts)


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Both directions of an edge list, in compressed rows: row i holds entries ``start[i]:start[i + 1]``.

    Parameters
    ----------
    start
        int64 (n + 1,).
    index
        The other image of each entry, int32 (2 E,).
    edge
        Position of the edge in its list, int32 (2 E,).
    angle_rad
        psi of the pose that brings ``index`` onto the row's image, float32 (2 E,), in radians.
    mirror
        Whether the other image is mirrored, bool (2 E,).
    """

    start: NDArray[np.int64]
    index: NDArray[np.int32]
    edge: NDArray[np.int32]
    angle_rad: NDArray[np.float32]
    mirror: NDArray[np.bool_]


def undirected(
    n: int,
    i: ArrayLike,
    j: ArrayLike,
    angle_deg: ArrayLike,
    mirror: ArrayLike | None = None,
    shift_px: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    rank: ArrayLike | None = None,
) -> EdgeList:
    """Turn directed edges into an edge list.

    Edges with i > j are inverted. Of edges that join the same two images the one with the highest rank is kept (of
    equal ones the first), with the highest of their weights. Edges from an image to itself are dropped.

    Parameters
    ----------
    n
        Number of images.
    i, j, angle_deg, mirror, shift_px, weight
        As in `EdgeList`, in any order, (E,) and (E, 2); no mirrors, no shifts and weights of 1 if omitted.
    rank
        What decides between two edges of a pair, (E,); the weight if omitted.

    Raises
    ------
    InputError
        A row is not in 0..n-1, or a weight is negative or not finite.
    """
    first, second, angles, flips, shifts, weights = _columns(n, i, j, angle_deg, mirror, shift_px, weight)
    order = _best_first(n, first, second, weights if rank is None else np.asarray(rank))
    key = (np.minimum(first, second) * n + np.maximum(first, second))[order]
    head = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
    highest = np.maximum.reduceat(weights[order], head) if len(head) else np.zeros(0, np.float32)
    rows = order[head]
    first, second, angles, flips, shifts = first[rows], second[rows], angles[rows], flips[rows], shifts[rows]
    low, high, angles, shifts = _ascending(first, second, angles, flips, shifts)
    return EdgeList(n, low, high, angles, flips, shifts, highest)


def every_edge(
    n: int,
    i: ArrayLike,
    j: ArrayLike,
    angle_deg: ArrayLike,
    mirror: ArrayLike | None = None,
    shift_px: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> EdgeList:
    """Turn directed edges into an edge list that keeps edges of one pair that disagree.

    Edges with i > j are inverted. Edges from an image to itself are dropped, and so is an edge that repeats another
    exactly (same two images, same pose to 1e-3 degrees and pixels after inversion, same weight).

    Parameters
    ----------
    n
        Number of images.
    i, j, angle_deg, mirror, shift_px, weight
        As in `EdgeList`, in any order, (E,) and (E, 2); no mirrors, no shifts and weights of 1 if omitted.

    Raises
    ------
    InputError
        A row is not in 0..n-1, an angle or shift is not finite, or a weight is negative or not finite.
    """
    first, second, angles, flips, shifts, weights = _columns(n, i, j, angle_deg, mirror, shift_px, weight)
    wrong = np.flatnonzero(~(np.isfinite(angles) & np.isfinite(shifts).all(axis=1)))
    if len(wrong):
        raise InputError(f"edge {wrong[0] + 1} has an unusable angle or shift", value=float(angles[wrong[0]]))
    low, high, angles, shifts = _ascending(first, second, angles.copy(), flips, shifts.copy())
    angles = wrap_degrees(angles).astype(np.float32)
    # Only pairs that stand more than once are put in order by the rest.
    key = low.astype(np.int64) * n + high
    order = np.argsort(key, kind="stable")
    order = order[low[order] != high[order]]
    same = key[order][1:] == key[order][:-1]
    twice = np.flatnonzero(np.r_[False, same] | np.r_[same, False]) if len(order) else order
    rest = order[twice]
    by = (weights[rest], shifts[rest, 1], shifts[rest, 0], angles[rest], flips[rest], key[rest])
    order[twice] = rest[np.lexsort(by)]
    low, high, angles, shifts = low[order], high[order], angles[order], shifts[order]
    flips, weights = flips[order], weights[order]
    repeat = np.zeros(len(low), bool)
    repeat[1:] = (
        (low[1:] == low[:-1])
        & (high[1:] == high[:-1])
        & (flips[1:] == flips[:-1])
        & (np.abs(np.diff(angles)) < 1e-3)
        & (np.abs(np.diff(shifts, axis=0)) < 1e-3).all(axis=1)
        & (weights[1:] == weights[:-1])
    )
    return EdgeList(n, low, high, angles, flips, shifts, weights).take(~repeat)


def _columns(
    n: int,
    i: ArrayLike,
    j: ArrayLike,
    angle_deg: ArrayLike,
    mirror: ArrayLike | None,
    shift_px: ArrayLike | None,
    weight: ArrayLike | None,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float32],
    NDArray[np.bool_],
    NDArray[np.float32],
    NDArray[np.float32],
]:
    """Bring the columns of an edge table to their types, with defaults, and check rows and weights."""
    first, second = (np.asarray(rows, dtype=np.int64).ravel() for rows in (i, j))
    count = len(first)
    for rows in (first, second):
        wrong = np.flatnonzero((rows < 0) | (rows >= n))
        if len(wrong):
            raise InputError(
                f"edge {wrong[0] + 1} names row {rows[wrong[0]] + 1} of {n} images", hint="rows run from 1"
            )
    weights = np.ones(count, np.float32) if weight is None else np.asarray(weight, dtype=np.float32)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise InputError(f"edge {wrong[0] + 1} has an unusable weight", value=float(weights[wrong[0]]))
    shifts = np.zeros((count, 2), np.float32) if shift_px is None else np.asarray(shift_px, dtype=np.float32)
    flips = np.zeros(count, bool) if mirror is None else np.asarray(mirror, dtype=bool)
    angles = np.asarray(angle_deg, dtype=np.float32).ravel()
    return first, second, angles, flips, shifts, weights


def _ascending(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    angles: NDArray[np.float32],
    flips: NDArray[np.bool_],
    shifts: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Invert the edges with i > j; angles and shifts are changed in place."""
    turned = first > second
    back = Poses(angles[turned], shifts[turned, 0], shifts[turned, 1], flips[turned]).inverse()
    angles[turned], shifts[turned, 0], shifts[turned, 1] = back.psi, back.dx, back.dy
    low, high = np.minimum(first, second).astype(np.int32), np.maximum(first, second).astype(np.int32)
    return low, high, angles, shifts


def _best_first(n: int, first: NDArray, second: NDArray, rank: NDArray) -> NDArray[np.int64]:
    """Order edges by pair, and within a pair by falling rank; loops are left out."""
    kept = np.flatnonzero(first != second)
    by_rank = kept[np.argsort(-rank[kept], kind="stable")]
    key = np.minimum(first, second)[by_rank] * n + np.maximum(first, second)[by_rank]
    return by_rank[np.argsort(key, kind="stable")]


def adjacency(edges: EdgeList) -> Adjacency:
    """List both directions of every edge by image, in a fixed order."""
    row = np.concatenate([edges.i, edges.j])
    other = np.concatenate([edges.j, edges.i])
    edge = np.tile(np.arange(len(edges), dtype=np.int32), 2)
    order = np.argsort(row, kind="stable")
    angle = np.deg2rad(edges.angle_deg)
    # The inverse of (psi, mirror) is (psi, mirror), of (psi, no mirror) it is (-psi, no mirror).
    both = np.concatenate([angle, np.where(edges.mirror, angle, -angle)])
    start = np.zeros(edges.n + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=edges.n), out=start[1:])
    flips = np.tile(edges.mirror, 2)
    return Adjacency(start, other[order], edge[order], both[order].astype(np.float32), flips[order])
