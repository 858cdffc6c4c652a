"""Points that keep their distance, against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoalign.core import spacing
from cryoalign.core.spacing import keep_apart


def by_brute_force(points, groups, order, distance):
    """Take points by priority; each that is taken removes all later ones within the distance."""
    keep = np.ones(len(points), bool)
    for place, row in enumerate(order):
        if keep[row]:
            for other in order[place + 1 :]:
                near = np.sum((points[row] - points[other]) ** 2) <= distance**2
                if near and groups[row] == groups[other]:
                    keep[other] = False
    return keep


# Whole numbers and halves: distances are exact, so that points at the very limit are common.
POINTS = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(0, 2)), min_size=0, max_size=40
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(POINTS, st.integers(0, 12), st.randoms(use_true_random=False), st.booleans())
def test_agrees_with_brute_force_whatever_the_crowd(rows, distance, random, crowded):
    points = np.array([row[:2] for row in rows], float).reshape(-1, 2) / 2
    groups = np.array([row[2] for row in rows], np.int64)
    order = list(range(len(rows)))
    random.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        if crowded:
            patch.setattr(spacing, "_PAIRS", -1)
            patch.setattr(spacing, "_CROWD", 5)
        keep = keep_apart(points, groups, order, distance / 2)
    np.testing.assert_array_equal(keep, by_brute_force(points, groups, order, distance / 2))


def test_the_listing_order_does_not_matter():
    rng = np.random.default_rng(1)
    points, groups = rng.uniform(0, 50, (400, 2)), rng.integers(0, 3, 400)
    priority = rng.permutation(400)
    keep = keep_apart(points, groups, np.argsort(priority), 4.0)
    assert 100 < keep.sum() < 390
    shuffled = rng.permutation(400)
    again = keep_apart(points[shuffled], groups[shuffled], np.argsort(priority[shuffled]), 4.0)
    np.testing.assert_array_equal(again, keep[shuffled])


def test_a_chain_keeps_every_other_point():
    points = np.column_stack([np.arange(9.0), np.zeros(9)])
    assert np.flatnonzero(keep_apart(points, np.zeros(9), np.arange(9), 1.5)).tolist() == [0, 2, 4, 6, 8]
    # The middle one first: then its neighbours go.
    order = [4, 0, 1, 2, 3, 5, 6, 7, 8]
    assert np.flatnonzero(keep_apart(points, np.zeros(9), order, 1.5)).tolist() == [0, 2, 4, 6, 8]
    assert np.flatnonzero(keep_apart(points, np.zeros(9), [5, *range(5), *range(6, 9)], 1.5)).tolist() == [0, 2, 5, 7]


def test_points_of_other_groups_never_meet():
    points = np.zeros((4, 2))
    assert keep_apart(points, [0, 1, 0, 7], np.arange(4), 1e6).tolist() == [True, True, False, True]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        keep_apart(np.zeros((3, 2)), np.zeros(2), np.arange(3), 1.0)
    with pytest.raises(ValueError, match="negative"):
        keep_apart(np.zeros((3, 2)), np.zeros(3), np.arange(3), -1.0)
    with pytest.raises(ValueError, match="negative"):
        keep_apart(np.zeros((3, 2)), np.zeros(3), np.arange(3), np.nan)
