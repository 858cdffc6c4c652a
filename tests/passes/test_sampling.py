"""One unit for all sums of a set: it follows the pixels, and bad images do not move it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.source import ArraySource
from cryoalign.passes.sampling import SAMPLE_ROWS, Sample


def noise(n: int, deviation: float) -> np.ndarray:
    return (deviation * np.random.default_rng(1).standard_normal((n, 16, 16))).astype(np.float32)


@pytest.mark.parametrize(("deviation", "exponent"), [(1.5, 24), (3.0, 23), (0.3, 26), (1500.0, 14)])
def test_twenty_four_bits_below_the_deviation(deviation, exponent):
    assert Sample(ArraySource(noise(70, deviation))).sum_scale() == 2.0**exponent


def test_a_level_does_not_count():
    assert Sample(ArraySource(noise(70, 1.5) + 1000)).sum_scale() == 2.0**24


def test_bad_images_are_left_out():
    images = noise(130, 1.5)
    images[3, 2, 2], images[70, 1, 1], images[100] = np.nan, np.inf, 7.0
    assert Sample(ArraySource(images)).sum_scale() == 2.0**24
    with pytest.raises(InputError, match="no usable image"):
        Sample(ArraySource(np.zeros((3, 16, 16), np.float32))).sum_scale()


def test_a_large_set_is_sampled_evenly():
    class Counting(ArraySource):
        seen: ClassVar[list[int]] = []

        def read(self, rows):
            self.seen.extend(rows.tolist())
            return super().read(rows)

    Sample(Counting(noise(3 * SAMPLE_ROWS, 1.0))).sum_scale()
    assert Counting.seen == list(range(0, 3 * SAMPLE_ROWS, 3))
