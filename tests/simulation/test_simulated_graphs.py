"""Simulated graphs hold what their truth says: shares, poses, noise, components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from cryoalign.core.errors import InputError
from cryoalign.core.poses import wrap_degrees
from cryoalign.simulation.graph_pairs import neighbour_pairs, random_pairs
from cryoalign.simulation.graphs import (
    GraphRecipe,
    adversarial,
    component_ids,
    gaussian,
    geometric,
    random_corruption,
    share_of_signal,
    simulate_graph,
)


def error_deg(graph):
    """Angle of each edge minus psi_j - psi_i."""
    psi = graph.truth.psi
    return wrap_degrees(graph.angle_deg - (psi[graph.j] - psi[graph.i]))


def test_a_complete_graph_lists_every_pair_in_order():
    i, j = random_pairs(7, 1.0, np.random.default_rng(0))
    expected = [(a, b) for a in range(7) for b in range(a + 1, 7)]
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected


@pytest.mark.parametrize("probability", [0.02, 0.6])
def test_pairs_at_random_are_distinct_and_as_many_as_expected(probability):
    n = 600
    i, j = random_pairs(n, probability, np.random.default_rng(1))
    code = i.astype(np.int64) * n + j
    assert (np.diff(code) > 0).all()
    assert (i < j).all() and i.min() >= 0 and j.max() < n
    expected = n * (n - 1) / 2 * probability
    assert abs(len(i) - expected) < 5 * np.sqrt(expected)
    degree = np.bincount(i, minlength=n) + np.bincount(j, minlength=n)
    assert abs(np.var(degree) / ((n - 1) * probability * (1 - probability)) - 1) < 0.35  # binomial, all nodes alike
    assert abs(np.corrcoef(np.arange(n), degree)[0, 1]) < 0.17


def test_no_nodes_and_no_edges():
    for n, probability in ((0, 1.0), (1, 1.0), (50, 0.0)):
        assert len(random_pairs(n, probability, np.random.default_rng(0))[0]) == 0
    assert len(simulate_graph(GraphRecipe(1))) == 0


def test_neighbours_are_near():
    i, j = neighbour_pairs(500, 10, np.random.default_rng(2))
    assert (i < j).all()
    degree = np.bincount(i, minlength=500) + np.bincount(j, minlength=500)
    assert degree.min() >= 10
    assert 5 * 500 <= len(i) <= 10 * 500
    # On a sphere neighbours of neighbours are neighbours far more often than the 2 percent of chance.
    joined = np.zeros((500, 500))
    joined[i, j] = joined[j, i] = 1
    assert (joined @ joined)[i, j].mean() > 4


def test_right_edges_say_psi_j_minus_psi_i_and_wrong_ones_are_uniform():
    graph = random_corruption(300, 4.0, seed=1)
    share = share_of_signal(4.0, 300)
    assert share == pytest.approx(4 / np.sqrt(300))
    assert abs(graph.inlier.mean() - share) < 5 * np.sqrt(share / len(graph))
    assert np.abs(error_deg(graph)[graph.inlier]).max() < 1e-4
    assert kstest(graph.angle_deg[~graph.inlier], "uniform", (-180, 360)).pvalue > 1e-3
    assert kstest(error_deg(graph)[~graph.inlier], "uniform", (-180, 360)).pvalue > 1e-3
    assert kstest(graph.truth.psi, "uniform", (-180, 360)).pvalue > 1e-3


def test_lambda_counts_the_edges_of_a_node():
    assert share_of_signal(1.5, 10_000, 0.01) == pytest.approx(0.15)
    with pytest.raises(InputError, match="lambda"):
        share_of_signal(11, 100)


def test_jitter_is_normal_and_leaves_edges_right():
    graph = random_corruption(200, good_share=1.0, jitter_rad=0.2, shift_jitter_px=0.5, shift_sd_px=3, seed=2)
    assert graph.inlier.all()
    assert kstest(np.deg2rad(error_deg(graph)), "norm", (0, 0.2)).pvalue > 1e-3
    clean = random_corruption(200, good_share=1.0, shift_sd_px=3, seed=2)
    assert (graph.shift_px - clean.shift_px).std(axis=0) == pytest.approx([0.5, 0.5], rel=0.03)


def test_gaussian_phases_are_those_of_the_matrix():
    n, sigma = 300, 0.4
    graph = gaussian(n, sigma, seed=3)
    w = np.random.default_rng(0).standard_normal((200_000, 2)) @ np.array([1, 1j]) / np.sqrt(2)
    expected = np.degrees(np.angle(1 + sigma * np.sqrt(n) * w))
    error = error_deg(graph)
    assert np.cos(np.deg2rad(error)).mean() == pytest.approx(np.cos(np.deg2rad(expected)).mean(), abs=0.01)
    assert kstest(error, expected).pvalue > 1e-3
    assert graph.inlier.all()


@pytest.mark.parametrize("mirrors", [False, True])
def test_the_pose_of_an_edge_brings_j_onto_i(mirrors):
    graph = geometric(200, 8, good_share=0.7, shift_sd_px=2.0, mirrors=mirrors, seed=4)
    x, y = np.array([3.0, -1.0, 7.0]), np.array([0.5, 4.0, -2.0])  # points in the common frame
    truth = graph.truth
    seen = truth.inverse()
    assert bool(truth.mirror.any()) is mirrors
    errors = []
    for e in range(len(graph)):
        in_i, in_j = (np.stack(seen.take([node]).apply_to_points(x, y)) for node in (graph.i[e], graph.j[e]))
        radians = np.deg2rad(graph.angle_deg[e])
        turn = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
        flip = np.array([-1.0 if graph.mirror[e] else 1.0, 1.0])[:, None]
        found = turn @ (flip * in_j + graph.shift_px[e][:, None])
        errors.append(np.abs(found - in_i).max())
    errors = np.array(errors)
    assert errors[graph.inlier].max() < 1e-4
    assert np.median(errors[~graph.inlier]) > 2
    assert abs(graph.inlier.mean() - 0.7) < 0.06


def test_wrong_edges_of_an_adversary_agree_with_each_other():
    graph = adversarial(120, 0.3, good_share=0.9, seed=5)
    nodes = graph.i[~graph.inlier], graph.j[~graph.inlier]
    assert np.abs(error_deg(graph)[graph.inlier]).max() < 1e-4
    joined = np.bincount(np.concatenate(nodes), minlength=120)
    group = np.flatnonzero(joined > 0.5 * np.sqrt(0.3) * 120)
    assert len(group) == round(np.sqrt(0.3) * 120)
    inside = np.isin(graph.i, group) & np.isin(graph.j, group)
    assert not graph.inlier[inside].any()
    assert graph.inlier[~inside].mean() == pytest.approx(0.9, abs=0.02)
    angle = np.zeros((120, 120))
    angle[graph.i, graph.j], angle[graph.j, graph.i] = graph.angle_deg, -graph.angle_deg
    a, b, c = group[:3]
    assert abs(wrap_degrees(angle[a, b] + angle[b, c] + angle[c, a])) < 1e-3
    spread = adversarial(120, 0.3, "spread", seed=5)
    assert abs((~spread.inlier).mean() - 0.3) < 0.03
    assert (np.bincount(spread.i[~spread.inlier], minlength=120)[:60] > 0).all()


def test_components_are_apart_and_numbered_by_size():
    graph = random_corruption(101, good_share=1.0, components=2, edge_probability=0.5, seed=6)
    assert np.bincount(graph.component).tolist() == [0, 51, 50]
    assert (graph.component[graph.i] == graph.component[graph.j]).all()
    code = graph.i.astype(np.int64) * 101 + graph.j
    assert (np.diff(code) > 0).all()
    assert component_ids(6, np.array([1, 4]), np.array([2, 5])).tolist() == [3, 1, 1, 4, 2, 2]


def test_equal_recipes_give_equal_graphs_and_one_choice_does_not_move_the_others():
    first, again = (random_corruption(80, good_share=0.5, jitter_rad=0.1, seed=7) for _ in range(2))
    assert np.array_equal(first.angle_deg, again.angle_deg)
    other = random_corruption(80, good_share=0.7, seed=7)
    assert np.array_equal(first.truth.psi, other.truth.psi)
    assert (other.inlier >= first.inlier).all() and other.inlier.sum() > first.inlier.sum()
    assert not np.array_equal(first.truth.psi, random_corruption(80, good_share=0.5, seed=8).truth.psi)


@pytest.mark.parametrize(
    "recipe",
    [
        {"nodes": 0},
        {"nodes": 3, "components": 4},
        {"nodes": 10, "good_share": 1.5},
        {"nodes": 10, "jitter_rad": -1},
        {"nodes": 10, "model": "geometric", "neighbours": 10},
        {"nodes": 10, "model": "gaussian", "mirrors": True},
        {"nodes": 10, "seed": -1},
    ],
)
def test_recipes_that_no_graph_can_have(recipe):
    with pytest.raises(InputError):
        GraphRecipe(**recipe)
