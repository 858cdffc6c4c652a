"""Angle and handedness of the nodes of graphs with mirrored edges, against poses that the edges were composed from."""

from __future__ import annotations

import numpy as np
import pytest

from benchlib.agreement import agreement
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.simulation.graphs import SimulatedGraph, geometric, random_corruption
from cryoalign.synchronization.edges import EdgeList, every_edge
from cryoalign.synchronization.handed_spectral import handed_vectors, sign_vector
from cryoalign.synchronization.handed_start import handed_starts
from cryoalign.synchronization.handedness import one_handed, solve_handed
from cryoalign.synchronization.phases import phase_graph
from helpers.sphere_graphs import random_frames


def as_edges(graph: SimulatedGraph, weight: np.ndarray | None = None) -> EdgeList:
    return every_edge(graph.n, graph.i, graph.j, graph.angle_deg, graph.mirror, graph.shift_px, weight)


def judged(edges: EdgeList, truth: Poses, **options) -> tuple[float, float]:
    """Correlation with the truth, and the share of wrong hands."""
    found = solve_handed(edges, **options)
    result = agreement(np.rad2deg(found.psi_rad), truth.psi, found.mirror, truth.mirror)
    return result.correlation, float(1 - result.handed.mean())


def composed(truth: Poses, i: np.ndarray, j: np.ndarray) -> EdgeList:
    edge = truth.take(j).then(truth.take(i).inverse())
    return every_edge(len(truth), i, j, edge.psi, edge.mirror)


@pytest.mark.parametrize("n", [2, 3, 40, 300])
def test_exact_edges_composed_from_poses_give_them_back(n):
    rng = np.random.default_rng(n)
    truth = Poses(rng.uniform(-180, 180, n), np.zeros(n), np.zeros(n), np.arange(n) % 2 == 1)
    i = np.r_[np.arange(n - 1), rng.integers(0, n, 6 * n)]
    j = np.r_[np.arange(1, n), rng.integers(0, n, 6 * n)]
    found = solve_handed(composed(truth, i, j))
    result = agreement(np.rad2deg(found.psi_rad), truth.psi, found.mirror, truth.mirror)
    assert result.handed.all()
    assert np.abs(result.error_deg).max() < 1.5  # half a bin of the votes
    # Composed again, the found poses are the edges: mirrors all right, angles to the same accuracy.
    poses = Poses(np.rad2deg(found.psi_rad), np.zeros(n), np.zeros(n), found.mirror)
    edges = composed(truth, i, j)
    again = poses.take(edges.j).then(poses.take(edges.i).inverse())
    assert np.array_equal(again.mirror, edges.mirror)
    assert np.abs(wrap_degrees(again.psi - edges.angle_deg)).max() < 3


def test_angles_of_the_wrong_sign_are_not_solved():
    graph = random_corruption(100, good_share=1.0, mirrors=True, seed=3)
    edges = as_edges(graph)
    assert judged(edges, graph.truth) == (pytest.approx(1, abs=1e-3), 0)
    # The same edges the other way round: consistent, but no common turn or mirror of the truth.
    wrong = EdgeList(edges.n, edges.i, edges.j, -edges.angle_deg, edges.mirror, edges.shift_px, edges.weight)
    assert judged(wrong, graph.truth)[0] < 0.3


@pytest.mark.parametrize(("signal", "least"), [(1.5, 0.995), (1.2, 0.97)])
def test_random_corruption_is_solved_for_angle_and_hand_together(signal, least):
    results, alone = [], []
    for seed in range(3):
        graph = random_corruption(300, signal, mirrors=True, seed=seed)
        assert 0.4 < graph.truth.mirror.mean() < 0.6
        edges = as_edges(graph)
        results.append(judged(edges, graph.truth))
        both = phase_graph(edges)
        hand = np.where(graph.truth.mirror, -1, 1) * sign_vector(both)[1]
        alone.append(min(np.mean(hand > 0), np.mean(hand < 0)))
    assert np.min(results, axis=0)[0] >= least
    assert np.max(results, axis=0)[1] <= 0.005
    # Mirrors alone are far from telling the hands.
    assert np.mean(alone) > 0.08


def test_jitter_and_neighbour_graphs():
    graph = random_corruption(300, 2.0, jitter_rad=0.2, mirrors=True, seed=1)
    assert judged(as_edges(graph), graph.truth) >= (0.99, 0)
    graph = geometric(800, 20, good_share=0.5, jitter_rad=0.1, mirrors=True, seed=2)
    correlation, wrong = judged(as_edges(graph), graph.truth)
    assert correlation > 0.98 and wrong < 0.01


