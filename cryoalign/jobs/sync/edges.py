"""From a table of edges to the edges that are synchronised: near enough, and how many speak of the same two nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cryoalign.core.errors import InputError
from cryoalign.core.poses import wrap_degrees
from cryoalign.io.edge_table import EdgeTable
from cryoalign.synchronization.edges import EdgeList, every_edge

DISAGREE_DEG = 10.0
"""Edges of the same two nodes that are further apart than this, or of different handedness, contradict each other."""


@dataclass(frozen=True)
class EdgeCounts:
    """What became of the rows of a table of edges.

    Attributes
    ----------
    read
        Rows.
    too_far
        Left out by --max-distance.
    repeats
        Left out because another row says just the same, in the same direction or the other.
    pairs
        Pairs of nodes with an edge or several.
    pairs_repeated, pairs_contradicting
        Pairs with several different edges, all of which are kept, and those among them whose edges contradict.
    """

    read: int
    too_far: int
    repeats: int
    pairs: int
    pairs_repeated: int
    pairs_contradicting: int


def edges_of(table: EdgeTable, max_distance: float | None) -> tuple[EdgeList, EdgeCounts]:
    """Return all different edges of a table, i < j, and what was counted.

    Raises
    ------
    InputError
        If distances are asked for and there are none, or no edge is left.
    """
    kept, too_far = table, 0
    if max_distance is not None:
        if table.distance is None:
            raise InputError(
                "--max-distance needs a column of distances", path=table.path, hint="call the column distance"
            )
        near = table.distance <= max_distance
        too_far = int(np.count_nonzero(~near))
        if too_far == len(table):
            raise InputError(
                f"--max-distance leaves none of {len(table)} edges", path=table.path, value=max_distance,
                hint=f"the shortest is {table.distance.min():g}",
            )  # fmt: skip
        kept = _take(table, near)
    edges = every_edge(kept.n, kept.i, kept.j, kept.angle_deg, kept.mirror, kept.shift_px, kept.weight)
    pairs, repeated, contradicting = _pairs(edges)
    return edges, EdgeCounts(len(table), too_far, len(kept) - len(edges), pairs, repeated, contradicting)


def _take(table: EdgeTable, rows: np.ndarray) -> EdgeTable:
    names = ("i", "j", "angle_deg", "line", "weight", "distance", "shift_px", "mirror")
    return replace(table, **{name: part[rows] for name in names if (part := getattr(table, name)) is not None})


def _pairs(edges: EdgeList) -> tuple[int, int, int]:
    """Count pairs of nodes, those with several edges, and those whose edges contradict each other."""
    new = np.r_[True, (np.diff(edges.i) != 0) | (np.diff(edges.j) != 0)]
    pair = np.cumsum(new) - 1
    pairs = int(pair[-1]) + 1
    several = np.bincount(pair) > 1
    # Edges of a pair stand side by side; each is held against the first of its pair.
    first = np.flatnonzero(new)[pair]
    apart = np.abs(wrap_degrees(edges.angle_deg - edges.angle_deg[first])) > DISAGREE_DEG
    apart |= edges.mirror != edges.mirror[first]
    contradicting = np.zeros(pairs, bool)
    contradicting[pair[apart]] = True
    return pairs, int(several.sum()), int(contradicting.sum())
