"""Vector operations against numpy."""

import numba
import numpy as np

from cryoalign.core.lanes import LANES, vector_operation


def emit_transpose(v, data, at):
    source, target = data
    start, step = at
    for k, row in enumerate(v.transpose([v.load(source, v.offset(start, step, k)) for k in range(LANES)])):
        v.store(row, target, v.offset(start, step, k))


def emit_weighted_sum(v, data, at):
    (values,) = data
    start, weight = at
    return v.sum_lanes(v.multiply(v.spread(weight), v.subtract(v.load(values, start), v.constant(1.0))))


transpose = vector_operation(emit_transpose)
weighted_sum = vector_operation(emit_weighted_sum, result=numba.float32)


@numba.njit
def run_transpose(source, target):
    transpose((source, target), (np.uint64(0), np.uint64(LANES)))


@numba.njit
def run_weighted_sum(values, start, weight):
    return weighted_sum((values,), (np.uint64(start), np.float32(weight)))


def test_transpose():
    source = np.arange(64, dtype=np.float32)
    target = np.zeros(64, np.float32)
    run_transpose(source, target)
    np.testing.assert_array_equal(target.reshape(8, 8), source.reshape(8, 8).T)


def test_sum_over_lanes_from_any_place():
    values = np.arange(40, dtype=np.float32)
    for start in (0, 3, 32):
        assert run_weighted_sum(values, start, 0.5) == 0.5 * (values[start : start + 8] - 1).sum()
