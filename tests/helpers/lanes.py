"""Vector operations step by step in plain numpy: what an emitter writes, done instead of compiled.

Set a breakpoint in any ``_emit_...`` function and run it by `by_steps`; values are arrays of LANES float32, places are
whole numbers. Nothing is contracted into fused multiply-adds, so last bits differ from those of the compiled operation.
"""

from __future__ import annotations

import operator

import numpy as np

from cryoalign.core.lanes import LANES, Emitter

RELATIONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt}


class PlainEmitter(Emitter):
    """Does what `Emitter` writes, on flat float32 arrays."""

    def __init__(self):
        super().__init__(None)

    def whole(self, number):
        return int(number)

    def offset(self, start, stride, count):
        return int(start) + int(stride) * int(count)

    def repeat(self, count, initial, body):
        values = initial
        for index in range(int(count)):
            values = body(index, values)
        return values

    def load(self, data, at):
        assert at >= 0 and at + LANES <= len(data), "reads past the array"
        return data[at : at + LANES].copy()

    def store(self, value, data, at):
        assert at >= 0 and at + LANES <= len(data), "writes past the array"
        data[at : at + LANES] = value

    def shuffle(self, a, lanes, b=None):
        return (a if b is None else np.concatenate([a, b]))[list(lanes)]

    def spread(self, scalar):
        return np.full(LANES, scalar, np.float32)

    def spread_at(self, data, at):
        return self.spread(data[at])

    spread_whole = constant = spread

    def add(self, a, b):
        return a + b

    def subtract(self, a, b):
        return a - b

    def multiply(self, a, b):
        return a * b

    def divide(self, a, b):
        return a / b

    def negate(self, a):
        return -a

    def absolute(self, a):
        return np.abs(a)

    def compare(self, a, relation, b):
        return RELATIONS[relation](a, b)

    def select(self, mask, one, other):
        return np.where(mask, one, other)

    def sum_lanes(self, value):
        return value.sum(dtype=np.float32)


def by_steps(operation, arrays, scalars):
    """Run a vector operation in numpy; arrays are written to as the compiled operation would, a result is returned."""
    return operation.emit(PlainEmitter(), list(arrays), list(scalars))
