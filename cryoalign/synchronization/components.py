"""Connected components of a graph, largest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryoalign.synchronization.edges import EdgeList


def components(edges: EdgeList) -> NDArray[np.int64]:
    """Number the connected components from 1, by falling size, ties by their first node.

    Edges of weight 0 join nothing.

    Returns
    -------
    ndarray
        Component of each node, int64 (n,).
    """
    if edges.n == 0:
        return np.zeros(0, np.int64)
    used = edges.weight > 0
    ones = np.ones(int(used.sum()), np.int8)
    matrix = coo_array((ones, (edges.i[used], edges.j[used])), shape=(edges.n, edges.n))
    count, label = connected_components(matrix, directed=False)
    size = np.bincount(label, minlength=count)
    first = np.full(count, edges.n)
    np.minimum.at(first, label, np.arange(edges.n))
    rank = np.empty(count, np.int64)
    rank[np.lexsort((first, -size))] = np.arange(1, count + 1)
    return rank[label]


def component_edges(edges: EdgeList, component: NDArray[np.int64]) -> list[tuple[NDArray, NDArray, EdgeList]]:
    """Cut a graph into its components of two nodes or more.

    Returns
    -------
    list
        For each component in its order: its nodes (ascending), the positions of its edges, and its edges with rows
        counted inside the component.
    """
    if edges.n == 0 or len(edges) == 0:
        return []
    where = np.where(edges.weight > 0, component[edges.i], 0)
    nodes_by = np.argsort(component, kind="stable")
    edges_by = np.argsort(where, kind="stable")
    count = int(component.max())
    node_cuts = np.searchsorted(component[nodes_by], np.arange(1, count + 2))
    edge_cuts = np.searchsorted(where[edges_by], np.arange(1, count + 2))
    local = np.empty(edges.n, np.int32)
    found = []
    for c in range(count):
        nodes = nodes_by[node_cuts[c] : node_cuts[c + 1]]
        if len(nodes) < 2:
            break  # they fall in size
        local[nodes] = np.arange(len(nodes), dtype=np.int32)
        rows = edges_by[edge_cuts[c] : edge_cuts[c + 1]]
        part = edges.take(rows)
        found.append(
            (
                nodes,
                rows,
                EdgeList(
                    len(nodes), local[part.i], local[part.j], part.angle_deg, part.mirror, part.shift_px, part.weight
                ),
            )
        )
    return found
