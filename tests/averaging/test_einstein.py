"""Likeness with the reference grows with the number of images, of noise too."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.alignment.to_references import mask_references
from cryoalign.averaging.class_sums import SumSettings
from cryoalign.averaging.einstein import correlation_in_mask, curve_counts, likeness_curve
from cryoalign.core.poses import Poses
from cryoalign.core.search.search import Searcher, SearchSettings, plan_search
from cryoalign.core.source import ArraySource
from helpers.guard import BOX, MASK, defoci, noise, view

SETTINGS = SumSettings(BOX, 4.0, BOX, 4.0, 1, 2.0**20)


def test_the_numbers_of_images():
    assert curve_counts(5000) == curve_counts(2048) == [128, 256, 512, 1024, 2048]
    assert curve_counts(700) == [128, 256, 512, 700]
    assert curve_counts(128) == [128]
    assert curve_counts(40) == [40]
    assert curve_counts(0) == []


def test_correlation_inside_the_mask_ignores_level_scale_and_what_is_outside():
    a, b = view()[0], noise(1, 1)[0]
    changed = 3.0 * a + 7.0
    changed[0], changed[:, -1] = 99.0, -99.0
    assert correlation_in_mask(changed, a, 40) == pytest.approx(1.0, abs=1e-6)
    assert correlation_in_mask(-a, a, 40) == pytest.approx(-1.0)
    assert abs(correlation_in_mask(b, a, 40)) < 0.1
    assert correlation_in_mask(np.zeros((BOX, BOX)), a, 40) == 0.0


def test_the_curve_is_that_of_averages_made_by_hand():
    images, reference = 0.3 * view() + noise(200, 2), view()[0]
    images[7] = np.nan  # left out, not spread
    rows = np.random.default_rng(3).permutation(200)
    curve = likeness_curve(
        ArraySource(images), rows, Poses.identity(200), None, reference, [64, 130], SETTINGS, MASK
    )  # fmt: skip
    for count, value in zip((64, 130), curve, strict=True):
        assert value == pytest.approx(
            correlation_in_mask(np.nanmean(images[rows[:count]], axis=0), reference, MASK), abs=0.02
        )
    assert curve[0] < curve[1]
    weighted = likeness_curve(
        ArraySource(images), rows, Poses.identity(200), defoci(200, 4), reference, [64], SETTINGS, MASK
    )
    assert 0 < weighted[0] < curve[0]


def test_noise_aligned_to_a_reference_becomes_it():
    reference = mask_references(view(), MASK)
    searcher = Searcher(plan_search(reference, np.ones((1, BOX // 2 + 1)), SearchSettings(BOX / 12, 28.0)))
    images = noise(1024, 5)
    poses = Poses.concatenate([searcher.search(images[i : i + 64]).poses for i in range(0, 1024, 64)])
    rows, counts = np.arange(1024), [128, 512, 1024]
    curve = likeness_curve(ArraySource(images), rows, poses, None, reference[0], counts, SETTINGS, MASK)
    unaligned = likeness_curve(
        ArraySource(images), rows, Poses.identity(1024), None, reference[0], counts, SETTINGS, MASK
    )
    assert (np.diff(curve) > 0.02).all()
    assert curve[0] > 0.45 and curve[-1] > 0.65
    assert np.abs(unaligned).max() < 0.15
