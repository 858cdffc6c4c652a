"""All pairs against coefficients turned and mirrored one by one."""

import numpy as np
import pytest

from cryoalign.classification import all_pairs
from cryoalign.classification.all_pairs import all_neighbours, pairs_above, screen_pairs, strongest_components
from helpers.pair_oracle import angle_between, best_scores, frequencies, mirrored, random_coefficients

N = 150


@pytest.fixture(scope="module")
def case():
    frequency = frequencies()
    coefficients = random_coefficients(N, frequency, seed=11)
    offset = (np.sum(np.abs(coefficients) ** 2, axis=1) / 2).astype(np.float32)
    score, psi, flip = best_scores(coefficients, coefficients, frequency, step_deg=0.5)
    return coefficients, frequency, offset, score - offset[:, None] - offset, psi, flip


@pytest.mark.parametrize("k", [1, 9, 40])
def test_neighbours_are_the_highest_scores_of_all(case, k):
    coefficients, frequency, offset, score, psi, flip = case
    lists = all_neighbours(coefficients, frequency, k, offset)
    score = np.where(np.eye(N, dtype=bool), -np.inf, score)
    np.testing.assert_allclose(lists.score, np.sort(score, axis=1)[:, ::-1][:, :k], atol=0.3)
    assert np.all(np.diff(lists.score, axis=1) <= 0)
    rows = np.arange(N)[:, None]
    np.testing.assert_allclose(lists.score, score[rows, lists.index], atol=0.3)
    same = lists.mirror == flip[rows, lists.index]
    assert same.mean() > 0.99
    assert np.quantile(angle_between(lists.angle_deg, psi[rows, lists.index])[same], 0.98) < 0.5


def test_pairs_above_a_threshold_are_all_there(case):
    coefficients, frequency, offset, score, psi, flip = case
    threshold = float(np.quantile(score[np.triu_indices(N, 1)], 0.9))
    blocks = list(pairs_above(coefficients, frequency, threshold, offset))
    i, j, value, angle, hand = (
        np.concatenate([getattr(b, name) for b in blocks]) for name in ("i", "j", "score", "angle_deg", "mirror")
    )
    assert np.all(i < j) and np.all(value >= threshold)
    assert np.all(np.diff(i.astype(np.int64) * N + j) > 0)
    found = np.zeros((N, N), bool)
    found[i, j] = True
    upper = np.triu(np.ones((N, N), bool), 1)
    assert np.array_equal(found & (score > threshold + 0.3), upper & (score > threshold + 0.3))
    assert not np.any(found & (score < threshold - 0.3))
    np.testing.assert_allclose(value, score[i, j], atol=0.3)
    same = hand == flip[i, j]
    assert same.mean() > 0.98
    assert np.quantile(angle_between(angle, psi[i, j])[same], 0.98) < 0.5


def test_all_pairs_without_threshold(case):
    coefficients, frequency, offset, *_ = case
    blocks = list(pairs_above(coefficients, frequency, -np.inf, offset))
    assert sum(len(b.i) for b in blocks) == N * (N - 1) // 2


def test_without_mirrors(case):
    coefficients, frequency, offset, *_ = case
    score, _, _ = best_scores(coefficients, coefficients, frequency, step_deg=0.5, mirror=False)
    score = np.where(np.eye(N, dtype=bool), -np.inf, score - offset[:, None] - offset)
    lists = all_neighbours(coefficients, frequency, 5, offset, mirror=False)
    assert not lists.mirror.any()
    np.testing.assert_allclose(lists.score, np.sort(score, axis=1)[:, ::-1][:, :5], atol=0.3)


def test_fewer_images_than_neighbours(case):
    coefficients, frequency, offset, *_ = case
    lists = all_neighbours(coefficients[:4], frequency, 9, offset[:4])
    assert np.array_equal(np.sort(lists.index[0])[-3:], [1, 2, 3]) and np.all(lists.index[:, 3:] == -1)
    single = all_neighbours(coefficients[:1], frequency, 2)
    assert np.array_equal(single.index, [[-1, -1]])
    assert sum(len(b.i) for b in pairs_above(coefficients[:1], frequency, -np.inf)) == 0


def test_identical_and_zero_images(case):
    coefficients, frequency, *_ = case
    images = np.concatenate([np.zeros_like(coefficients[:1])] + 5 * [coefficients[:1]])
    lists = all_neighbours(images, frequency, 3)
    assert np.array_equal(lists.index[1], [2, 3, 4]) and np.array_equal(lists.index[4], [1, 2, 3])
    assert np.array_equal(lists.index[0], [1, 2, 3]) and not lists.score[0].any()
    assert np.abs(lists.angle_deg[1:]).max() < 1e-3


def test_only_rings_without_angle():
    frequency = np.zeros(4, np.int64)
    coefficients = random_coefficients(20, frequency, seed=2)
    lists = all_neighbours(coefficients, frequency, 3)
    products = coefficients.real @ coefficients.real.T
    np.fill_diagonal(products, -np.inf)
    np.testing.assert_allclose(lists.score, np.sort(products, axis=1)[:, ::-1][:, :3], rtol=1e-5)
    assert not lists.mirror.any() and not lists.angle_deg.any()


def test_threads_change_no_bit():
    frequency = frequencies()
    coefficients = random_coefficients(400, frequency, seed=8)
    one, two = (all_neighbours(coefficients, frequency, 12, threads=threads) for threads in (1, 2))
    for name in ("index", "score", "angle_deg", "mirror"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    first, second = (list(pairs_above(coefficients, frequency, 3.0, threads=threads)) for threads in (1, 2))
    assert len(first) == len(second)
    assert all(
        np.array_equal(a.score, b.score) and np.array_equal(a.j, b.j) for a, b in zip(first, second, strict=True)
    )


def test_mirroring_every_image_leaves_neighbours(case):
    coefficients, frequency, offset, *_ = case
    other = mirrored(coefficients, frequency).astype(np.complex64)
    one, two = (all_neighbours(c, frequency, 8, offset) for c in (coefficients, other))
    assert np.array_equal(one.index, two.index)


def test_few_strong_components_list_the_candidates(monkeypatch):
    monkeypatch.setattr(all_pairs, "STRONGEST", 40)
    monkeypatch.setattr(all_pairs, "LOW", 6)
    frequency = frequencies()
    coefficients = random_coefficients(400, frequency, seed=21, decay=0.5)
    chosen = strongest_components(coefficients, frequency)
    assert len(chosen) == 40 and frequency[chosen].max() <= 6 and np.all(np.diff(chosen) > 0)
    rows = screen_pairs(coefficients[:, chosen], frequency[chosen], 80)
    assert rows.shape == (400, 80) and not np.any(rows == np.arange(400)[:, None])
    nearest = all_neighbours(coefficients, frequency, 10).index
    found = [np.isin(nearest[i], rows[i]).mean() for i in range(400)]
    assert np.mean(found) > 0.99
