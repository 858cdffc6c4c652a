"""What is said of measures that lose in noise."""

from __future__ import annotations

import pytest

from cryoalign.metrics.registry import MEASURES, measure
from cryoalign.passes.noisy_measures import IN_NOISE, NOISY, warning_of_noise


def test_measures_that_lose_exist():
    assert set(IN_NOISE) < set(MEASURES)


@pytest.mark.parametrize(("name", "loses"), [("rfsw", True), ("mutual-information", True), ("auto", False)])
def test_warning_where_noise_is_strong_and_the_measure_loses(name, loses):
    one = measure(name)
    said = warning_of_noise(one, 0.123)
    assert (said is not None and f"{name} on noisy particles (SNR 0.12)" in said) == loses
    assert warning_of_noise(one, NOISY) is None and warning_of_noise(one, None) is None
