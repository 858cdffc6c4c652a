"""Poses along a spanning forest: exact where edges are, and all that there is where no edge closes a cycle.

Of each island the edges of the heaviest spanning tree, walked breadth first from the node with most edges. An edge's
pose is P_i^-1 o P_j, so with s = -1 where a node is mirrored psi_j = psi_i + s_i angle_ij.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from cryoalign.core.kernels import kernel
from cryoalign.synchronization.components import components
from cryoalign.synchronization.edges import EdgeList


def pairs(edges: EdgeList) -> NDArray[np.int64]:
    """Return the heaviest edge of every pair of nodes that are joined: ascending rows, int64 (pairs,)."""
    rows = np.flatnonzero(edges.weight > 0)
    key = edges.i[rows].astype(np.int64) * edges.n + edges.j[rows]
    order = np.lexsort((rows, -edges.weight[rows], key))
    first = np.r_[True, np.diff(key[order]) != 0] if len(order) else np.zeros(0, bool)
    return np.asarray(np.sort(rows[order[first]]))


def is_tree(edges: EdgeList) -> bool:
    """Tell whether no edge of a connected graph closes a cycle; several edges of one pair close none."""
    return bool(len(pairs(edges)) == edges.n - 1)


def forest_poses(edges: EdgeList) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Walk the trees of a graph.

    Returns
    -------
    psi_rad
        float64 (n,); 0 at the root of each island.
    mirror
        Handedness, bool (n,); False at the root.
    """
    kept = edges.take(pairs(edges))
    # Breadth first over all edges makes short paths; weights that differ choose between them.
    if len(kept) and (kept.weight != kept.weight[0]).any():
        cost = 1 + kept.weight.max() / kept.weight.astype(np.float64)
        tree = minimum_spanning_tree(coo_array((cost, (kept.i, kept.j)), shape=(edges.n, edges.n)).tocsr()).tocoo()
        chosen = np.isin(kept.i.astype(np.int64) * edges.n + kept.j, tree.row.astype(np.int64) * edges.n + tree.col)
        kept = kept.take(chosen)
    place = coo_array((np.arange(1, len(kept) + 1), (kept.i, kept.j)), shape=(edges.n, edges.n)).tocsr()
    psi, mirror = np.zeros(edges.n), np.zeros(edges.n, bool)
    island = components(kept)
    degree = np.bincount(np.concatenate([kept.i, kept.j]), minlength=edges.n)
    by_degree = np.lexsort((np.arange(edges.n), -degree, island))
    roots = by_degree[np.r_[True, np.diff(island[by_degree]) != 0]] if edges.n else by_degree
    both = (place + place.T).tocsr()
    angle = np.deg2rad(kept.angle_deg.astype(np.float64))
    for root in roots[degree[roots] > 0]:
        order, parent = breadth_first_order(both, root, directed=False)
        _walk(order, parent, both.indptr, both.indices, both.data, kept.i, angle, kept.mirror, psi, mirror)
    return psi, mirror


@kernel()
def _walk(order, parent, start, index, place, low, angle, flips, psi, mirror):  # type: ignore[no-untyped-def]
    for step in range(1, len(order)):
        node = order[step]
        last = parent[node]
        edge = -1
        for entry in range(start[node], start[node + 1]):
            if index[entry] == last:
                edge = place[entry] - 1
        mirror[node] = mirror[last] != flips[edge]
        if low[edge] == last:
            psi[node] = psi[last] + (-angle[edge] if mirror[last] else angle[edge])
        else:
            psi[node] = psi[last] - (-angle[edge] if mirror[node] else angle[edge])
