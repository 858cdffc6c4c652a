"""Vector operations for compiled kernels: one emits a fixed sequence of eight-wide loads, sums and stores.

The compiler finds no vectors in code with so many arrays and strides, and the time of a resampling depends on them.
They are written in LLVM's portable vector types: any processor runs them, in as many instructions as it needs.
docs/lanes.md shows how to write, read, debug and test one. Small transforms: C. Van Loan, "Computational Frameworks for
the Fast Fourier Transform", SIAM (1992).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, sin, sqrt
from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

LANES = 8
_INDEX = ir.IntType(32)
_LONG = ir.IntType(64)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
Complex = tuple[Any, Any]


class Emitter:
    """Writes vector instructions; products may be contracted into fused multiply-adds, nothing is reordered.

    A vector is LANES float32, a place an unsigned 64-bit index into a flat array.
    """

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def whole(self, number: int) -> Any:
        """Return a place."""
        return _LONG(number)

    def offset(self, start: Any, stride: Any, count: Any) -> Any:
        """Return the place start + count stride; stride and count may be Python's whole numbers."""
        if isinstance(stride, int) and isinstance(count, int):
            stride, count = stride * count, 1
        stride, count = (self.whole(v) if isinstance(v, int) else v for v in (stride, count))
        return self.builder.add(start, self.builder.mul(stride, count))

    def repeat(self, count: Any, initial: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """Emit a loop that carries values in registers: ``values = body(index, values)``, ``count`` times."""
        b = self.builder
        before, loop, done = b.block, b.append_basic_block("loop"), b.append_basic_block("done")
        b.cbranch(b.icmp_unsigned("==", count, _LONG(0)), done, loop)
        b.position_at_end(loop)
        index = b.phi(_LONG)
        values = [b.phi(x.type) for x in initial]
        new = body(index, values)
        after, following = b.block, b.add(index, _LONG(1))
        b.cbranch(b.icmp_unsigned("<", following, count), loop, done)
        for phi, start, step in zip([index, *values], [_LONG(0), *initial], [following, *new], strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(step, after)
        b.position_at_end(done)
        results = []
        for start, step in zip(initial, new, strict=True):
            phi = b.phi(start.type)
            phi.add_incoming(start, before)
            phi.add_incoming(step, after)
            results.append(phi)
        return results

    def load(self, data: Any, at: Any) -> Any:
        """Return the LANES elements from ``at`` on."""
        pointer = self.builder.bitcast(self.builder.gep(data, [at]), _VECTOR.as_pointer())
        return self.builder.load(pointer, align=4)

    def store(self, value: Any, data: Any, at: Any) -> None:
        """Write LANES elements from ``at`` on."""
        pointer = self.builder.bitcast(self.builder.gep(data, [at]), _VECTOR.as_pointer())
        self.builder.store(value, pointer, align=4)

    def shuffle(self, a: Any, lanes: Sequence[int], b: Any = None) -> Any:
        """Return the named lanes of a, then b."""
        mask = ir.Constant(ir.VectorType(_INDEX, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(a, ir.Constant(a.type, ir.Undefined) if b is None else b, mask)

    def spread(self, scalar: Any) -> Any:
        """Return a scalar in every lane."""
        single = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _INDEX(0))
        return self.shuffle(single, [0] * LANES)

    def spread_at(self, data: Any, at: Any) -> Any:
        """Return one element in every lane."""
        return self.spread(self.builder.load(self.builder.gep(data, [at])))

    def spread_whole(self, number: Any) -> Any:
        """Return a place, as float32, in every lane."""
        return self.spread(self.builder.uitofp(number, ir.FloatType()))

    def constant(self, value: float) -> Any:
        """Return a number in every lane."""
        return ir.Constant(_VECTOR, [value] * LANES)

    def add(self, a: Any, b: Any) -> Any:
        """Return a + b."""
        return self.builder.fadd(a, b, flags=("contract",))

    def subtract(self, a: Any, b: Any) -> Any:
        """Return a - b."""
        return self.builder.fsub(a, b, flags=("contract",))

    def multiply(self, a: Any, b: Any) -> Any:
        """Return a b."""
        return self.builder.fmul(a, b, flags=("contract",))

    def more(self, total: Any, a: Any, b: Any) -> Any:
        """Return total + a b."""
        return self.add(total, self.multiply(a, b))

    def divide(self, a: Any, b: Any) -> Any:
        """Return a / b."""
        return self.builder.fdiv(a, b)

    def negate(self, a: Any) -> Any:
        """Return -a."""
        return self.builder.fneg(a)

    def absolute(self, a: Any) -> Any:
        """Return |a|: its bits without the sign."""
        bits = ir.VectorType(_INDEX, LANES)
        masked = self.builder.and_(self.builder.bitcast(a, bits), ir.Constant(bits, [0x7FFFFFFF] * LANES))
        return self.builder.bitcast(masked, a.type)

    def compare(self, a: Any, relation: str, b: Any) -> Any:
        """Return in which lanes a relation (">", ">=", "<") holds of a and b; never of NaN."""
        return self.builder.fcmp_ordered(relation, a, b)

    def select(self, mask: Any, one: Any, other: Any) -> Any:
        """Return ``one`` in the lanes of a mask, else ``other``."""
        return self.builder.select(mask, one, other)

    def complex_multiply(self, a: Complex, b: Complex) -> Complex:
        """Return the product of complex vectors."""
        real = self.subtract(self.multiply(a[0], b[0]), self.multiply(a[1], b[1]))
        return real, self.add(self.multiply(a[0], b[1]), self.multiply(a[1], b[0]))

    def sum_lanes(self, value: Any) -> Any:
        """Return the sum over lanes, by halves."""
        width = LANES
        while width > 1:
            width //= 2
            value = self.add(self.shuffle(value, range(width)), self.shuffle(value, range(width, 2 * width)))
        return self.builder.extract_element(value, _INDEX(0))

    def transpose(self, rows: list[Any]) -> list[Any]:
        """Transpose LANES vectors."""
        for half in (1, 2, 4):  # swap the off-diagonal blocks of side 1, 2, 4
            low = [lane if not lane & half else lane - half + LANES for lane in range(LANES)]
            high = [lane + half if not lane & half else lane + LANES for lane in range(LANES)]
            new = list(rows)
            for r in range(LANES):
                if not r & half:
                    new[r] = self.shuffle(rows[r], low, rows[r + half])
                    new[r + half] = self.shuffle(rows[r], high, rows[r + half])
            rows = new
        return rows

    def fourier(self, x: list[Complex]) -> list[Complex]:
        """Return the discrete Fourier transform of 2^k, 3 or 5 complex vectors, kernel exp(-2 pi i j k / n)."""
        n = len(x)
        if n == 1:
            return x
        if n % 2:
            return self._odd_fourier(x)
        even, odd = self.fourier(x[::2]), self.fourier(x[1::2])
        turned = [self._turn(odd[k], k, n) for k in range(n // 2)]
        pairs = list(zip(even, turned, strict=True))
        return [(self.add(e[0], o[0]), self.add(e[1], o[1])) for e, o in pairs] + [
            (self.subtract(e[0], o[0]), self.subtract(e[1], o[1])) for e, o in pairs
        ]

    def _turn(self, value: Complex, k: int, n: int) -> Complex:
        """Multiply by exp(-2 pi i k / n), k < n / 2."""
        re, im = value
        if k == 0:
            return value
        if 4 * k == n:
            return im, self.negate(re)
        if 8 * k == n:
            root = self.constant(sqrt(0.5))
            return self.multiply(root, self.add(re, im)), self.multiply(root, self.subtract(im, re))
        angle = -2.0 * pi * k / n
        return self.complex_multiply(value, (self.constant(cos(angle)), self.constant(sin(angle))))

    def _odd_fourier(self, x: list[Complex]) -> list[Complex]:
        """Return the transform of an odd number of vectors: sums and differences of k and n - k."""
        n = len(x)
        pairs = [(x[k], x[n - k]) for k in range(1, n // 2 + 1)]
        sums = [[self.add(a[part], b[part]) for part in (0, 1)] for a, b in pairs]
        differences = [[self.subtract(a[part], b[part]) for part in (0, 1)] for a, b in pairs]
        result: list[Any] = [None] * n
        first = list(x[0])
        for s in sums:
            first = [self.add(first[part], s[part]) for part in (0, 1)]
        result[0] = tuple(first)
        for j in range(1, n // 2 + 1):
            even, odd = list(x[0]), [None, None]
            for k, (s, d) in enumerate(zip(sums, differences, strict=True), start=1):
                cosine, sine = self.constant(cos(2 * pi * j * k / n)), self.constant(sin(2 * pi * j * k / n))
                even = [self.add(even[part], self.multiply(cosine, s[part])) for part in (0, 1)]
                terms = [self.multiply(sine, d[part]) for part in (0, 1)]
                odd = [t if o is None else self.add(o, t) for o, t in zip(odd, terms, strict=True)]
            # X[j] = even - i odd, X[n - j] = even + i odd
            result[j] = self.add(even[0], odd[1]), self.subtract(even[1], odd[0])
            result[n - j] = self.subtract(even[0], odd[1]), self.add(even[1], odd[0])
        return result


def vector_operation(emit: Callable[[Emitter, list[Any], list[Any]], Any], result: Any = numba.void) -> Any:
    """Make an operation that compiled code can call as ``f((array, ...), (scalar, ...))``.

    Parameters
    ----------
    emit
        Writes the instructions, given an emitter, the addresses of the arrays and the scalars; returns the result.
    result
        Type of the result.

    Returns
    -------
    callable
        For use inside numba functions only. Arrays are contiguous float32, offsets unsigned 64-bit; none is checked.
        Its attribute ``emit`` is what was given here.
    """

    @intrinsic
    def operation(typing_context: Any, arrays: Any, scalars: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = [
                context.make_array(kind)(context, builder, builder.extract_value(arguments[0], k)).data
                for k, kind in enumerate(signature.args[0])
            ]
            at = [builder.extract_value(arguments[1], k) for k in range(len(signature.args[1]))]
            value = emit(Emitter(builder), data, at)
            return context.get_dummy_value() if value is None else value

        return result(arrays, scalars), generate

    operation.emit = emit  # type: ignore[attr-defined]
    return operation
