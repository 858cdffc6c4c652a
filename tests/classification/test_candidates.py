"""Candidates against sorted products of all pairs."""

import numpy as np
import pytest

from cryoalign.classification.candidates import propose


def vectors(n, size, seed=0):
    value = np.random.default_rng(seed).standard_normal((n, size)).astype(np.float32)
    value /= np.linalg.norm(value, axis=1, keepdims=True)
    flipped = value.copy()
    flipped[:, size // 2 :] *= -1
    return value, flipped


@pytest.mark.parametrize(("n", "count"), [(700, 40), (300, 299), (50, 400)])
@pytest.mark.parametrize("mirror", ["signs", "any", None])
def test_the_largest_products_are_proposed(n, count, mirror):
    plain, flipped = vectors(n, 24)
    if mirror == "any":
        # The same vectors in axes where mirroring exchanges components.
        turn = np.linalg.qr(np.random.default_rng(9).standard_normal((24, 24)))[0].astype(np.float32)
        plain, flipped = plain @ turn, flipped @ turn
    rows = propose(plain, flipped if mirror else None, count)
    products = plain @ plain.T
    reflected = plain @ flipped.T if mirror else products
    best = np.maximum(products, reflected)
    np.fill_diagonal(best, -np.inf)
    expected = np.sort(best, axis=1)[:, ::-1][:, : min(count, n - 1)]
    assert rows.shape == expected.shape
    np.testing.assert_allclose(np.take_along_axis(best, rows.astype(int), 1), expected, atol=1e-6)
    assert not np.any(rows == np.arange(n)[:, None])
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_of_equal_images_the_lower_rows_come_first():
    plain, flipped = vectors(1, 16)
    rows = propose(np.repeat(plain, 30, 0), np.repeat(flipped, 30, 0), 5)
    assert np.array_equal(rows[10], np.arange(5)) and np.array_equal(rows[2], [0, 1, 3, 4, 5])


def test_zero_vectors_and_single_images():
    rows = propose(np.zeros((6, 4), np.float32), np.zeros((6, 4), np.float32), 3)
    assert np.array_equal(rows[5], [0, 1, 2])
    assert propose(np.ones((1, 4), np.float32), None, 3).shape == (1, 0)


def test_threads_change_no_bit():
    plain, flipped = vectors(5000, 16, seed=3)
    one, two = (propose(plain, flipped, 25, threads) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_mirroring_every_image_leaves_candidates():
    plain, flipped = vectors(400, 20, seed=4)
    one, two = propose(plain, flipped, 30), propose(flipped, plain, 30)
    # Products are summed in the same order with the same signs.
    assert np.array_equal(one, two)
