"""From coarse cells to one answer per image: choose candidates, refine, re-score at full band, refine again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.kernels import INNER, kernel
from cryoalign.core.search.refine import SUMS, Room, ScoreField, climb, room_for

COARSE_TOLERANCE, FULL_TOLERANCE = 0.05, 0.005
"""Log likelihood below which a predicted gain ends a climb; the step is still taken, and what is left is its square."""
COARSE, FULL, BORDER = range(3)
"""Stages of the refinement; the last only for answers that left what was to be searched."""
FLOOR = 0.75
"""Cells below this share of the best are never refined."""
NEAR_ANGLES = 3
"""Cells within ``near`` in shift whose angles differ by no more steps than this share a peak."""
RESULT = 14
"""Columns of a result: angle, tx, ty, reference, X, runner-up ratio, X / E, whether it was brought back to a border,
and from CURVATURE on minus the second derivatives of X (aa, ax, ay, xx, xy, yy)."""
CURVATURE = 8


class CandidateRule(NamedTuple):
    """How candidates are kept: at most so many per reference (two peaks are known), those within a fraction of the
    best but at least ``fewest`` unless they fall below FLOOR, at most ``most``; ``keep`` of them go on to the full
    band, after ``coarse_steps`` Newton steps, for ``full_steps`` more.
    """

    per_reference: int = 2
    fraction: float = 0.90
    fewest: int = 3
    most: int = 20
    keep: int = 8
    coarse_steps: int = 2
    full_steps: int = 4


class CellGrid(NamedTuple):
    """The coarse search's grid: angles on the full circle, shifts (s, 2) in pixels, and within what distance in
    pixels two cells of like angle share a peak.
    """

    n_angles: int
    shifts: NDArray[np.float64]
    near: float


class TileRoom(NamedTuple):
    """Scratch of :func:`refine_tile`, for the reason given at :class:`cryoalign.core.search.refine.Room`.

    Parameters
    ----------
    chosen, listed, pose, reference, score, seen, answer
        Of the candidates of an image: int64, int64, float64 (most, 3), int64, float64, bool, float64 (most, RESULT).
    inverse_root, used, pool_score, pool_cell
        Of the references: float32, int64, float32 (m, 2) and int64 (m, 2).
    sums, climb
        Of the score, float64 (SUMS,) and a :class:`cryoalign.core.search.refine.Room`.
    """

    chosen: NDArray[np.int64]
    listed: NDArray[np.int64]
    pose: NDArray[np.float64]
    reference: NDArray[np.int64]
    score: NDArray[np.float64]
    seen: NDArray[np.bool_]
    answer: NDArray[np.float64]
    inverse_root: NDArray[np.float32]
    used: NDArray[np.int64]
    pool_score: NDArray[np.float32]
    pool_cell: NDArray[np.int64]
    sums: NDArray[np.float64]
    climb: Room


def tile_room(most: int, n_references: int, field: ScoreField) -> TileRoom:
    """Make room for ``most`` candidates of so many references."""
    return TileRoom(
        chosen=np.empty(most, np.int64), listed=np.empty(most, np.int64), pose=np.empty((most, 3)),
        reference=np.empty(most, np.int64), score=np.empty(most), seen=np.empty(most, np.bool_),
        answer=np.zeros((most, RESULT)),
        inverse_root=np.empty(n_references, np.float32), used=np.empty(n_references, np.int64),
        pool_score=np.empty((n_references, 2), np.float32), pool_cell=np.empty((n_references, 2), np.int64),
        sums=np.empty(SUMS), climb=room_for(field),
    )  # fmt: skip


@kernel(keep=False, nogil=True, forceinline=True)
def choose_candidates(best, angle_index, grid, rule, room):  # type: ignore[no-untyped-def]
    """Pick the best cells of one image.

    Parameters
    ----------
    best, angle_index
        X per cell and its angle, shape (n_cells,).
    grid, rule
        A :class:`CellGrid` and a :class:`CandidateRule`.
    room
        A :class:`TileRoom`: ``inverse_root`` is 1 / sqrt(E) of each reference in the coarse band, ``chosen`` receives
        cell numbers, best first.

    Returns
    -------
    count, ratio
        How many were chosen, 0 if no cell correlates; the best score of another peak or another reference, relative
        to the best.
    """
    shifts, near, n_angles = grid.shifts, grid.near, grid.n_angles
    inverse_root, chosen = room.inverse_root, room.chosen
    n_references, n_shifts = len(inverse_root), len(shifts)
    count = np.int64(0)
    top = np.float32(0.0)
    # Per reference the best cell, and the best one that is another peak: away in shift or in angle.
    used, pool_score, pool_cell = room.used, room.pool_score, room.pool_cell
    for m in range(n_references):
        cells = best[m * n_shifts : (m + 1) * n_shifts]
        # The library's takes a quarter of a second to compile; a loop written here made the whole tile a fifth slower.
        first = np.argmax(cells)
        value = cells[first]
        used[m], pool_cell[m, 1] = 0, -1
        pool_score[m, 0], pool_cell[m, 0] = value * inverse_root[m], m * n_shifts + first
        value = np.float32(-3e38)
        for s in range(n_shifts):
            if cells[s] > value and s != first:
                dx, dy = shifts[s, 0] - shifts[first, 0], shifts[s, 1] - shifts[first, 1]
                turn = abs(angle_index[m * n_shifts + s] - angle_index[m * n_shifts + first])
                if dx * dx + dy * dy > near * near or min(turn, n_angles - turn) > NEAR_ANGLES:
                    value = cells[s]
                    pool_cell[m, 1] = m * n_shifts + s
        pool_score[m, 1] = value * inverse_root[m]
    while count < rule.most:
        value = np.float32(-3e38)
        winner = -1
        for m in range(n_references):
            if used[m] < min(rule.per_reference, 2) and pool_cell[m, used[m]] >= 0 and pool_score[m, used[m]] > value:
                value = pool_score[m, used[m]]
                winner = m
        if winner < 0 or value < (rule.fraction if count >= rule.fewest else FLOOR) * top:
            break
        if count == 0:
            top = value
        chosen[count] = pool_cell[winner, used[winner]]
        used[winner] += 1
        count += 1
    if count == 0:
        return 0, np.float32(1.0)
    reference = chosen[0] // n_shifts
    other = max(np.float32(0.0), pool_score[reference, 1])
    for m in range(n_references):
        if m != reference:
            other = max(other, pool_score[m, 0])
    ratio = other / top if top > 0 else np.float32(1.0)
    return count, ratio


@kernel(nogil=True)
def refine_tile(  # type: ignore[no-untyped-def]
    polar, best, angle_index, grid, energies, rings, table, field, rule, max_shift, valid, window, use_window, room,
    result,
):  # fmt: skip
    """Refine every image of a tile.

    Parameters
    ----------
    polar
        D, float32 (n, 2, n_points).
    best, angle_index
        From the coarse search, (n, n_cells or more).
    grid, field, rule
        A :class:`CellGrid`, a :class:`cryoalign.core.search.refine.ScoreField` and a :class:`CandidateRule`.
    energies, rings
        For the coarse and the full band: E of each image and reference, (n, m), and the number of rings.
    table
        Turning tables, float32 (m, 2, table length).
    max_shift
        Farthest shift, in pixels; answers are brought back to it.
    valid
        Rows to do; the others' results are zero.
    window
        Lowest and highest angle per image in radians, (n, 2), where ``use_window``.
    room
        A :class:`TileRoom`.
    result
        Float64 (n, answers, RESULT), zeros; angles in radians, shifts in pixels. The best answers of each image that
        stand apart, best first; zeros (X = 0) where there are no more.
    """
    coarse_energy, full_energy = energies
    coarse_rings, full_rings = rings
    shifts, n_shifts = grid.shifts, len(grid.shifts)
    n_references = table.shape[0]
    chosen, pose, reference, score, sums = room.chosen, room.pose, room.reference, room.score, room.sums
    inverse_root, answer, answers = room.inverse_root, room.answer, result.shape[1]
    apart = 0.1 * field.box / coarse_rings
    for i in range(polar.shape[0]):
        if not valid[i]:
            continue
        for m in range(n_references):
            inverse_root[m] = 1.0 / np.sqrt(max(coarse_energy[i, m], 1e-300))
        count, ratio = choose_candidates(best[i], angle_index[i], grid, rule, room)
        # Where no cell correlates there is no pose: this stands.
        result[i, 0, 5] = 1.0
        if count == 0:
            continue
        for c in range(count):
            m = chosen[c] // n_shifts
            a = 2.0 * np.pi * angle_index[i, chosen[c]] / grid.n_angles
            s = shifts[chosen[c] % n_shifts]
            reference[c] = m
            pose[c, 0] = a
            pose[c, 1] = np.cos(a) * s[0] - np.sin(a) * s[1]
            pose[c, 2] = np.sin(a) * s[0] + np.cos(a) * s[1]
        # From here chosen lists candidates, not cells.
        for c in range(count):
            chosen[c] = c
        kept = count
        # One loop and so one call of the climber: compiling it takes seconds.
        for stage in range(3):
            band = coarse_rings if stage == COARSE else full_rings
            held = stage == BORDER
            tolerance = COARSE_TOLERANCE if stage == COARSE else FULL_TOLERANCE
            for u in range(kept):
                c = chosen[u]
                m = reference[c]
                steps = rule.coarse_steps if stage == COARSE else rule.full_steps
                off = 0.0
                if held:
                    off = _beyond(pose[c, 0], window[i, 0], window[i, 1]) if use_window else 0.0
                    length = np.hypot(pose[c, 1], pose[c, 2])
                    if off == 0.0 and length <= max_shift:
                        continue
                    # Back to the border; with the shift held there the angle is found anew, and all that is told of it.
                    if off != 0.0:
                        steps = 0
                    pose[c, 0] -= off
                    if length > max_shift:
                        pose[c, 1] *= max_shift / length
                        pose[c, 2] *= max_shift / length
                energy = coarse_energy[i, m] if stage == COARSE else full_energy[i, m]
                x = climb(polar[i], table[m], pose[c], band, steps, held, field, room.climb, sums, energy, tolerance)
                score[c] = x / np.sqrt(max(energy, 1e-300))
                if stage != COARSE:
                    _write(answer[c], pose[c], m, x, energy, sums)
                if held:
                    if use_window:
                        answer[c, 0] -= _beyond(answer[c, 0], window[i, 0], window[i, 1])
                    answer[c, 7] = 1.0 if max_shift > 0.0 or off != 0.0 else 0.0
            # Two of the full band at least: the runner-up is another peak, and climbers that met the winner only there
            # are the winner. What was brought back to a border can only fall behind, or be the same; the winner stays.
            keep = rule.keep if stage == COARSE else max(answers, 2)
            kept = _survivors(room, kept, 1 if held else 0, keep, apart, field.radius)
            if stage == FULL:
                if kept > 1 and score[chosen[0]] > 0:
                    ratio = np.float32(max(0.0, score[chosen[1]] / score[chosen[0]]))
                kept = min(kept, answers)
        for u in range(kept):
            for column in range(RESULT):
                result[i, u, column] = answer[chosen[u], column]
        result[i, 0, 5] = ratio


@njit(nogil=True, forceinline=True, **INNER)
def _survivors(room, count, fixed, keep, apart, radius):  # type: ignore[no-untyped-def]
    """List in ``chosen`` the best of its candidates that stand apart, best first after the ``fixed`` first ones, and
    return how many.
    """
    chosen, listed, pose, reference = room.chosen, room.listed, room.pose, room.reference
    score, seen = room.score, room.seen
    kept = np.int64(fixed)
    for o in range(count):
        listed[o] = chosen[o]
        seen[o] = o < fixed
    for _ in range(fixed, count):
        # A library sort would take longer to compile than all the rest.
        first = -1
        for o in range(count):
            if not seen[o] and (first < 0 or score[listed[o]] > score[listed[first]]):
                first = o
        seen[first] = True
        c = listed[first]
        same = False
        for u in range(kept):
            d = chosen[u]
            if reference[c] == reference[d] and _distance(pose[c], pose[d], radius) < apart:
                same = True
        if not same:
            chosen[kept] = c
            kept += 1
            if kept == keep:
                break
    return kept


@njit(nogil=True, forceinline=True, **INNER)
def _beyond(angle, low, high):  # type: ignore[no-untyped-def]
    """By how much an angle lies outside a window, in radians, signed; 0 inside."""
    off = angle - 0.5 * (low + high)
    off -= 2.0 * np.pi * np.rint(off / (2.0 * np.pi))
    half = 0.5 * (high - low)
    return off - half if off > half else (off + half if off < -half else 0.0)


@njit(nogil=True, forceinline=True, **INNER)
def _distance(one, two, radius):  # type: ignore[no-untyped-def]
    """Distance of two poses (angle, tx, ty) in pixels, the angle's share at the radius."""
    turn = one[0] - two[0]
    turn -= 2.0 * np.pi * np.rint(turn / (2.0 * np.pi))
    return abs(turn) * radius + abs(one[1] - two[1]) + abs(one[2] - two[2])


@njit(nogil=True, forceinline=True, **INNER)
def _write(row, pose, reference, x, energy, sums):  # type: ignore[no-untyped-def]
    """Store one answer with the curvature of its peak."""
    row[0], row[1], row[2], row[3], row[4] = pose[0], pose[1], pose[2], reference, x
    row[6] = x / max(energy, 1e-300)
    row[7] = 0.0
    row[CURVATURE], row[CURVATURE + 1], row[CURVATURE + 2] = -sums[9], -sums[7], -sums[8]
    row[CURVATURE + 3], row[CURVATURE + 4], row[CURVATURE + 5] = -sums[3], -sums[4], -sums[5]
