"""Affinities: neighbours and angles of rewired graphs, mirrors, the tree against all pairs, viewing angles."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.affinity import best_affine
from cryoalign.classification.diffusion import diffuse
from cryoalign.classification.mfca import class_averaging_vectors, viewing_angles_deg
from cryoalign.core.poses import wrap_degrees
from helpers.sphere_graphs import (
    angle_between_deg,
    cap_graph,
    fibonacci_frames,
    nearest_views,
    optimal_angle_deg,
    random_frames,
    rewired_graph,
)


def recall(found, index, mirror):
    ours = np.where(found.index >= 0, 2 * found.index + found.mirror, -1)
    theirs = 2 * index + mirror
    return np.mean([np.isin(b, a).mean() for a, b in zip(ours, theirs, strict=True)])


@pytest.fixture(scope="module")
def mirrored():
    """A graph with mirrors, 30 % of its edges wrong."""
    frames = random_frames(1500, 2)
    return frames, diffuse(rewired_graph(frames, 40, 0.7, seed=2, mirrors=True), 6, 40)


def test_neighbours_and_angles_of_a_mirrored_graph(mirrored):
    frames, embedding = mirrored
    found = best_affine(embedding, 30)
    assert recall(found, *nearest_views(frames, 30, mirrors=True)) > 0.75
    assert np.all(np.diff(found.score, axis=1) <= 0) and found.score.max() <= 1 + 1e-5
    i = np.repeat(np.arange(1500), 30)
    j, flips = found.index.ravel(), found.mirror.ravel()
    assert np.mean(angle_between_deg(frames, i, j, flips)) < 11
    assert 0.45 < flips.mean() < 0.55
    error = np.abs(wrap_degrees(found.angle_deg.ravel() - optimal_angle_deg(frames, i, j, flips)))
    assert np.median(error) < 0.5


def test_tree_finds_what_all_pairs_find():
    for mirrors in (False, True):
        frames = random_frames(1500, 7)
        embedding = diffuse(rewired_graph(frames, 40, 0.9, seed=7, mirrors=mirrors), 4, 40)
        every = best_affine(embedding, 30)
        tree = best_affine(embedding, 30, brute_force=100)
        assert recall(tree, every.index, every.mirror) >= 0.99


def test_threads_change_no_byte(mirrored):
    embedding = mirrored[1]
    for limit in (100, 1500):
        one, two = (best_affine(embedding, 20, brute_force=limit, threads=threads) for threads in (1, 2))
        for name in ("index", "score", "angle_deg", "mirror"):
            assert np.array_equal(getattr(one, name), getattr(two, name))


def test_viewing_angles_of_the_cap_graph():
    frames = fibonacci_frames(2500, seed=3)
    embedding = class_averaging_vectors(cap_graph(frames, 20.0), 5)
    i = np.arange(2500)
    j = np.random.default_rng(1).integers(0, 2500, (2500, 4)).astype(np.int32)
    found = viewing_angles_deg(embedding, j, np.zeros(j.shape, bool))
    truth = angle_between_deg(frames, i[:, None], j)
    near = (truth > 40) & (truth < 120)
    assert np.quantile(np.abs(found - truth)[near], 0.99) < 3
    assert np.abs(found - truth)[near].mean() < 0.6


def test_short_lists_where_there_is_no_more():
    frames = fibonacci_frames(40, seed=1)
    found = best_affine(diffuse(cap_graph(frames, 50.0), 1, 10), 50)
    assert found.k == 39
