"""Sums that no order can change."""

import numpy as np
import pytest

from cryoalign.averaging.exact_sums import ExactSums, fixed_point_scale
from cryoalign.core.errors import InputError

BOX, CLASSES = 16, 4


@pytest.fixture
def images():
    return np.random.default_rng(91).standard_normal((500, BOX, BOX)).astype(np.float32) * 3.7


@pytest.fixture
def classes():
    return np.random.default_rng(92).integers(-1, CLASSES, 500)


def summed(images, classes, scale):
    sums = ExactSums(CLASSES, BOX, scale)
    sums.add(images, classes)
    return sums


def test_no_order_changes_a_bit(images, classes):
    scale = fixed_point_scale(3.7)
    expected = summed(images, classes, scale)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(500)
        found = summed(images[order], classes[order], scale)
        assert found.sums.tobytes() == expected.sums.tobytes()
        np.testing.assert_array_equal(found.counts, expected.counts)
        assert found.totals().tobytes() == expected.totals().tobytes()


@pytest.mark.parametrize("block", [1, 7, 64, 499])
def test_no_cut_into_blocks_and_no_way_of_joining_them_changes_a_bit(images, classes, block):
    scale = fixed_point_scale(3.7)
    expected = summed(images, classes, scale)
    packed = [summed(images[i : i + block], classes[i : i + block], scale).pack() for i in range(0, 500, block)]
    joined = ExactSums(CLASSES, BOX, scale)
    for i in np.random.default_rng(93).permutation(len(packed)):
        joined.add_packed(**packed[i])
    assert joined.sums.tobytes() == expected.sums.tobytes()
    np.testing.assert_array_equal(joined.counts, expected.counts)


def test_packing_leaves_empty_classes_out(images):
    packed = summed(images[:6], np.array([2, 0, 2, -1, 2, 0]), 2.0**20).pack()
    np.testing.assert_array_equal(packed["classes"], [0, 2])
    np.testing.assert_array_equal(packed["counts"], [2, 3])
    assert packed["sums"].shape == (2, BOX, BOX)


def test_sums_are_those_of_double_precision(images, classes):
    sums = summed(images, classes, fixed_point_scale(3.7))
    for c in range(CLASSES):
        members = images[classes == c].astype(np.float64)
        assert sums.counts[c] == len(members) > 50
        np.testing.assert_allclose(sums.totals()[c], members.sum(axis=0), atol=1e-6 * 3.7 * np.sqrt(len(members)))


@pytest.mark.parametrize("deviation", [1e-7, 0.3, 1.0, 1023.9, 4e6])
def test_precision_does_not_depend_on_the_unit(deviation):
    values = (np.random.default_rng(94).standard_normal((200, BOX, BOX)) * deviation).astype(np.float32)
    scale = fixed_point_scale(deviation)
    assert np.log2(scale) == round(np.log2(scale))
    assert 2.0**24 <= scale * deviation < 2.0**25
    means = summed(values, np.zeros(200, int), scale).totals()[0] / 200
    np.testing.assert_allclose(means, values.mean(axis=0, dtype=np.float64), atol=1e-7 * deviation)


def test_rounding_has_no_bias():
    values = (np.random.default_rng(90).standard_normal((200, BOX, BOX)) * 1e-3).astype(np.float32)
    scale = fixed_point_scale(1.0)
    exact = values.sum(dtype=np.float64) * scale
    assert abs(summed(values, np.zeros(200, int), scale).sums.sum() - exact) / values.size < 0.02


def test_no_deviation_still_gives_a_scale():
    assert fixed_point_scale(0.0) == 2.0**24


def test_an_empty_class_has_an_empty_sum(images):
    sums = summed(images[:3], np.array([1, 1, -1]), 2.0**20)
    np.testing.assert_array_equal(sums.counts, [0, 2, 0, 0])
    assert not sums.totals()[[0, 2, 3]].any()
    assert sums.totals()[1].any()


@pytest.mark.parametrize("value", [1.1e6, -1.1e6, np.nan, np.inf, -np.inf])
def test_what_would_overflow_is_refused(images, value):
    sums = ExactSums(CLASSES, BOX, fixed_point_scale(1.0))
    images = images[:3].copy()
    images[1, 5, 6] = value
    with pytest.raises(InputError, match="million times"):
        sums.add(images, np.zeros(3, int))
    # A class that is left out may hold anything.
    ExactSums(CLASSES, BOX, fixed_point_scale(1.0)).add(images, np.array([0, -1, 0]))


def test_the_largest_pixels_do_not_overflow_a_sum():
    big = np.full((1000, 2, 2), 1.0e6, np.float32)
    sums = ExactSums(1, 2, fixed_point_scale(1.0))
    for _ in range(20):
        sums.add(big, np.zeros(1000, int))
    np.testing.assert_allclose(sums.totals(), 2.0e10, rtol=1e-12)


def test_other_dtypes_and_strides_are_summed_too(images):
    expected = summed(images[:4, ::-1], np.zeros(4, int), 2.0**20)
    found = summed(np.asarray(images[:4], np.float64)[:, ::-1], np.zeros(4, np.int8), 2.0**20)
    np.testing.assert_array_equal(found.sums, expected.sums)
