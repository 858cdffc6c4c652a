"""Weights of members: least expected error by the formula, near views first, alone before crowded, gaps, threads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cryoalign.classification.affinity import best_affine, pair_affinities
from cryoalign.classification.diffusion import Embedding, diffuse
from cryoalign.classification.member_weights import (
    LEAST,
    LIKENESS,
    kriging_weights,
    member_weights,
    noise_ratio,
)
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.settings import ClassificationSettings
from helpers.sphere_graphs import angle_between_deg, random_frames, rewired_graph

N, K = 1000, 40


@pytest.fixture(scope="module")
def mirrored():
    """Frames, the embedding of a graph with mirrors a tenth of whose edges are wrong, and the nearest views in it."""
    frames = random_frames(N, 3)
    embedding = diffuse(rewired_graph(frames, 40, 0.9, seed=3, mirrors=True), 4, 40)
    return frames, embedding, best_affine(embedding, K)


def lists_of(index, mirror=None):
    index = np.asarray(index, np.int32)
    zero = np.zeros(index.shape, np.float32)
    flips = np.zeros(index.shape, bool) if mirror is None else np.asarray(mirror)
    return NeighbourLists(index, zero, zero, flips, np.zeros((*index.shape, 2), np.float32))


def planar(points, width=0.5):
    """Embedding of one frequency whose |c|^2 of two images is exactly a Gaussian of the distance of their points."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    kernel = np.exp(-((distance / width) ** 2) / 2)
    value, vector = np.linalg.eigh(kernel)
    vector = vector * np.sqrt(np.maximum(value, 0))
    ones = np.ones(len(value), np.float32)
    return Embedding(False, (1,), (ones,), (vector.astype(np.complex64),)), kernel**2


def test_weights_solve_the_equations_of_least_error():
    points = np.random.default_rng(1).normal(0, 0.3, (12, 2))
    embedding, squares = planar(points)
    index = np.array([[j for j in range(12) if j != i] for i in range(12)])
    for ratio in (0.8, 5.0, 80.0):
        found = kriging_weights(embedding, lists_of(index), ratio)
        covariance = squares**LIKENESS
        for i in range(12):
            among = covariance[np.ix_(index[i], index[i])]
            wanted = np.linalg.solve(among + ratio * np.eye(11), covariance[i, index[i]])
            np.testing.assert_allclose(found[i], np.clip(wanted / wanted.max(), LEAST, 1), atol=2e-4)


def test_they_have_less_error_than_equal_weights():
    """Signals drawn with the covariance that is assumed, noise added: the formula is worth what it says."""
    rng = np.random.default_rng(2)
    points = np.concatenate([np.zeros((1, 2)), rng.normal(0, 0.4, (20, 2))])
    embedding, squares = planar(points)
    lists = lists_of(np.concatenate([np.arange(1, 21)[None], np.full((20, 20), -1)]))
    root = np.linalg.cholesky(squares**LIKENESS + 1e-9 * np.eye(21))
    signal = root @ rng.normal(size=(21, 40_000))
    noisy = signal[1:] + np.sqrt(2.0) * rng.normal(size=(20, 40_000))
    weight = kriging_weights(embedding, lists, 2.0)[0]
    ours, flat = (np.corrcoef(w @ noisy, signal[0])[0, 1] for w in (weight, np.ones(20)))
    assert ours > flat + 0.01
    # To chance no other weights near by are better: shuffled ones, and their square.
    assert ours > np.corrcoef(rng.permutation(weight) @ noisy, signal[0])[0, 1] + 0.01
    assert ours >= np.corrcoef(weight**2 @ noisy, signal[0])[0, 1]


def test_one_alone_counts_more_than_one_in_a_crowd():
    crowd = [[0.3, 0.0]] * 6
    embedding, _ = planar(np.array([[0.0, 0.0], *crowd, [-0.3, 0.0]]))
    weight = kriging_weights(embedding, lists_of([list(range(1, 8)), *[[-1] * 7] * 7]), 1.0)[0]
    assert weight[6] == 1 and (weight[:6] < 0.5).all()


