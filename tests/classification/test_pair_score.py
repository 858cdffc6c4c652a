"""Scores of listed pairs against coefficients turned and mirrored one by one."""

import numpy as np
import pytest

from cryoalign.classification.pair_score import score_pairs, top_neighbours
from helpers.pair_oracle import (
    angle_between,
    best_scores,
    frequencies,
    mirrored,
    random_coefficients,
    turned,
    turned_scores,
)

N = 40


@pytest.fixture(scope="module")
def data():
    frequency = frequencies()
    return random_coefficients(N, frequency, seed=1), frequency


def everyone(n):
    rows = np.broadcast_to(np.arange(n, dtype=np.int32), (n, n)).copy()
    np.fill_diagonal(rows, -1)
    return rows


def test_the_score_is_the_maximum_over_angles_and_hands(data):
    coefficients, frequency = data
    offset = np.linspace(0, 3, N).astype(np.float32)
    found = score_pairs(coefficients, frequency, everyone(N), offset)
    score, psi, flip = best_scores(coefficients, coefficients, frequency)
    score -= offset[:, None] + offset
    np.fill_diagonal(score, -np.inf)
    off = ~np.eye(N, dtype=bool)
    # The grid of the oracle is a quarter of a degree wide: its maximum may lie a little lower.
    assert np.all(found.score[off] <= score[off] + 0.02)
    # Another peak of nearly the same height may be taken, rarely.
    missed = score[off] - found.score[off]
    assert np.mean(missed > 0.02) < 0.01 and missed.max() < 0.02 * np.abs(score[off]).max()
    assert np.mean(found.mirror[off] == flip[off]) > 0.995
    same = found.mirror[off] == flip[off]
    assert np.quantile(angle_between(found.angle_deg[off], psi[off])[same], 0.99) < 0.2
    assert np.all(found.angle_deg > -180) and np.all(found.angle_deg <= 180)
    assert np.all(np.isneginf(found.score[~off]))


def test_the_pose_brings_the_second_image_onto_the_first(data):
    coefficients, frequency = data
    image = coefficients[:1]
    angles = np.array([0, 33.3, -120.7, 179.5, 91.2])
    plain = np.concatenate([turned(image, frequency, -psi) for psi in angles])
    flipped = mirrored(plain, frequency)
    both = np.concatenate([image, plain, flipped]).astype(np.complex64)
    rows = np.full((len(both), len(both) - 1), -1, np.int32)
    rows[0] = np.arange(1, len(both))
    found = score_pairs(both, frequency, rows)
    assert np.array_equal(found.mirror[0], np.arange(10) >= 5)
    # Mirroring the flipped image gives back the image turned by -psi: the same angle brings it home.
    assert angle_between(found.angle_deg[0], np.tile(angles, 2)).max() < 0.01
    energy = np.sum(np.abs(image) ** 2)
    np.testing.assert_allclose(found.score[0], energy, rtol=1e-5)


def test_angles_are_found_between_grid_angles(data):
    coefficients, frequency = data
    rows = np.full((N, 1), -1, np.int32)
    rows[:10, 0] = np.arange(10, 20)
    found = score_pairs(coefficients, frequency, rows)
    for i in range(10):
        near = found.angle_deg[i, 0] + np.linspace(-1, 1, 2001)
        second = coefficients[10 + i].astype(complex)
        second = mirrored(second, frequency) if found.mirror[i, 0] else second
        curve = [np.vdot(turned(second, frequency, psi), coefficients[i].astype(complex)).real for psi in near]
        # Two steps of Newton's method: what is left of the angle costs nothing in score.
        assert abs(near[np.argmax(curve)] - found.angle_deg[i, 0]) < 0.1
        assert abs(max(curve) - found.score[i, 0]) < 1e-3


def test_pairs_score_the_same_both_ways(data):
    coefficients, frequency = data
    found = score_pairs(coefficients, frequency, everyone(N))
    off = ~np.eye(N, dtype=bool)
    np.testing.assert_allclose(found.score[off], found.score.T[off], rtol=2e-4)
    flip = found.mirror
    back = np.where(flip, found.angle_deg, -found.angle_deg).T  # pairs of mirrors are their own inverse in psi
    same = off & (flip == flip.T)
    assert np.quantile(angle_between(found.angle_deg[same], back[same]), 0.99) < 0.05


def test_without_mirrors_no_pair_is_mirrored(data):
    coefficients, frequency = data
    found = score_pairs(coefficients, frequency, everyone(N), mirror=False)
    score, _, _ = best_scores(coefficients, coefficients, frequency, mirror=False)
    assert not found.mirror.any()
    off = ~np.eye(N, dtype=bool)
    np.testing.assert_allclose(found.score[off], score[off], atol=0.3)


