"""Vector operations against numpy: the emitter, every operation of the kernels step by step, and their page."""

import re
from pathlib import Path

import numba
import numpy as np
import pytest

from cryoalign.classification import pair_lanes
from cryoalign.core.lanes import LANES, vector_operation
from cryoalign.core.resample import fft, fourier, grid
from helpers.lanes import by_steps

PAGE = Path(__file__).parents[2] / "docs" / "lanes.md"


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


def compiled(operation, arrays, scalars):
    """Run a compiled operation; whole numbers become places, others float32."""
    names = ", ".join(f"a{k}" for k in range(len(arrays)))
    places = ", ".join(
        f"np.uint64(s[{k}])" if isinstance(v, int) else f"np.float32(s[{k}])" for k, v in enumerate(scalars)
    )
    space = {"operation": operation, "np": np}
    exec(f"def call(arrays, s):\n    {names}, = arrays\n    return operation(({names},), ({places},))", space)
    return numba.njit(space["call"])(tuple(arrays), tuple(scalars))


SIX = fourier.TAPS
CASES = {
    **{
        f"butterfly{radix}": (fft._butterfly(radix), [256] * 4 + [2 * radix], (3, 17, 5, 19, 1))
        for radix in (2, 3, 4, 5, 8)
    },
    "accumulate": (fft._accumulate, [64] * 4 + [8], (3, 40, 5)),
    "turn": (fft._turn, [64, 64, 8], (3, 4)),
    "part": (grid._part, [512] * 4, (8, 300, 24, 0, 240, 24)),
    "join": (grid._join, [512] * 4, (0, 240, 24, 8, 300, 24)),
    "patch sum": (fourier._patch_sum, [400, 64], (20, 25, 16, 32, 0.25, 0.75)),
    "products": (pair_lanes.sum_products, [512, 512, 512], (2, 80, 8, 5, 0, 64)),
    "lane products": (pair_lanes.sum_lane_products, [512, 512, 64], (16, 32, 7, 8)),
    "no lane products": (pair_lanes.sum_lane_products, [512, 512, 64], (16, 32, 0, 8)),
    "turned sums": (pair_lanes.turn_sums, [512, 512], (8, 40, 16)),
    "highest": (pair_lanes.find_highest, [512, 512, 64], (32, 4, 3, 3, 8)),
    "climb": (pair_lanes.climb_peaks, [512, 64], (32, 5, 8, 0.05)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_operation_of_the_kernels_does_what_its_steps_do(name):
    operation, sizes, scalars = CASES[name]
    rng = np.random.default_rng(len(name))
    arrays = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    before, plain = ([array.copy() for array in arrays] for _ in range(2))
    found, expected = compiled(operation, arrays, scalars), by_steps(operation, plain, scalars)
    if expected is not None:
        assert found == pytest.approx(float(expected), rel=1e-5)
    for one, other in zip(arrays, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert expected is not None or any((one != old).any() for one, old in zip(arrays, before, strict=True))


def test_the_examples_of_the_page_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 2
    space = {}
    for block in blocks:
        exec(block, space)
