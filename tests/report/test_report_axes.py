"""Numbers on axes: few, round, inside."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.report.axes import plain_log_ticks, power_of_ten, resolution_ticks


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.8, 1250), (280, 500), (3.5, 4.6), (0.18, 3.9), (1, 1e6), (0.9, 1.1), (100, 100.5), (1e-4, 1e-3)],
)
def test_logarithmic_axes_have_between_two_and_eight_round_numbers(low, high):
    ticks = plain_log_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    assert low <= ticks[0] < ticks[-1] <= high
    # They reach over most of the axis.
    assert np.log(ticks[-1] / ticks[0]) > 0.3 * np.log(high / low)


def test_powers_of_ten_are_written_plainly_where_short():
    words = [power_of_ten(10.0**k) for k in (-12, -3, -2, 0, 3, 4, 10)]
    assert words == ["10\u207b\u00b9\u00b2", "10\u207b\u00b3", "0.01", "1", "1,000", "10\u2074", "10\u00b9\u2070"]


@pytest.mark.parametrize("pixel", [0.5, 1.0, 1.77, 4.0, 12.0])
def test_resolutions_above_an_axis_lie_inside_it_and_apart(pixel):
    highest = 1 / (2 * pixel)
    lengths = resolution_ticks(highest, 0.14)
    places = 1 / np.array(lengths)
    assert len(lengths) >= 2
    assert places.max() <= 1.001 * highest
    assert np.diff(np.r_[0, places]).min() >= 0.14 * highest * 0.999
