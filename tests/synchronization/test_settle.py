"""Where messages alone stop at a wrong answer or drift: gross errors, chains, trees, rings, strips."""

from __future__ import annotations

import numpy as np
import pytest

from benchlib.agreement import agreement, correlation
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.simulation.graphs import random_corruption
from cryoalign.synchronization.edges import EdgeList, every_edge
from cryoalign.synchronization.forest import forest_poses, is_tree, pairs
from cryoalign.synchronization.relax import relax, wrapped
from cryoalign.synchronization.synchronise import synchronise


def chain(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n - 1), np.arange(1, n)


def ring(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n), (np.arange(n) + 1) % n


def strip(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Each node with the next three."""
    return tuple(np.concatenate(ends) for ends in zip(*((np.arange(n - d), np.arange(d, n)) for d in (1, 2, 3))))  # noqa: B905


def tree(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return np.array([rng.integers(0, node) for node in range(1, n)]), np.arange(1, n)


def posed(n: int, ends: tuple[np.ndarray, np.ndarray], mirrors: bool, error_deg: float = 0) -> tuple[Poses, EdgeList]:
    """Compose edges from poses."""
    rng = np.random.default_rng(n)
    truth = Poses(rng.uniform(-180, 180, n), np.zeros(n), np.zeros(n), (rng.random(n) < 0.5) & mirrors)
    between = truth.take(ends[1]).then(truth.take(ends[0]).inverse())
    angle = between.psi + error_deg * rng.standard_normal(len(ends[0]))
    return truth, every_edge(n, *ends, angle, between.mirror)


@pytest.mark.parametrize("mirrors", [False, True])
@pytest.mark.parametrize("shape", [chain, tree, ring, strip])
def test_exact_edges_give_exact_angles_however_few_cycles_they_close(shape, mirrors):
    truth, edges = posed(300, shape(300), mirrors)
    found = synchronise(edges)
    result = agreement(found.psi_deg, truth.psi, found.mirror, truth.mirror)
    assert result.handed.all() and np.abs(result.error_deg).max() < 0.01
    assert found.signal
    if shape is strip:
        assert found.checkable and found.confidence.min() > 0.9 and found.held_out_log_likelihood > 1
    else:
        assert not found.checkable and not found.confidence.any()
    if shape in (chain, tree):
        assert found.algorithm_used == ("tree (nothing to check)",)


def test_a_walk_takes_the_heaviest_edge_of_a_pair_and_short_paths():
    edges = every_edge(4, [0, 0, 1, 0, 0], [1, 1, 2, 2, 3], [20, 90, 10, 30, 7], weight=[1, 2, 1, 1, 1])
    assert edges.angle_deg[pairs(edges)].tolist() == [90, 30, 7, 10]
    assert not is_tree(edges) and is_tree(edges.take(edges.i == 0))
    psi, mirror = forest_poses(edges.take(edges.i == 0))
    np.testing.assert_allclose(np.rad2deg(psi), [0, 90, 30, 7], atol=1e-4)
    assert not mirror.any()
    # From the node in the middle of a fan nothing is further than one edge.
    psi, _ = forest_poses(every_edge(5, [0, 0, 0, 0, 1, 2, 3], [1, 2, 3, 4, 2, 3, 4], [1, 2, 3, 4, 77, 77, 77]))
    np.testing.assert_allclose(np.rad2deg(psi), [0, 1, 2, 3, 4], atol=1e-4)


def test_errors_spread_over_a_long_chain_are_found_by_least_squares():
    truth, edges = posed(200, strip(200), False)
    drifted = np.exp(1j * np.deg2rad(truth.psi + 120 * np.linspace(0, 1, 200) ** 2))
    relaxed = relax(edges, drifted)
    assert correlation(np.rad2deg(np.angle(drifted)), truth.psi) < 0.9
    assert np.abs(wrapped(edges, np.angle(relaxed))).max() < 1e-5
    # With gross errors among short cuts: those lose their weight.
    rng = np.random.default_rng(1)
    i, j = rng.integers(0, 200, (2, 40))
    worse = every_edge(200, np.r_[edges.i, i], np.r_[edges.j, j], np.r_[edges.angle_deg, rng.uniform(-180, 180, 40)])
    result = agreement(np.rad2deg(np.angle(relax(worse, np.exp(1j * np.deg2rad(truth.psi + 2))))), truth.psi)
    assert np.abs(result.error_deg).max() < 3


@pytest.mark.parametrize(("n", "signal", "seed"), [(300, 1.5, 0), (100, 2.0, 1), (100, 1.6, 3)])
def test_graphs_on_which_messages_alone_stop_short(n, signal, seed):
    graph = random_corruption(n, signal, seed=seed)
    found = synchronise(every_edge(graph.n, graph.i, graph.j, graph.angle_deg))
    assert correlation(found.psi_deg, graph.psi_deg) > 0.999
    off = np.abs(wrap_degrees(found.residual_deg)) > 1
    assert np.mean(off[graph.inlier]) < 0.01


def test_angles_and_hands_of_a_small_graph_with_gross_errors():
    graph = random_corruption(300, 1.5, mirrors=True, seed=3)
    found = synchronise(every_edge(graph.n, graph.i, graph.j, graph.angle_deg, graph.mirror))
    result = agreement(found.psi_deg, graph.truth.psi, found.mirror, graph.truth.mirror)
    assert result.correlation > 0.995
