"""Products at poses, templates and quality, against images that are rotated and mirrored copies by formula."""

from __future__ import annotations

import numpy as np

from cryoalign.classification.llr import pair_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import (
    best_attainable,
    pair_distances,
    pose_products,
    template_quality,
    templates,
)
from helpers.steerable import mirrored, rotated

FREQUENCY = np.array([0, 0, 1, 1, 2, 3, 5])


def family(n, rng, noise=0.0):
    """Return copies of one image, image 0 as it is, and lists of all others with the poses that bring them onto i."""
    one = rng.normal(size=(1, 7)) + 1j * np.where(FREQUENCY, rng.normal(size=(1, 7)), 0)
    psi, flip = rng.uniform(-180, 180, n), rng.random(n) < 0.5
    psi[0], flip[0] = 0, False
    # Image i is the one, rotated and then perhaps mirrored.
    turned = rotated(np.repeat(one, n, axis=0).astype(np.complex64), FREQUENCY, psi)
    images = np.where(flip[:, None], mirrored(turned, FREQUENCY), turned)
    scatter = rng.normal(size=images.shape) + 1j * np.where(FREQUENCY, rng.normal(size=images.shape), 0)
    images = (images + noise * scatter).astype(np.complex64)
    index = np.array([[j for j in range(n) if j != i] for i in range(n)], np.int32)
    # Plain images: psi_i - psi_j; where i is mirrored all turns are the other way round.
    angle = np.where(flip[:, None], -1, 1) * (psi[:, None] - psi[index])
    shape = index.shape
    lists = NeighbourLists(
        index, np.zeros(shape, np.float32), angle.astype(np.float32), flip[:, None] ^ flip[index],
        np.zeros((*shape, 2), np.float32),
    )  # fmt: skip
    return images, lists


def test_copies_agree_fully_at_their_poses():
    images, lists = family(9, np.random.default_rng(3))
    full = (np.abs(images) ** 2).sum(axis=1)
    np.testing.assert_allclose(pose_products(images, FREQUENCY, lists), np.repeat(full[:, None], 8, 1), rtol=1e-4)
    mean, count = templates(images, FREQUENCY, lists, members=5)
    assert (count == 5).all()
    np.testing.assert_allclose(mean, images, atol=1e-4)


def test_distances_are_what_a_score_lacks_of_the_best():
    eigenvalue = np.array([4.0, 1, 3, 1, 2, 1, 0.5])
    images, lists = family(6, np.random.default_rng(4), noise=0.5)
    weights = pair_weights("llr", FREQUENCY, eigenvalue)
    best = best_attainable(images, FREQUENCY, eigenvalue)
    distance = pair_distances(images, FREQUENCY, weights, best, lists)
    own = weights.own_terms(images)
    score = pose_products(weights.weighted(images), FREQUENCY, lists) - own[:, None] - own[lists.index]
    np.testing.assert_allclose(distance, best[:, None] - score, rtol=1e-4, atol=1e-4)
    # No image at all scores above the best attainable one.
    assert (distance >= 0).all()
    rng = np.random.default_rng(5)
    other = rng.normal(size=(4000, 7)) + 1j * np.where(FREQUENCY, rng.normal(size=(4000, 7)), 0)
    other = (3 * other).astype(np.complex64)
    product = (weights.weighted(images[:1]) * weights.weighted(other).conj()).real.sum(axis=1)
    assert (product - own[0] - weights.own_terms(other)).max() <= best[0]


def test_lists_with_gaps_have_infinite_distances_and_empty_ones_the_worst_quality():
    eigenvalue = np.ones(7)
    images, lists = family(5, np.random.default_rng(6), noise=0.3)
    index = lists.index.copy()
    index[1, 2:], index[2] = -1, -1
    short = NeighbourLists(index, lists.score, lists.angle_deg, lists.mirror, lists.shift_px)
    distance = pair_distances(images, FREQUENCY, pair_weights("llr", FREQUENCY, eigenvalue), np.zeros(5), short)
    assert np.isinf(distance[1, 2:]).all()
    assert np.isfinite(distance[1, :2]).all()
    quality = template_quality(images, FREQUENCY, eigenvalue, short)
    assert quality[2] == -np.inf
    assert np.isfinite(quality[[0, 1, 3, 4]]).all()


def test_an_image_of_nothing_has_the_lowest_quality():
    rng = np.random.default_rng(7)
    images, lists = family(30, rng, noise=0.3)
    images[4] = rng.normal(size=7) * 2
    quality = template_quality(images, FREQUENCY, np.full(7, 2.0), lists)
    assert quality.argmin() == 4
