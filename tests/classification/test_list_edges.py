"""Neighbour lists as a graph: weights, and pairs that stand in two lists."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.neighbours import NeighbourLists


def lists(index, score, seed=0):
    index, score = np.asarray(index, np.int32), np.asarray(score, np.float32)
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-180, 180, index.shape).astype(np.float32)
    return NeighbourLists(
        index, score, angle, rng.uniform(size=index.shape) < 0.5, rng.normal(size=(*index.shape, 2)).astype(np.float32)
    )


def test_weights_fall_with_the_score_on_the_scale_of_the_list():
    graph = lists([[1, 2, 3], [-1, -1, -1], [0, -1, -1], [2, 1, -1]], [[9, 7, 5], [0, 0, 0], [7, 0, 0], [4, 4, 0]])
    edges = edges_from_lists(graph)
    weight = {(i, j): w for i, j, w in zip(edges.i.tolist(), edges.j.tolist(), edges.weight.tolist(), strict=True)}
    # Row 0 falls short by 2 and 4, their median is 3; (0, 2) is also best of row 2; equal scores weigh 1.
    assert weight[0, 1] == 1 and weight[0, 2] == 1 and weight[2, 3] == 1 and weight[1, 3] == 1
    assert weight[0, 3] == pytest.approx(np.exp(-4 / 3))
    changed = NeighbourLists(graph.index, 5 * graph.score + 2, graph.angle_deg, graph.mirror, graph.shift_px)
    np.testing.assert_allclose(edges_from_lists(changed).weight, edges.weight, rtol=1e-6)
