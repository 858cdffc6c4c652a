"""The graph of images that neighbour lists make: each pair once, weighted by how near the two are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.synchronization.edges import EdgeList, undirected


def list_weights(lists: NeighbourLists) -> NDArray[np.float64]:
    """Return the weight of each entry of neighbour lists, (n, k) in [0, 1]; NaN where there is no neighbour.

    It is exp(-(s_best - s) / g), s_best the best score of a list and g the median over the list of what the others
    fall short of it: it does not depend on the scale of the score.

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
    return np.asarray(np.exp(-short / np.where(gap > 0, gap, np.inf)))


def pair_weights(i: NDArray[np.integer], j: NDArray[np.integer], distance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the weight of pairs by their distance, (E,) in [0, 1]: of either image's list, the higher.

    Each image has the list of its pairs, nearest first, weighted as `list_weights` does it with the negative distance.
    """
    end, pair = np.concatenate([i, j]), np.tile(np.arange(len(i)), 2)
    far = np.asarray(distance, np.float64)[pair]
    order = np.lexsort((far, end))
    end, pair, far = end[order], pair[order], far[order]
    first = np.flatnonzero(np.r_[True, np.diff(end) != 0])
    count = np.diff(np.r_[first, len(end)])
    short = far - np.repeat(far[first], count)
    # The median over the others of a list: of its places 1 .. count - 1.
    low, high = first + count // 2, first + (count + 1) // 2
    low, high = np.minimum(low, first + count - 1), np.minimum(high, first + count - 1)
    gap = np.where(count > 1, 0.5 * (short[low] + short[high]), 1.0)
    weight = np.exp(-short / np.repeat(np.where(gap > 0, gap, np.inf), count))
    found = np.zeros(len(i))
    np.maximum.at(found, pair, weight)
    return found


def higher_of_both(i: NDArray[np.integer], j: NDArray[np.integer], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of edges (i, j), (E,), where a pair that is there in both directions weighs the higher."""
    first, second = np.minimum(i, j).astype(np.int64), np.maximum(i, j)
    _, pair = np.unique(first * (int(second.max(initial=0)) + 1) + second, return_inverse=True)
    most = np.zeros(len(pair))
    np.maximum.at(most, pair.reshape(-1), weight)
    return most[pair.reshape(-1)]


def edges_from_lists(lists: NeighbourLists) -> EdgeList:
    """Join the neighbour lists of all images into one edge list, weighted by `list_weights`.

    A pair in two lists keeps the pose of the higher score and the higher weight.
    """
    present = lists.index >= 0
    i = np.broadcast_to(np.arange(len(lists), dtype=np.int64)[:, None], present.shape)[present]
    return undirected(
        len(lists),
        i,
        lists.index[present],
        lists.angle_deg[present],
        lists.mirror[present],
        lists.shift_px[present],
        list_weights(lists)[present],
        rank=lists.score[present],
    )
