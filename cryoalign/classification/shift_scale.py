"""How far particles lie from their centres, from the data: a wide search, then the scatter of what was found.

The search over shifts does not need its scale to be right: a pattern for a standard deviation of a twenty-fourth of
the box finds shifts of half and of twice as much, and finds none where there are none (its own noise is below
`NOISE_PX`). What the synchronised centres scatter by is then the scale; the next rounds search what is left of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.edges import EdgeList, edges_from_lists
from cryoalign.classification.neighbours import NeighbourLists

PILOT_SHARE = 1.0 / 24.0
"""Standard deviation of the first search where nothing is known, as a share of the box."""
NOISE_PX = 0.15
"""Centres that scatter by less, in prepared pixels, are taken as noise of the search."""
REMAINING = 0.5
"""Standard deviation of a later search, as a share of the last scatter; this and no less than `LEAST_PX`."""
LEAST_PX = 0.4


def pilot_sd(box: int) -> float:
    """Return the standard deviation to search in prepared pixels where nothing is known."""
    return box * PILOT_SHARE


def next_sd(scatter_px: float) -> float:
    """Return the standard deviation of the next search after centres scattered by so many prepared pixels."""
    return max(LEAST_PX, REMAINING * scatter_px)


def scatter(centre_px: NDArray[np.floating]) -> float:
    """Return the standard deviation of either coordinate of centres (n, 2) about 0."""
    return float(np.sqrt(np.mean(np.asarray(centre_px, np.float64) ** 2))) if len(centre_px) else 0.0


def trusted_edges(raw: NeighbourLists, cleaned: NeighbourLists) -> EdgeList:
    """Return the raw edges that join images which the cleaned lists of either end join too, with the same hand.

    Parameters
    ----------
    raw
        Lists with the shifts that were measured.
    cleaned
        Nearest views by the graph.
    """
    edges = edges_from_lists(raw)
    n = edges.n
    present = cleaned.index >= 0
    i = np.broadcast_to(np.arange(n, dtype=np.int64)[:, None], present.shape)[present]
    j = cleaned.index[present].astype(np.int64)
    known = np.unique((np.minimum(i, j) * n + np.maximum(i, j)) * 2 + cleaned.mirror[present])
    wanted = (edges.i.astype(np.int64) * n + edges.j) * 2 + edges.mirror
    at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    return edges.take(known[at] == wanted) if len(known) else edges.take(np.zeros(len(edges), bool))
