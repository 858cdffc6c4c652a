"""Weights of lists and of pairs: by how near an edge is among those of its image, whatever the scale."""

from __future__ import annotations

import numpy as np

from cryoalign.classification.list_edges import list_weights, pair_weights
from cryoalign.classification.neighbours import NeighbourLists


def lists_of(score: np.ndarray) -> NeighbourLists:
    n, k = score.shape
    index = np.where(np.isfinite(score), (np.arange(n)[:, None] + 1 + np.arange(k)) % n, -1).astype(np.int32)
    zeros = np.zeros((n, k), np.float32)
    return NeighbourLists(index, score.astype(np.float32), zeros, zeros.astype(bool), np.zeros((n, k, 2), np.float32))


def test_the_best_has_one_and_the_median_of_the_others_one_over_e():
    weight = list_weights(
        lists_of(np.array([[9.0, 7.0, 5.0, 1.0], [3.0, 3.0, 3.0, 3.0], [4.0, -np.inf, -np.inf, -np.inf]]))
    )
    np.testing.assert_allclose(weight[0], np.exp([0.0, -0.5, -1.0, -2.0]))
    assert (weight[1] == 1).all()  # equal scores have no gap
    assert weight[2, 0] == 1 and np.isnan(weight[2, 1:]).all()


def test_pairs_have_the_higher_weight_of_either_images_list():
    distance = np.abs(np.random.default_rng(3).normal(size=(7, 7)))
    i, j = np.triu_indices(7, 1)
    distance = np.triu(distance, 1) + np.triu(distance, 1).T
    by_hand = np.zeros((7, 7))
    for a in range(7):
        others = np.delete(np.arange(7), a)
        short = distance[a, others] - distance[a, others].min()
        by_hand[a, others] = np.exp(-short / np.median(np.sort(short)[1:]))
    np.testing.assert_allclose(pair_weights(i, j, distance[i, j]), np.maximum(by_hand, by_hand.T)[i, j])
    np.testing.assert_allclose(pair_weights(i, j, 1e3 * distance[i, j]), pair_weights(i, j, distance[i, j]))


def test_an_image_with_one_pair_gives_it_all():
    assert pair_weights(np.array([0]), np.array([1]), np.array([4.0])).tolist() == [1.0]
