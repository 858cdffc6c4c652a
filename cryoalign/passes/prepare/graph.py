"""Between neighbour lists of prepared images and graphs of the particle table.

Lists count usable images and prepared pixels; graphs count rows of the table and raw pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.list_edges import higher_of_both, list_weights, pair_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.io.graph_file import Graph
from cryoalign.passes.prepare.prepared import Prepared

_LONGEST = 1 << 28
"""Places in padded lists, at most."""


def graph_of_lists(
    lists: NeighbourLists,
    distance: NDArray[np.floating],
    prepared: Prepared,
    metric: str,
    *,
    weight: NDArray[np.floating] | None = None,
    of: NDArray[np.integer] | None = None,
    max_distance: float | None = None,
) -> Graph:
    """Return the directed graph of neighbour lists: the rows of an image together, nearest first.

    Parameters
    ----------
    lists
        Of the usable images, (m, k); entries with index -1 are left out.
    distance, weight
        Of each entry, (m, k); None = weighted by how near it is in its list.
    prepared
        What the lists speak of.
    metric
        What the distance is.
    of
        Images whose lists are wanted, ascending; None = all.
    max_distance
        Leave out what is further.

    Raises
    ------
    InputError
        If no edge is left.
    """
    chosen = np.arange(len(lists)) if of is None else np.asarray(of)
    index, far = lists.index[chosen], np.asarray(distance)[chosen]
    there = index >= 0
    if max_distance is not None:
        there &= far <= max_distance
    if not there.any():
        if max_distance is None:
            raise InputError("no particle has a neighbour", hint="give more particles")
        raise InputError(
            "no two particles are as near as --max-distance", value=max_distance,
            hint=f"the nearest are {float(far[index >= 0].min(initial=np.inf)):.4g} apart",
        )  # fmt: skip
    here, place = np.nonzero(there)
    i = chosen[here]
    j = index[here, place]
    weights = higher_of_both(i, j, list_weights(lists)[i, place]) if weight is None else weight[i, place]
    return graph_of_edges(
        i, j, far[here, place], lists.angle_deg[i, place], lists.shift_px[i, place],
        lists.mirror[i, place], prepared, metric, weight=weights,
        score=lists.score[i, place],
    )  # fmt: skip


def graph_of_edges(
    i: NDArray[np.integer],
    j: NDArray[np.integer],
    distance: NDArray[np.floating],
    angle_deg: NDArray[np.floating],
    shift_px: NDArray[np.floating],
    mirror: NDArray[np.bool_],
    prepared: Prepared,
    metric: str,
    *,
    weight: NDArray[np.floating] | None = None,
    score: NDArray[np.floating] | None = None,
) -> Graph:
    """Return the graph of edges between usable images; shifts are in prepared pixels.

    Edges without a weight are pairs, weighted by how near they are among those of either image.
    """
    plan, rows = prepared.plan, prepared.rows
    angle = np.asarray(angle_deg, np.float32)
    return Graph(
        n=len(plan.particles), i=rows[i], j=rows[j], distance=np.maximum(distance, 0).astype(np.float32),
        angle_deg=np.where(angle <= -180, angle + np.float32(360), angle),
        shift_px=(np.asarray(shift_px) * plan.raw_per_prepared).astype(np.float32),
        mirror=np.asarray(mirror, np.bool_), name=np.asarray(plan.particles.image_names(), dtype=np.str_),
        box=plan.raw_box, pixel_size_angstrom=plan.raw_pixel_size, metric=metric,
        weight=np.asarray(pair_weights(i, j, distance) if weight is None else weight, np.float32),
        score=None if score is None else np.asarray(score, np.float32),
    )  # fmt: skip


def lists_of_graph(graph: Graph, prepared: Prepared) -> NeighbourLists:
    """Return the neighbour lists of a graph, best first: by its score, or the nearest where it has none.

    Where each pair is there once, the other direction is added with the inverse pose. Edges of rows that are not usable
    are left out; of several edges (i, j) the best one counts.

    Raises
    ------
    InputError
        If no edge is left, or lists would be too long.
    """
    place = np.full(graph.n, -1, np.int64)
    place[prepared.rows] = np.arange(len(prepared.rows))
    scale = prepared.plan.box / (graph.box or prepared.plan.raw_box)
    poses = graph.poses(scale=scale)
    score = (-graph.distance if graph.score is None else graph.score).astype(np.float32)
    i, j = place[graph.i], place[graph.j]
    if graph.each_pair_once:
        i, j, score = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([score, score])
        poses = Poses.concatenate([poses, poses.inverse()])
    good = np.flatnonzero((i >= 0) & (j >= 0))
    # The best edge of each pair comes first; then lists by score.
    order = good[np.lexsort((-score[good], j[good], i[good]))]
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(i[order]) != 0) | (np.diff(j[order]) != 0)
    order = order[first]
    order = order[np.lexsort((j[order], -score[order], i[order]))]
    if not len(order):
        raise InputError("the graph has no edges between usable particles")
    n = len(prepared.rows)
    start = np.searchsorted(i[order], np.arange(n))
    rank = np.arange(len(order)) - start[i[order]]
    k = int(rank.max()) + 1
    if n * k > _LONGEST:
        raise InputError(
            f"a particle has {k} neighbours in the graph: lists of {n} particles would be too long",
            hint="make the graph with -k, or a smaller --max-distance",
        )  # fmt: skip
    index, values = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
    angle, mirror, shift = np.zeros((n, k), np.float32), np.zeros((n, k), np.bool_), np.zeros((n, k, 2), np.float32)
    at = i[order], rank
    index[at], values[at], angle[at], mirror[at] = j[order], score[order], poses.psi[order], poses.mirror[order]
    shift[at] = np.stack([poses.dx, poses.dy], axis=1)[order]
    return NeighbourLists(index, values, angle, mirror, shift)
