"""Edge lists: pairs once, inverse poses, weights, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.synchronization.edges import adjacency, every_edge, undirected


def test_edges_against_the_order_are_inverted():
    psi, shift, mirror = np.array([30.0, -75.0]), np.array([[1.0, 2.0], [-3.0, 0.5]]), np.array([False, True])
    edges = undirected(5, [4, 3], [1, 0], psi, mirror, shift)
    back = Poses(edges.angle_deg, edges.shift_px[:, 0], edges.shift_px[:, 1], edges.mirror)
    assert edges.i.tolist() == [0, 1] and edges.j.tolist() == [3, 4]
    there = Poses(psi[::-1], shift[::-1, 0], shift[::-1, 1], mirror[::-1])
    loop = there.then(back)
    np.testing.assert_allclose(loop.psi, 0, atol=1e-4)
    np.testing.assert_allclose([loop.dx, loop.dy], 0, atol=1e-5)
    assert not loop.mirror.any()


def test_of_two_edges_of_a_pair_the_higher_rank_gives_the_pose_and_the_higher_weight_stays():
    edges = undirected(3, [0, 1, 2, 2], [1, 0, 2, 1], [10, 20, 5, 40], weight=[0.9, 0.3, 1, 0.5], rank=[1, 2, 9, 1])
    assert (edges.i.tolist(), edges.j.tolist()) == ([0, 1], [1, 2])
    np.testing.assert_allclose(edges.angle_deg, [-20, -40])
    np.testing.assert_allclose(edges.weight, [0.9, 0.5])


def test_adjacency_lists_every_edge_from_both_ends_with_inverse_angles():
    edges = undirected(4, [0, 0, 1], [1, 3, 3], [10, 20, 30], [False, True, False])
    graph = adjacency(edges)
    assert graph.start.tolist() == [0, 2, 4, 4, 6]
    assert graph.index.tolist() == [1, 3, 3, 0, 0, 1]
    np.testing.assert_allclose(np.degrees(graph.angle_rad), [10, 20, 30, -10, 20, -30], rtol=1e-6)
    assert graph.mirror.tolist() == [False, True, False, False, True, False]


def test_unusable_edges_are_refused_and_loops_dropped():
    with pytest.raises(InputError, match="edge 2 names row 6 of 5"):
        undirected(5, [0, 5], [1, 1], [0, 0])
    with pytest.raises(InputError, match="edge 1 has an unusable weight"):
        undirected(5, [0, 2], [1, 1], [0, 0], weight=[np.nan, 1])
    assert len(undirected(5, [2], [2], [0])) == 0


def test_every_edge_keeps_edges_that_disagree_and_drops_repeats_and_loops():
    edges = every_edge(
        4, [0, 1, 1, 2, 3, 0], [1, 0, 0, 2, 1, 1], [30, -30, -50, 5, 400, 30], weight=[1, 1, 1, 1, 1, 0.5]
    )
    assert list(zip(edges.i.tolist(), edges.j.tolist(), strict=True)) == [(0, 1)] * 3 + [(1, 3)]
    np.testing.assert_allclose(edges.angle_deg, [30, 30, 50, -40], rtol=1e-6)
    assert edges.weight.tolist() == [0.5, 1, 1, 1]
    with pytest.raises(InputError, match="edge 2 has an unusable angle"):
        every_edge(3, [0, 1], [1, 2], [0, np.nan])
    assert len(every_edge(1, [], [], [])) == 0
