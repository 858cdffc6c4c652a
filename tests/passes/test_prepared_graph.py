"""Graphs of the table and lists of usable images say the same: rows, pixels, directions, inverse poses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.io.graph_file import Graph
from cryoalign.passes.prepare.graph import graph_of_lists, lists_of_graph

NAMES = [f"{i + 1:06d}@s.mrcs" for i in range(8)]
USABLE = np.array([0, 1, 3, 4, 5, 7])


@pytest.fixture
def prepared():
    """Six usable images of eight; raw boxes of 64 px, prepared ones of 32."""
    particles = type("P", (), {"image_names": lambda self: NAMES, "__len__": lambda self: 8})()
    plan = SimpleNamespace(box=32, raw_box=64, raw_pixel_size=3.0, raw_per_prepared=2.0, particles=particles)
    return SimpleNamespace(plan=plan, rows=USABLE)


@pytest.fixture
def poses() -> Poses:
    """True poses of the eight particles, in raw pixels."""
    rng = np.random.default_rng(2)
    return Poses(rng.uniform(-180, 180, 8), *rng.normal(0, 3, (2, 8)), rng.random(8) < 0.5)


def graph_of(i, j, poses: Poses, distance, score=None) -> Graph:
    """A graph whose edges have the true relative poses: P_j first, then the inverse of P_i."""
    i, j = np.asarray(i), np.asarray(j)
    edge = poses.take(j).then(poses.take(i).inverse())
    return Graph(
        n=8, i=i, j=j, distance=np.asarray(distance, np.float32), angle_deg=edge.psi.astype(np.float32),
        shift_px=np.stack([edge.dx, edge.dy], axis=1).astype(np.float32), mirror=edge.mirror,
        name=np.asarray(NAMES), box=64, pixel_size_angstrom=3.0, metric="truth", score=score,
    )  # fmt: skip


def assert_true_poses(lists, poses: Poses) -> None:
    """Every entry of the lists has the true relative pose, in prepared pixels."""
    for a, s in np.argwhere(lists.index >= 0):
        i, j = USABLE[a], USABLE[lists.index[a, s]]
        edge = poses.take([j]).then(poses.take([i]).inverse())
        np.testing.assert_allclose(np.cos(np.deg2rad(lists.angle_deg[a, s] - edge.psi[0])), 1, atol=1e-6)
        np.testing.assert_allclose(2 * lists.shift_px[a, s], [edge.dx[0], edge.dy[0]], atol=1e-4)
        assert lists.mirror[a, s] == edge.mirror[0]


def test_pairs_once_become_lists_in_both_directions(prepared, poses):
    i, j = np.triu_indices(8, 1)
    lists = lists_of_graph(graph_of(i, j, poses, np.abs(i - j)), prepared)
    assert lists.index.shape == (6, 5)
    assert [sorted(row) for row in lists.index.tolist()] == [[m for m in range(6) if m != n] for n in range(6)]
    assert_true_poses(lists, poses)
    # Nearest first; of equals the lower row.
    assert USABLE[lists.index[2]].tolist() == [4, 1, 5, 0, 7]
    assert (np.diff(lists.score, axis=1) <= 0).all()


def test_lists_of_neighbours_stay_directed(prepared, poses):
    graph = graph_of([0, 0, 1, 4, 7], [3, 1, 0, 5, 0], poses, [2, 1, 3, 1, 1])
    lists = lists_of_graph(graph, prepared)
    assert lists.index.tolist() == [[1, 2], [0, -1], [-1, -1], [4, -1], [-1, -1], [0, -1]]
    assert np.isneginf(lists.score[lists.index < 0]).all()
    assert_true_poses(lists, poses)


def test_a_score_ranks_where_there_is_one(prepared, poses):
    graph = graph_of([0, 0, 3], [3, 1, 0], poses, [1, 2, 1], np.array([5, 9, 1], np.float32))
    assert lists_of_graph(graph, prepared).index[0].tolist() == [1, 2]


def test_rows_that_are_not_usable_are_left_out(prepared, poses):
    lists = lists_of_graph(graph_of([0, 2, 0, 6], [2, 0, 1, 0], poses, [1, 1, 2, 3]), prepared)
    assert lists.index.shape == (6, 1) and lists.index[:, 0].tolist() == [1, -1, -1, -1, -1, -1]
    with pytest.raises(InputError, match="no edges between usable"):
        lists_of_graph(graph_of([0, 6], [2, 2], poses, [1, 1]), prepared)


def test_the_best_of_several_edges_counts(prepared, poses):
    graph = graph_of([0, 0, 0, 1], [1, 1, 3, 0], poses, [4, 1, 2, 1])
    lists = lists_of_graph(graph, prepared)
    assert lists.index[0].tolist() == [1, 2] and lists.score[0].tolist() == [-1, -2]


def test_lists_come_back_as_the_same_graph(prepared, poses):
    graph = graph_of([0, 0, 1, 4, 7], [1, 3, 0, 5, 0], poses, [1, 2, 3, 1, 1])
    lists = lists_of_graph(graph, prepared)
    found = graph_of_lists(lists, -lists.score, prepared, "truth")
    for label in ("i", "j", "distance", "mirror"):
        np.testing.assert_array_equal(getattr(found, label), getattr(graph, label))
    np.testing.assert_allclose(found.shift_px, graph.shift_px, atol=1e-5)
    np.testing.assert_allclose(found.angle_deg, graph.angle_deg, atol=1e-4)
    assert (found.box, found.pixel_size_angstrom, found.n) == (64, 3.0, 8) and found.name.tolist() == NAMES


def test_some_lists_and_near_edges_only(prepared, poses):
    i, j = np.triu_indices(8, 1)
    lists = lists_of_graph(graph_of(i, j, poses, np.abs(i - j)), prepared)
    found = graph_of_lists(lists, -lists.score, prepared, "truth", of=np.array([2, 4]), max_distance=2)
    assert sorted(zip(found.i.tolist(), found.j.tolist(), strict=True)) == [
        (3, 1),
        (3, 4),
        (3, 5),
        (5, 3),
        (5, 4),
        (5, 7),
    ]
    with pytest.raises(InputError, match=r"as near as --max-distance.*nearest are 1 apart"):
        graph_of_lists(lists, -lists.score, prepared, "truth", max_distance=0.5)


def test_minus_180_degrees_is_written_as_180(prepared, poses):
    graph = graph_of([0], [1], poses, [1])
    lists = lists_of_graph(replace(graph, angle_deg=np.float32([-179.999999])), prepared)
    assert graph_of_lists(lists, -lists.score, prepared, "truth").angle_deg[0] > 0


def test_lists_that_would_be_too_long_are_refused(prepared, poses, monkeypatch):
    monkeypatch.setattr("cryoalign.passes.prepare.graph._LONGEST", 20)
    i, j = np.triu_indices(8, 1)
    with pytest.raises(InputError, match="5 neighbours"):
        lists_of_graph(graph_of(i, j, poses, np.abs(i - j)), prepared)
