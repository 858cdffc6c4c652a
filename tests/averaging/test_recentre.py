"""Centres of mass of pictures with a formula, mirrors and both parities; and how far they are moved."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.averaging.recentre import centres_of_mass, recentring_shifts


def blob(box, x, y, width=4.0, height=1.0):
    offset = np.arange(box) - box // 2
    return height * np.exp(-((offset - x) ** 2 + (offset - y)[:, None] ** 2) / (2 * width**2))


@pytest.mark.parametrize("box", [64, 65])
@pytest.mark.parametrize("place", [(0.0, 0.0), (3.3, -2.1), (-9.0, 6.5), (12.0, 12.0)])
def test_a_blob_is_found_where_it_is(box, place):
    found = recentring_shifts(blob(box, *place)[None], 36.0)[0]
    np.testing.assert_allclose(found, place, atol=0.02)


@pytest.mark.parametrize("box", [64, 65])
def test_two_blobs_have_one_centre(box):
    picture = blob(box, 8, 2, height=3.0) + blob(box, -4, -6, height=1.0)
    wanted = (3 * np.array([8, 2]) + np.array([-4, -6])) / 4
    np.testing.assert_allclose(recentring_shifts(picture[None], 50.0)[0], wanted, atol=0.25)


def test_the_first_answer_falls_short_of_what_the_mask_cuts_off():
    picture = blob(64, 14, 0)[None]
    assert centres_of_mass(picture, 30.0)[0, 0] < 13
    assert recentring_shifts(picture, 30.0)[0, 0] == pytest.approx(14, abs=0.02)


def test_level_scale_and_noise_hardly_matter():
    rng = np.random.default_rng(0)
    picture = blob(64, 5, -3)
    noisy = 7.0 * picture + 100 + 0.7 * rng.standard_normal((64, 64))
    np.testing.assert_allclose(recentring_shifts(noisy[None], 40.0)[0], (5, -3), atol=0.3)


def test_nothing_positive_stays_where_it_is():
    assert (recentring_shifts(np.zeros((2, 32, 32)), 20.0) == 0).all()


def test_no_further_than_a_quarter_of_the_box():
    found = recentring_shifts(np.random.default_rng(1).standard_normal((5, 32, 32)), 12.0)
    assert np.abs(found).max() <= 8
