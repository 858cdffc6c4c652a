"""Turns onto means of neighbours, against copies of one image whose angles are known by formula."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.template_angles import template_turns_deg, turned_lists
from cryoalign.core.poses import wrap_degrees
from helpers.steerable import mirrored, rotated

FREQUENCY = np.array([0, 0, 1, 1, 2, 3, 5, 8])


@pytest.fixture
def family():
    """Return noisy copies of one image, rotated and mirrored, and lists of all others with their true poses."""
    rng, n = np.random.default_rng(11), 40
    one = rng.normal(size=(1, 8)) + 1j * np.where(FREQUENCY, rng.normal(size=(1, 8)), 0)
    psi, flip = rng.uniform(-180, 180, n), rng.random(n) < 0.5
    turned = rotated(np.repeat(one, n, axis=0).astype(np.complex64), FREQUENCY, psi)
    images = np.where(flip[:, None], mirrored(turned, FREQUENCY), turned)
    scatter = rng.normal(size=images.shape) + 1j * np.where(FREQUENCY, rng.normal(size=images.shape), 0)
    index = np.array([[j for j in range(n) if j != i] for i in range(n)], np.int32)
    angle = np.where(flip[:, None], -1, 1) * (psi[:, None] - psi[index])
    shape = index.shape
    lists = NeighbourLists(
        index, np.zeros(shape, np.float32), wrap_degrees(angle).astype(np.float32), flip[:, None] ^ flip[index],
        np.zeros((*shape, 2), np.float32),
    )  # fmt: skip
    return (images + 0.05 * scatter).astype(np.complex64), lists


def test_images_that_stand_beside_their_place_are_turned_back(family):
    images, lists = family
    wrong = np.random.default_rng(12).normal(scale=4.0, size=len(images))
    # Image i was put where it would stand if it were turned by wrong_i.
    put = turned_lists(lists, -wrong)
    found = template_turns_deg(images, FREQUENCY, put)
    again = turned_lists(put, found)
    before = np.abs(wrap_degrees(put.angle_deg - lists.angle_deg))
    after = np.abs(wrap_degrees(again.angle_deg - lists.angle_deg))
    assert np.median(before) > 3
    assert np.median(after) < 0.8


def test_images_in_their_place_stay(family):
    images, lists = family
    assert np.abs(template_turns_deg(images, FREQUENCY, lists)).max() < 2.0


def test_turns_of_a_common_sense_change_nothing_but_mirrored_pairs(family):
    _, lists = family
    turned = turned_lists(lists, np.full(len(lists), 3.0))
    change = wrap_degrees(turned.angle_deg - lists.angle_deg)
    np.testing.assert_allclose(change[~lists.mirror], 0, atol=1e-4)
    np.testing.assert_allclose(change[lists.mirror], -6, atol=1e-4)


def test_an_image_without_neighbours_is_not_turned(family):
    images, lists = family
    index = lists.index.copy()
    index[3] = -1
    alone = NeighbourLists(index, lists.score, lists.angle_deg, lists.mirror, lists.shift_px)
    turns = template_turns_deg(images, FREQUENCY, alone)
    assert turns[3] == 0
    assert (turned_lists(alone, turns).angle_deg[3] == 0).all()


def test_threads_change_no_turn(family):
    images, lists = family
    one, two = (template_turns_deg(images, FREQUENCY, lists, threads=threads) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()
