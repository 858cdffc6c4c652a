"""Vector operations of the pair score: sums of products, the highest of a grid of angles, Newton's method.

They work on planes: for each angular frequency k = 0 .. k_max the real and imaginary parts of z_k for 16 columns, which
are eight pairs as they are and the same pairs with the second image mirrored but for the sign (-1)^k: that sign is half
a turn, added to the angle by the caller. Angles psi, -psi, psi + pi and pi - psi share their products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from cryoalign.core.lanes import LANES, Emitter, vector_operation

COLUMNS = 2 * LANES
"""Columns of a plane: pairs as they are, then mirrored."""
PLANE = 2 * COLUMNS
"""Floats of one frequency: real parts, imaginary parts."""
FIRST_ROWS = 4
"""Rows whose products with one block of columns are summed together."""
GROUP = 4
"""Angles of the grid's quarter that are summed together."""
_LONG = ir.IntType(64)
_FLOAT = ir.FloatType()


def repeat(v: Emitter, count: Any, initial: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """Emit a loop that carries values in registers: ``values = body(index, values)``, ``count`` times."""
    b = v.builder
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


def _along(v: Emitter, start: Any, index: Any, stride: int) -> Any:
    """Return start + index stride."""
    return v.builder.add(start, v.builder.mul(index, _LONG(stride)))


def _more(v: Emitter, total: Any, a: Any, b: Any) -> Any:
    """Return total + a b."""
    return v.add(total, v.multiply(a, b))


def _store_sums(v: Emitter, out: Any, at: Any, step: int, sums: list[Any]) -> None:
    """Store z of the plain and the mirrored pair from sums of products of (re re, im im, re im, im re)."""
    rr, ii, ri, ir_ = sums
    for place, value in enumerate((v.add(rr, ii), v.add(ir_, ri), v.subtract(rr, ii), v.subtract(ir_, ri))):
        # Order of planes: plain re, mirrored re, plain im, mirrored im.
        where = (0, 3, 1, 2)[place]
        v.store(value, out, v.offset(at, _LONG(step), where))


def _emit_products(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Sum products of FIRST_ROWS rows with LANES columns over the components of one frequency."""
    first, second, planes = data
    row, stride, column, count, out, plane_set = at
    zero = v.constant(0.0)

    def body(p: Any, sums: list[Any]) -> list[Any]:
        there = _along(v, column, p, 2 * LANES)
        b_re, b_im = v.load(second, there), v.load(second, v.offset(there, _LONG(LANES), 1))
        result = []
        for r in range(FIRST_ROWS):
            here = _along(v, v.offset(row, stride, r), p, 2)
            a_re, a_im = v.spread_at(first, here), v.spread_at(first, v.offset(here, _LONG(1), 1))
            rr, ii, ri, ir_ = sums[4 * r : 4 * r + 4]
            result += [_more(v, rr, a_re, b_re), _more(v, ii, a_im, b_im)]
            result += [_more(v, ri, a_re, b_im), _more(v, ir_, a_im, b_re)]
        return result

    sums = repeat(v, count, [zero] * (4 * FIRST_ROWS), body)
    for r in range(FIRST_ROWS):
        _store_sums(v, planes, v.offset(out, plane_set, r), LANES, sums[4 * r : 4 * r + 4])


def _emit_lane_products(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Sum products of one pair for LANES frequencies at once, over their components."""
    first, second, out = data
    a, b, count, to = at
    zero = v.constant(0.0)

    def body(p: Any, sums: list[Any]) -> list[Any]:
        here, there = _along(v, a, p, 2 * LANES), _along(v, b, p, 2 * LANES)
        a_re, a_im = v.load(first, here), v.load(first, v.offset(here, _LONG(LANES), 1))
        b_re, b_im = v.load(second, there), v.load(second, v.offset(there, _LONG(LANES), 1))
        rr, ii, ri, ir_ = sums
        return [
            _more(v, rr, a_re, b_re), _more(v, ii, a_im, b_im), _more(v, ri, a_re, b_im), _more(v, ir_, a_im, b_re)
        ]  # fmt: skip

    _store_sums(v, out, to, LANES, repeat(v, count, [zero] * 4, body))


def _emit_turn(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Turn sums of LANES pairs, frequencies in lanes, into planes, pairs in lanes: one of the four parts."""
    sums, planes = data
    start, stride, out = at
    rows = v.transpose([v.load(sums, v.offset(start, stride, pair)) for pair in range(LANES)])
    for k, row in enumerate(rows):
        v.store(row, planes, v.offset(out, _LONG(PLANE), k))


def _absolute(v: Emitter, value: Any) -> Any:
    """Return |value|: its bits without the sign."""
    bits = ir.VectorType(ir.IntType(32), LANES)
    masked = v.builder.and_(v.builder.bitcast(value, bits), ir.Constant(bits, [0x7FFFFFFF] * LANES))
    return v.builder.bitcast(masked, value.type)


def _emit_highest(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Find the highest of the grid's angles for each column.

    The table holds cos(k psi), sin(k psi) as [group][k][angle of the group][2]; out are per column the value, twice the
    number of psi in the quarter, plus one for -psi, and a number that is negative where half a turn must be added.
    """
    planes, table, out = data
    start, n_even, n_odd, groups, to = at
    b = v.builder
    zero, low = v.constant(0.0), v.constant(-3e38)
    per_group = b.mul(b.add(n_even, n_odd), _LONG(2 * GROUP))

    def sums_of(parity: int, count: Any, group: Any) -> list[Any]:
        def body(m: Any, sums: list[Any]) -> list[Any]:
            k = b.add(b.mul(m, _LONG(2)), _LONG(parity))
            plane, entry = _along(v, start, k, PLANE), _along(v, b.mul(group, per_group), k, 2 * GROUP)
            re = [v.load(planes, v.offset(plane, _LONG(LANES), c)) for c in (0, 1)]
            im = [v.load(planes, v.offset(plane, _LONG(LANES), c)) for c in (2, 3)]
            result = []
            for t in range(GROUP):
                cosine = v.spread_at(table, v.offset(entry, _LONG(1), 2 * t))
                sine = v.spread_at(table, v.offset(entry, _LONG(1), 2 * t + 1))
                for c in (0, 1):
                    result += [_more(v, sums[4 * t + 2 * c], re[c], cosine)]
                    result += [_more(v, sums[4 * t + 2 * c + 1], im[c], sine)]
            return result

        return repeat(v, count, [zero] * (4 * GROUP), body)

    def body(group: Any, best: list[Any]) -> list[Any]:
        even, odd = sums_of(0, n_even, group), sums_of(1, n_odd, group)
        number = b.uitofp(b.mul(group, _LONG(2 * GROUP)), _FLOAT)
        base = v.spread(number)
        best = list(best)
        for t in range(GROUP):
            for c in (0, 1):
                at = 4 * t + 2 * c
                for back, combine in enumerate((v.subtract, v.add)):
                    side = combine(odd[at], odd[at + 1])
                    value = v.add(combine(even[at], even[at + 1]), _absolute(v, side))
                    better = b.fcmp_ordered(">", value, best[3 * c])
                    place = v.add(base, v.constant(2.0 * t + back))
                    for slot, new in enumerate((value, place, side)):
                        best[3 * c + slot] = b.select(better, new, best[3 * c + slot])
        return best

    best = repeat(v, groups, [low, zero, zero] * 2, body)
    for c in (0, 1):
        for slot in range(3):
            v.store(best[3 * c + slot], out, v.offset(v.offset(to, _LONG(COLUMNS), slot), _LONG(LANES), c))


def _evaluate(v: Emitter, planes: Any, start: Any, count: Any, turn: list[Any]) -> list[Any]:
    """Return value, slope and curvature of LANES columns at exp(i psi) = turn; count = k_max."""
    b = v.builder
    zero = v.constant(0.0)

    def body(index: Any, values: list[Any]) -> list[Any]:
        c, s, total, slope, curve = values
        k = b.add(index, _LONG(1))
        plane = _along(v, start, k, PLANE)
        re, im = v.load(planes, plane), v.load(planes, v.offset(plane, _LONG(COLUMNS), 1))
        along = v.subtract(v.multiply(re, c), v.multiply(im, s))
        across = v.add(v.multiply(re, s), v.multiply(im, c))
        weight = v.spread(b.uitofp(k, _FLOAT))
        new_slope = v.subtract(slope, v.multiply(weight, across))
        new_curve = v.subtract(curve, v.multiply(v.multiply(weight, weight), along))
        following = v.complex_multiply((c, s), (turn[0], turn[1]))
        return [following[0], following[1], v.add(total, along), new_slope, new_curve]

    return repeat(v, count, [turn[0], turn[1], v.load(planes, start), zero, zero], body)[2:]


def _emit_climb(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Climb from grid angles by two steps of Newton's method, for all columns.

    Turns holds per column cos(psi) and sin(psi) of the start; they are replaced by the value and by the angle's change.
    """
    planes, turns = data
    start, k_max, to, limit = at
    b = v.builder
    zero = v.constant(0.0)
    high = v.spread(limit)
    low = v.subtract(zero, high)

    def step(slope: Any, curve: Any) -> Any:
        bent = b.fcmp_ordered("<", curve, zero)
        raw = b.fdiv(slope, b.select(bent, curve, v.constant(1.0)))
        move = b.select(bent, v.subtract(zero, raw), zero)
        move = b.select(b.fcmp_ordered(">", move, high), high, move)
        return b.select(b.fcmp_ordered("<", move, low), low, move)

    for c in (0, 1):
        column = v.offset(start, _LONG(LANES), c)
        place = [v.offset(v.offset(to, _LONG(COLUMNS), part), _LONG(LANES), c) for part in (0, 1)]
        turn = [v.load(turns, p) for p in place]
        grid, slope, curve = _evaluate(v, planes, column, k_max, turn)
        move = step(slope, curve)
        square = v.multiply(move, move)
        # Moves are a fraction of a step of the grid: series to the fifth power are exact in single precision.
        cosine = v.add(
            v.multiply(v.add(v.multiply(square, v.constant(1 / 24)), v.constant(-0.5)), square), v.constant(1.0)
        )
        series = v.add(
            v.multiply(v.add(v.multiply(square, v.constant(1 / 120)), v.constant(-1 / 6)), square), v.constant(1.0)
        )
        turn = list(v.complex_multiply((turn[0], turn[1]), (cosine, v.multiply(move, series))))
        value, slope, curve = _evaluate(v, planes, column, k_max, turn)
        more = step(slope, curve)
        value = v.add(value, v.multiply(v.constant(0.5), v.multiply(slope, more)))
        # Where Newton's method went astray the grid angle stands.
        good = b.fcmp_ordered(">=", value, grid)
        v.store(b.select(good, value, grid), turns, place[0])
        v.store(b.select(good, v.add(move, more), zero), turns, place[1])


sum_products = vector_operation(_emit_products)
"""f((first, second, planes), (row, row stride, column, components, out, planes of a row))."""
sum_lane_products = vector_operation(_emit_lane_products)
"""f((first, second, sums), (first offset, second offset, components, out)); sums as in planes, of one pair."""
turn_sums = vector_operation(_emit_turn)
"""f((sums, planes), (start, stride of a pair, out))."""
find_highest = vector_operation(_emit_highest)
"""f((planes, table, out), (start, even frequencies, odd frequencies, groups, to))."""
climb_peaks = vector_operation(_emit_climb)
"""f((planes, turns), (start, k_max, to, longest step))."""