def test_more_frequencies_are_better_than_one():
    graph = random_corruption(300, 1.5, mirrors=True, seed=2)
    edges = as_edges(graph)
    both = phase_graph(edges)
    found = {}
    for start in handed_starts(both, 16):
        result = agreement(np.rad2deg(start.psi_rad), graph.truth.psi, start.mirror, graph.truth.mirror)
        found[max(start.eigenvalues)] = result.correlation
    assert list(found) == [1, 2, 4, 8, 16]
    assert found[16] > found[4] > found[1]
    assert found[16] > 0.98 and found[1] < 0.9


@pytest.mark.parametrize("k", [1, 2])
def test_the_top_of_a_frequency_is_that_of_the_doubled_matrix(k):
    """Size 2n: against the matrix of the nodes and their mirrors, and against Lanczos where the matrix is large."""
    for n in (60, 200):
        graph = random_corruption(n, 2.0, mirrors=True, seed=n)
        edges = as_edges(graph)
        doubled = np.zeros((2 * n, 2 * n), complex)
        for i, j, angle, flip in zip(edges.i, edges.j, np.deg2rad(edges.angle_deg), edges.mirror, strict=True):
            phase = np.exp(-1j * k * angle)
            if flip:
                doubled[i, n + j] = doubled[j, n + i] = phase
            else:
                doubled[i, j], doubled[n + i, n + j] = phase, phase.conj()
        doubled += doubled.conj().T
        doubled /= n - 1
        expected = np.linalg.eigvalsh(doubled)[::-1]
        both = phase_graph(edges)
        found = handed_vectors(both, k, tolerance=1e-4)
        assert found.values[:2] == pytest.approx(expected[:2], rel=1e-3)
        assert found.values[2] == pytest.approx(expected[2], rel=0.02)


def test_contradicting_edges_lose_their_weight_and_the_rest_is_an_ordinary_graph():
    graph = random_corruption(80, good_share=0.6, mirrors=True, seed=5)
    plain = one_handed(as_edges(graph), graph.truth.mirror)
    assert not plain.mirror.any()
    assert np.all(plain.weight[graph.inlier] == 1)
    assert 0.35 < plain.weight[~graph.inlier].mean() < 0.65
    gap = wrap_degrees(plain.angle_deg - (graph.truth.psi[plain.j] - graph.truth.psi[plain.i]))
    assert np.abs(gap[graph.inlier]).max() < 1e-3


def test_weights_count():
    graph = random_corruption(150, 0.9, mirrors=True, seed=7)
    weighed = as_edges(graph, np.where(graph.inlier, 1.0, 0.05))
    assert judged(weighed, graph.truth)[0] > 0.99
    assert judged(weighed, graph.truth, weights=False)[0] < 0.9


def test_threads_and_order_of_work_change_nothing():
    rng = np.random.default_rng(2)
    n = 9000
    truth = Poses(rng.uniform(-180, 180, n), np.zeros(n), np.zeros(n), rng.random(n) < 0.5)
    i = np.repeat(np.arange(n), 5)
    edges = composed(truth, i, (i + rng.integers(1, n, len(i))) % n)
    one, two = (solve_handed(edges, threads=threads, k_max=1) for threads in (1, 2))
    assert one.psi_rad.tobytes() == two.psi_rad.tobytes()
    assert one.mirror.tobytes() == two.mirror.tobytes()
    assert one.eigenvalues[1].tobytes() == two.eigenvalues[1].tobytes()


def test_views_that_are_joined_with_mirrored_views():
    """Nearest views and mirrored views of a sphere have no common frame, but inside a cap they nearly do."""
    frames = random_frames(3000, 1)
    cap = np.flatnonzero(np.abs(frames[:, 2, 2]) > np.cos(np.deg2rad(25)))
    frames = frames[cap]
    flips = frames[:, 2, 2] < 0
    assert 0.3 < flips.mean() < 0.7
    # The image's x axis in the plane of the cap's middle: psi of the pose into that plane, mirrored from below.
    x, y = frames[:, 0, 0], frames[:, 1, 0]
    psi = np.degrees(np.arctan2(np.where(flips, -1, 1) * y, np.where(flips, -1, 1) * x))
    truth = Poses(psi, 0 * psi, 0 * psi, flips)
    rng = np.random.default_rng(4)
    i, j = rng.integers(0, len(cap), (2, 40 * len(cap)))
    graph = composed(truth, i, j)
    bad = rng.random(len(graph)) < 0.6
    angle = np.where(bad, rng.uniform(-180, 180, len(graph)), graph.angle_deg)
    mirror = np.where(bad, rng.random(len(graph)) < 0.5, graph.mirror)
    edges = EdgeList(graph.n, graph.i, graph.j, angle.astype(np.float32), mirror, graph.shift_px, graph.weight)
    correlation, wrong = judged(edges, truth)
    assert correlation > 0.99 and wrong < 0.005
