"""Cells of views: every image in one, near views proposed, lists as those of all pairs on a graph with wrong edges."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification import affinity
from cryoalign.classification.affinity import affinity_features, best_affine
from cryoalign.classification.diffusion import diffuse
from cryoalign.classification.kd_candidates import nearest_to_cell, tree_cells, unseen_of_neighbours, view_coordinates
from helpers.sphere_graphs import random_frames, rewired_graph

N = 3000


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "mirrors"])
def graph(request):
    frames = random_frames(N, 5)
    return frames, diffuse(rewired_graph(frames, 30, 0.8, seed=5, mirrors=request.param), 3, 30), request.param


def test_cells_hold_every_image_once():
    points = np.random.default_rng(1).normal(size=(1000, 3)).astype(np.float32)
    cells = tree_cells(points, 40)
    assert np.array_equal(np.sort(np.concatenate(cells)), np.arange(1000))
    assert max(map(len, cells)) <= 40 and min(map(len, cells)) >= 20
    # Equal points cannot be told apart, and are parted all the same.
    assert max(map(len, tree_cells(np.zeros((300, 2), np.float32), 40))) <= 40


def test_coordinates_name_the_near_views(graph):
    frames, embedding, mirrors = graph
    coordinates = view_coordinates(affinity_features(embedding), mirrors)
    view = frames[:, :, 2]
    missed = []
    for cell in tree_cells(coordinates.points(), 60):
        named = nearest_to_cell(coordinates, cell, 500)
        assert np.array_equal(named, np.unique(named)) and len(named) == 500
        cosine = view[cell] @ view.T
        true = np.argsort(-(np.abs(cosine) if mirrors else cosine), axis=1)[:, 1:31]
        missed.append(1 - np.isin(true, named).mean())
    assert np.mean(missed) < 0.02


def test_lists_of_cells_are_those_of_all_pairs(graph, monkeypatch):
    _, embedding, _ = graph
    monkeypatch.setattr(affinity, "LEAST_NEAR", 900)
    every, cells = best_affine(embedding, 30), best_affine(embedding, 30, brute_force=100)
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(every.index, cells.index, strict=True)])
    assert recall >= 0.99
    same = (every.index == cells.index) & (every.index >= 0)
    assert same.mean() > 0.9
    assert np.array_equal(every.mirror[same], cells.mirror[same])
    np.testing.assert_allclose(every.score[same], cells.score[same], rtol=2e-5)
    assert not (cells.index == np.arange(N)[:, None]).any()
    listed = np.sort(cells.index, axis=1)
    assert not ((listed[:, 1:] == listed[:, :-1]) & (listed[:, 1:] >= 0)).any()


def test_threads_change_no_byte_of_cells(graph, monkeypatch):
    monkeypatch.setattr(affinity, "LEAST_NEAR", 300)
    one, two = (best_affine(graph[1], 15, brute_force=100, threads=threads) for threads in (1, 3))
    for name in ("index", "score", "angle_deg", "mirror"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_neighbours_of_neighbours_that_were_not_seen():
    index = np.array([[1, 2], [2, 3], [4, -1], [0, 5], [0, 1], [-1, -1]], np.int32)
    found = unseen_of_neighbours(index, np.array([0, 5]), np.array([2], np.int32), 2, 2)
    # 0 leads by 1 to 2 (seen) and 3, and by 2 to 4; nothing leads on from 5.
    assert np.array_equal(found, [[3, 4], [-1, -1]])
