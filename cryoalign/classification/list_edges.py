"""The graph of images that neighbour lists make: each pair once, weighted by how near the two are."""

from __future__ import annotations

import numpy as np

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.synchronization.edges import EdgeList, undirected


def edges_from_lists(lists: NeighbourLists) -> EdgeList:
    """Join the neighbour lists of all images into one weighted edge list.

    An entry's weight is exp(-(s_best - s) / g), s_best the best score of its list and g the median over the list of
    what the others fall short of it: it does not depend on the scale of the score. A pair in two lists keeps the pose
    of the higher score and the higher weight.

    Parameters
    ----------
    lists
        Neighbours of n images.
    """
    present = lists.index >= 0
    score = np.where(present, lists.score, np.nan).astype(np.float64)
    short = score[:, :1] - score
    gap = np.ones((len(score), 1))
    several = present.sum(axis=1) > 1
    if several.any():
        gap[several, 0] = np.nanmedian(short[several, 1:], axis=1)
    # Lists of equal scores have no gap: all their weights are 1.
    weight = np.exp(-short / np.where(gap > 0, gap, np.inf))
    i = np.broadcast_to(np.arange(len(lists), dtype=np.int64)[:, None], present.shape)[present]
    return undirected(
        len(lists),
        i,
        lists.index[present],
        lists.angle_deg[present],
        lists.mirror[present],
        lists.shift_px[present],
        weight[present],
        rank=lists.score[present],
    )
