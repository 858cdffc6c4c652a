"""Baselines: cycle consistency and re-weighted least squares, against graphs whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchlib.agreement import correlation
from benchlib.sync_baselines import cycle_consistent_angles, least_residual_angles
from cryoalign.core.errors import InputError
from cryoalign.simulation.graphs import SimulatedGraph, adversarial, random_corruption
from cryoalign.synchronization.edges import EdgeList, undirected


def edges_of(graph: SimulatedGraph) -> EdgeList:
    return undirected(graph.n, graph.i, graph.j, graph.angle_deg, graph.mirror)


@pytest.mark.parametrize("method", [cycle_consistent_angles, least_residual_angles])
def test_a_perfect_graph_gives_back_its_angles_with_our_sign(method):
    graph = random_corruption(40, good_share=1.0, edge_probability=0.5, seed=1)
    found = method(edges_of(graph))
    assert correlation(found.psi_deg, graph.psi_deg) == pytest.approx(1, abs=1e-9)
    assert correlation(-found.psi_deg, graph.psi_deg) < 0.6
    assert np.abs(found.level).max() < 1e-3


def test_levels_tell_right_edges_from_wrong_ones():
    graph = random_corruption(150, good_share=0.5, seed=2)
    found = cycle_consistent_angles(edges_of(graph))
    right, wrong = found.level[graph.inlier], found.level[~graph.inlier]
    assert np.median(right) < 0.01 and np.median(wrong) > 0.3
    # A wrong edge whose angle is nearly right passes as right: a few percent do.
    assert (right < 0.1).mean() > 0.999 and (wrong < 0.1).mean() < 0.25
    assert correlation(found.psi_deg, graph.psi_deg) > 0.999


def test_both_are_better_than_the_first_eigenvector_where_errors_are_random():
    gains = []
    for seed in range(4):
        graph = random_corruption(150, 2.0, jitter_rad=0.2, seed=seed)
        edges = edges_of(graph)
        plain = correlation(least_residual_angles(edges, rounds=0).psi_deg, graph.psi_deg)
        for method in (cycle_consistent_angles, least_residual_angles):
            gains.append(correlation(method(edges).psi_deg, graph.psi_deg) - plain)
    assert np.mean(gains) > 0.02


def test_a_minority_of_false_edges_that_agree_is_seen_through():
    graph = adversarial(100, 0.3, "spread", seed=3)
    found = cycle_consistent_angles(edges_of(graph))
    assert correlation(found.psi_deg, graph.psi_deg) > 0.999
    assert found.level[graph.inlier].max() < 0.05


def test_graphs_for_which_they_are_not_made():
    graph = random_corruption(20, good_share=1.0, mirrors=True)
    with pytest.raises(InputError, match="mirrors"):
        cycle_consistent_angles(edges_of(graph))
    with pytest.raises(InputError, match="nodes"):
        least_residual_angles(undirected(5000, [0], [1], [3.0]))
