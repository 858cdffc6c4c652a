"""Vector operations of the pair score: sums of products, the highest of a grid of angles, Newton's method.

They work on planes: for each angular frequency k = 0 .. k_max the real and imaginary parts of z_k for 16 columns, which
are eight pairs as they are and the same pairs with the second image mirrored but for the sign (-1)^k: that sign is half
a turn, added to the angle by the caller. Angles psi, -psi, psi + pi and pi - psi share their products.
"""

from __future__ import annotations

from typing import Any

from cryoalign.core.lanes import LANES, Emitter, vector_operation

COLUMNS = 2 * LANES
"""Columns of a plane: pairs as they are, then mirrored."""
PLANE = 2 * COLUMNS
"""Floats of one frequency: real parts, imaginary parts."""
FIRST_ROWS = 4
"""Rows whose products with one block of columns are summed together."""
GROUP = 4
"""Angles of the grid's quarter that are summed together."""


def _store_sums(v: Emitter, out: Any, at: Any, sums: list[Any]) -> None:
    """Store z of the plain and the mirrored pair from sums of products of (re re, im im, re im, im re)."""
    rr, ii, ri, ir_ = sums
    for place, value in enumerate((v.add(rr, ii), v.add(ir_, ri), v.subtract(rr, ii), v.subtract(ir_, ri))):
        # Order of planes: plain re, mirrored re, plain im, mirrored im.
        where = (0, 3, 1, 2)[place]
        v.store(value, out, v.offset(at, LANES, where))