def test_near_views_count_more_and_noise_makes_all_alike(mirrored):
    frames, embedding, lists = mirrored
    i, j = np.repeat(np.arange(N), K), lists.index.ravel()
    angle = angle_between_deg(frames, i, j, lists.mirror.ravel()).reshape(N, K)
    near = angle < np.median(angle, axis=1, keepdims=True)
    contrast = []
    for ratio in (1.0, 10.0, 1000.0):
        weight = kriging_weights(embedding, lists, ratio)
        assert weight.dtype == np.float32 and weight.min() >= np.float32(LEAST) and (weight.max(axis=1) == 1).all()
        contrast.append(weight[near].mean() / weight[~near].mean())
    assert contrast[0] > contrast[1] > contrast[2] > 1
    assert contrast[0] > 1.3
    # With nothing but noise a member counts by its own likeness alone.
    likeness = pair_affinities(embedding, lists.index, lists.mirror).mean(axis=2) ** LIKENESS
    np.testing.assert_allclose(weight, likeness / likeness.max(axis=1, keepdims=True), atol=0.05)


def test_mirrored_members_are_met_mirrored(mirrored):
    """Turning an image over, everywhere, changes nobody's weight."""
    _, embedding, lists = mirrored
    over = np.random.default_rng(5).uniform(size=N) < 0.5
    vectors = tuple(np.where(over[:, None], v.conj(), v) for v in embedding.vector)
    turned = Embedding(True, embedding.frequency, embedding.eigenvalue, vectors)
    flips = lists.mirror ^ over[:, None] ^ over[lists.index]
    weight = kriging_weights(turned, lists_of(lists.index, flips), 2.0)
    np.testing.assert_allclose(weight, kriging_weights(embedding, lists, 2.0), atol=1e-4)
    wrong = kriging_weights(turned, lists_of(lists.index, lists.mirror), 2.0)
    assert np.abs(wrong - weight).max() > 0.2


def test_gaps_weigh_nothing_and_change_nothing(mirrored):
    _, embedding, lists = mirrored
    short = np.where(np.arange(K) < 15, lists.index, -1)
    weight = kriging_weights(embedding, lists_of(short, lists.mirror), 3.0)
    assert (weight[:, 15:] == 0).all()
    wanted = kriging_weights(embedding, lists.nearest(15), 3.0)
    np.testing.assert_allclose(weight[:, :15], wanted, atol=1e-5)
    assert (kriging_weights(embedding, lists_of(np.full((N, 3), -1)), 3.0) == 0).all()


def test_threads_change_no_weight(mirrored):
    _, embedding, lists = mirrored
    one = kriging_weights(embedding, lists, 3.0)
    assert kriging_weights(embedding, lists, 3.0, threads=3).tobytes() == one.tobytes()


def features_of(eigenvalue, frequency):
    return SimpleNamespace(
        eigenvalue=np.asarray(eigenvalue, float), frequency=np.asarray(frequency), basis=SimpleNamespace(radius_px=16.0)
    )


def test_without_signal_all_weigh_the_same(mirrored):
    _, embedding, lists = mirrored
    features = features_of([30.0, 20.0], [0, 1])
    assert noise_ratio(features) == pytest.approx(np.pi * 256 / 70)
    flat = np.where(lists.index >= 0, 1, 0)
    plain = ClassificationSettings()
    assert (member_weights(embedding, features, lists, plain, signal=False) == flat).all()
    assert (member_weights(embedding, features_of([], []), lists, plain) == flat).all()
    assert (member_weights(embedding, features, lists, ClassificationSettings(algorithm="kmeans")) == flat).all()
    weight = member_weights(embedding, features, lists, plain)
    assert weight.tobytes() == kriging_weights(embedding, lists, noise_ratio(features)).tobytes() and (weight < 1).any()