def test_the_best_variant_wins_after_its_penalty(data):
    coefficients, frequency = data
    others = np.stack([random_coefficients(N, frequency, seed) for seed in (5, 6, 7)])
    penalty = np.array([0.0, 2.0, 1.0])
    rows = everyone(N)[:, :12].copy()
    found = score_pairs(coefficients, frequency, rows, others=others, penalty=penalty)
    each = [
        score_pairs(coefficients, frequency, rows, others=v).score - p for v, p in zip(others, penalty, strict=True)
    ]
    assert len(np.unique(found.variant[rows >= 0])) == 3
    np.testing.assert_allclose(found.score, np.max(each, axis=0), rtol=1e-5)
    listed = rows >= 0
    assert np.array_equal(found.variant[listed], np.argmax(each, axis=0)[listed])


@pytest.mark.parametrize("components", [(3,), (1, 1), (0, 0, 2), (1, 0, 0, 0, 0, 0, 0, 0, 3), (2, *[1] * 45)])
def test_few_components_and_gaps_between_frequencies(components):
    frequency = frequencies(components)
    coefficients = random_coefficients(9, frequency, seed=3, decay=0.02)
    found = score_pairs(coefficients, frequency, everyone(9))
    score, _, _ = best_scores(coefficients, coefficients, frequency, step_deg=0.1)
    off = ~np.eye(9, dtype=bool)
    np.testing.assert_allclose(found.score[off], score[off], rtol=0.03, atol=5e-3)
    if components == (3,):
        assert not found.angle_deg.any() and not found.mirror.any()


def test_zero_and_identical_images():
    frequency = frequencies()
    image = random_coefficients(1, frequency, seed=4)
    coefficients = np.concatenate([np.zeros_like(image), image, image, image])
    lists = top_neighbours(everyone(4), score_pairs(coefficients, frequency, everyone(4)), 3)
    assert np.array_equal(lists.index[1], [2, 3, 0])
    assert np.array_equal(lists.index[3], [1, 2, 0])
    assert np.array_equal(lists.index[0], [1, 2, 3]) and not lists.score[0].any()
    assert np.abs(lists.angle_deg[1, :2]).max() < 1e-3
    assert np.isfinite(lists.angle_deg).all()


def test_lists_are_the_best_ones_in_order(data):
    coefficients, frequency = data
    rows = np.random.default_rng(0).permuted(everyone(N), axis=1)[:, :30]
    scores = score_pairs(coefficients, frequency, rows)
    lists = top_neighbours(rows, scores, 7)
    for i in range(N):
        listed = rows[i] >= 0
        order = np.argsort(-scores.score[i][listed], kind="stable")[:7]
        assert np.array_equal(lists.index[i], rows[i][listed][order])
        assert np.array_equal(lists.score[i], scores.score[i][listed][order])
        assert np.array_equal(lists.angle_deg[i], scores.angle_deg[i][listed][order])
    short = top_neighbours(rows[:, :4], score_pairs(coefficients, frequency, rows[:, :4].copy()), 7)
    assert np.all(short.index[:, 4:] == -1) and np.all(np.isneginf(short.score[:, 4:]))
    assert not short.shift_px.any()


def test_threads_change_no_bit():
    frequency = frequencies()
    coefficients = random_coefficients(200, frequency, seed=8)
    rows = np.random.default_rng(1).permuted(everyone(200), axis=1)[:, :37]
    one, two = (score_pairs(coefficients, frequency, rows, threads=threads) for threads in (1, 2))
    for name in ("score", "angle_deg", "mirror", "variant"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_mirroring_every_image_leaves_neighbours(data):
    coefficients, frequency = data
    other = mirrored(coefficients, frequency).astype(np.complex64)
    one, two = (top_neighbours(everyone(N), score_pairs(c, frequency, everyone(N)), 8) for c in (coefficients, other))
    assert np.array_equal(one.index, two.index)
    assert angle_between(one.angle_deg, -two.angle_deg).max() < 0.01


def test_shapes_that_do_not_fit_are_refused(data):
    coefficients, frequency = data
    with pytest.raises(ValueError, match="do not fit"):
        score_pairs(coefficients, frequency[1:], everyone(N))
    with pytest.raises(ValueError, match="one penalty"):
        score_pairs(coefficients, frequency, everyone(N), penalty=[0, 1])


def test_the_oracle_turns_as_the_formula_says(data):
    coefficients, frequency = data
    angle, scores = turned_scores(coefficients[0], coefficients[1], frequency, step_deg=30)
    expected = [
        np.sum(coefficients[0].astype(complex) * coefficients[1].conj() * np.exp(1j * frequency * np.deg2rad(psi))).real
        for psi in angle
    ]
    np.testing.assert_allclose(scores[0], expected)