def _emit_products(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Sum products of FIRST_ROWS rows with LANES columns over the components of one frequency."""
    first, second, planes = data
    row, stride, column, count, out, plane_set = at
    zero = v.constant(0.0)

    def body(p: Any, sums: list[Any]) -> list[Any]:
        there = v.offset(column, 2 * LANES, p)
        b_re, b_im = v.load(second, there), v.load(second, v.offset(there, LANES, 1))
        result = []
        for r in range(FIRST_ROWS):
            here = v.offset(v.offset(row, stride, r), 2, p)
            a_re, a_im = v.spread_at(first, here), v.spread_at(first, v.offset(here, 1, 1))
            rr, ii, ri, ir_ = sums[4 * r : 4 * r + 4]
            result += [v.more(rr, a_re, b_re), v.more(ii, a_im, b_im)]
            result += [v.more(ri, a_re, b_im), v.more(ir_, a_im, b_re)]
        return result

    sums = v.repeat(count, [zero] * (4 * FIRST_ROWS), body)
    for r in range(FIRST_ROWS):
        _store_sums(v, planes, v.offset(out, plane_set, r), sums[4 * r : 4 * r + 4])


def _emit_lane_products(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Sum products of one pair for LANES frequencies at once, over their components."""
    first, second, out = data
    a, b, count, to = at
    zero = v.constant(0.0)

    def body(p: Any, sums: list[Any]) -> list[Any]:
        here, there = v.offset(a, 2 * LANES, p), v.offset(b, 2 * LANES, p)
        a_re, a_im = v.load(first, here), v.load(first, v.offset(here, LANES, 1))
        b_re, b_im = v.load(second, there), v.load(second, v.offset(there, LANES, 1))
        rr, ii, ri, ir_ = sums
        return [
            v.more(rr, a_re, b_re), v.more(ii, a_im, b_im), v.more(ri, a_re, b_im), v.more(ir_, a_im, b_re)
        ]  # fmt: skip

    _store_sums(v, out, to, v.repeat(count, [zero] * 4, body))


def _emit_turn(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Turn sums of LANES pairs, frequencies in lanes, into planes, pairs in lanes: one of the four parts."""
    sums, planes = data
    start, stride, out = at
    rows = v.transpose([v.load(sums, v.offset(start, stride, pair)) for pair in range(LANES)])
    for k, row in enumerate(rows):
        v.store(row, planes, v.offset(out, PLANE, k))


def _emit_highest(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Find the highest of the grid's angles for each column.

    The table holds cos(k psi), sin(k psi) as [group][k][angle of the group][2]; out are per column the value, twice the
    number of psi in the quarter, plus one for -psi, and a number that is negative where half a turn must be added.
    """
    planes, table, out = data
    start, n_even, n_odd, groups, to = at
    none, zero, low = v.whole(0), v.constant(0.0), v.constant(-3e38)
    per_group = v.offset(none, 2 * GROUP, v.offset(n_even, 1, n_odd))

    def sums_of(parity: int, count: Any, group: Any) -> list[Any]:
        def body(m: Any, sums: list[Any]) -> list[Any]:
            k = v.offset(v.whole(parity), 2, m)
            plane, entry = v.offset(start, PLANE, k), v.offset(v.offset(none, per_group, group), 2 * GROUP, k)
            re = [v.load(planes, v.offset(plane, LANES, c)) for c in (0, 1)]
            im = [v.load(planes, v.offset(plane, LANES, c)) for c in (2, 3)]
            result = []
            for t in range(GROUP):
                cosine = v.spread_at(table, v.offset(entry, 1, 2 * t))
                sine = v.spread_at(table, v.offset(entry, 1, 2 * t + 1))
                for c in (0, 1):
                    result += [v.more(sums[4 * t + 2 * c], re[c], cosine)]
                    result += [v.more(sums[4 * t + 2 * c + 1], im[c], sine)]
            return result

        return v.repeat(count, [zero] * (4 * GROUP), body)

    def body(group: Any, best: list[Any]) -> list[Any]:
        even, odd = sums_of(0, n_even, group), sums_of(1, n_odd, group)
        base = v.spread_whole(v.offset(none, 2 * GROUP, group))
        best = list(best)
        for t in range(GROUP):
            for c in (0, 1):
                at = 4 * t + 2 * c
                for back, combine in enumerate((v.subtract, v.add)):
                    side = combine(odd[at], odd[at + 1])
                    value = v.add(combine(even[at], even[at + 1]), v.absolute(side))
                    better = v.compare(value, ">", best[3 * c])
                    place = v.add(base, v.constant(2.0 * t + back))
                    for slot, new in enumerate((value, place, side)):
                        best[3 * c + slot] = v.select(better, new, best[3 * c + slot])
        return best

    best = v.repeat(groups, [low, zero, zero] * 2, body)
    for c in (0, 1):
        for slot in range(3):
            v.store(best[3 * c + slot], out, v.offset(v.offset(to, COLUMNS, slot), LANES, c))


def _evaluate(v: Emitter, planes: Any, start: Any, count: Any, turn: list[Any]) -> list[Any]:
    """Return value, slope and curvature of LANES columns at exp(i psi) = turn; count = k_max."""
    zero = v.constant(0.0)

    def body(index: Any, values: list[Any]) -> list[Any]:
        c, s, total, slope, curve = values
        k = v.offset(index, 1, 1)
        plane = v.offset(start, PLANE, k)
        re, im = v.load(planes, plane), v.load(planes, v.offset(plane, COLUMNS, 1))
        along = v.subtract(v.multiply(re, c), v.multiply(im, s))
        across = v.add(v.multiply(re, s), v.multiply(im, c))
        weight = v.spread_whole(k)
        new_slope = v.subtract(slope, v.multiply(weight, across))
        new_curve = v.subtract(curve, v.multiply(v.multiply(weight, weight), along))
        following = v.complex_multiply((c, s), (turn[0], turn[1]))
        return [following[0], following[1], v.add(total, along), new_slope, new_curve]

    return v.repeat(count, [turn[0], turn[1], v.load(planes, start), zero, zero], body)[2:]


def _emit_climb(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Climb from grid angles by two steps of Newton's method, for all columns.

    Turns holds per column cos(psi) and sin(psi) of the start; they are replaced by the value and by the angle's change.
    """
    planes, turns = data
    start, k_max, to, limit = at
    zero = v.constant(0.0)
    high = v.spread(limit)
    low = v.subtract(zero, high)

    def step(slope: Any, curve: Any) -> Any:
        bent = v.compare(curve, "<", zero)
        raw = v.divide(slope, v.select(bent, curve, v.constant(1.0)))
        move = v.select(bent, v.subtract(zero, raw), zero)
        move = v.select(v.compare(move, ">", high), high, move)
        return v.select(v.compare(move, "<", low), low, move)

    for c in (0, 1):
        column = v.offset(start, LANES, c)
        place = [v.offset(v.offset(to, COLUMNS, part), LANES, c) for part in (0, 1)]
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
        good = v.compare(value, ">=", grid)
        v.store(v.select(good, value, grid), turns, place[0])
        v.store(v.select(good, v.add(move, more), zero), turns, place[1])


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
