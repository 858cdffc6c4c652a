"""Numbers in words."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.report.numbers import (
    angle_uniformity,
    masked_correlation,
    median,
    plural,
    signed,
    text_number,
    text_percent,
)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"),
        (0.31999, 3, "0.320"),
        (10.64, 3, "10.6"),
        (1234.4, 3, "1,230"),
        (25, 3, "25.0"),
        (0.0333, 2, "0.033"),
        (-0.5, 2, "-0.50"),
        (np.nan, 3, "not available"),
        (np.inf, 3, "not available"),
    ],
)
def test_text_number_keeps_significant_digits(value, digits, text):
    assert text_number(value, digits) == text


def test_percentages_do_not_hide_the_few():
    assert text_percent(0, 10) == "0 %"
    assert text_percent(10, 10) == "100 %"
    assert text_percent(1, 1_000_000) == "< 0.1 %"
    assert text_percent(999_999, 1_000_000) == "> 99.9 %"
    assert text_percent(1, 3) == "33.3 %"


def test_signed_lengths_have_no_negative_zero():
    assert signed(-0.01) == "0.0"
    assert signed(-1.26) == "\N{MINUS SIGN}1.3"


def test_plural():
    assert [plural(1, "class"), plural(2, "class"), plural(0, "particle")] == ["class", "classes", "particles"]


def test_median_passes_over_what_is_not_a_number():
    assert median([1.0, np.nan, 3.0, np.inf]) == 2.0
    assert np.isnan(median([np.nan]))


def test_masked_correlation_is_pearsons_inside_the_disc():
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((2, 33, 33))
    offset = np.arange(33) - 16
    inside = offset[:, None] ** 2 + offset**2 <= 100
    expected = np.corrcoef(first[inside], second[inside])[0, 1]
    assert masked_correlation(first, second, 20.0) == pytest.approx(expected, abs=1e-12)
    spoilt = np.where(inside, second, 1e6)
    assert masked_correlation(first, spoilt, 20.0) == pytest.approx(expected, abs=1e-12)
    assert masked_correlation(np.ones((33, 33)), second, 20.0) == 0.0


def test_even_angles_are_called_uneven_no_oftener_than_said():
    rng = np.random.default_rng(5)
    chances = [angle_uniformity(rng.uniform(-180, 180, 200)).probability for _ in range(400)]
    assert np.mean(np.array(chances) < 0.05) < 0.08
    assert np.mean(np.array(chances) < 0.5) > 0.2


def test_lobes_are_found_and_counted():
    rng = np.random.default_rng(6)
    two = rng.normal(0, 15, 500) + 180 * rng.integers(0, 2, 500)
    found = angle_uniformity(two)
    assert (found.fold, found.even) == (2, False)
    assert found.strength == pytest.approx(np.exp(-0.5 * np.deg2rad(30) ** 2), abs=0.03)
    one = angle_uniformity(rng.normal(40, 50, 500))
    assert (one.fold, one.even) == (1, False)
    assert angle_uniformity([12.0]).strength == pytest.approx(1.0)
