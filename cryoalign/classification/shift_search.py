"""Pair scores over shifts: the second image of each pair is moved before it is compared.

Particles are picked a pixel or two off their centres. The second image is moved by a pattern of steps; where the best
one lies is found by a few strong components, which are smooth in the shift and cheap. The best pairs are then scored
exactly there and one step to each side, and a parabola gives shift, angle and score between the steps. A normal prior
is taken off, |d|^2 / (2 var), with the variance of a difference of two centres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.all_pairs import strongest_components
from cryoalign.classification.best_lists import best_columns
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pair_kernels import COARSE
from cryoalign.classification.pair_score import PairScores, score_pairs, top_neighbours
from cryoalign.core.poses import wrap_degrees

STEP_SD, RADIUS_STEPS = 1.1, 2
"""Spacing of the pattern in standard deviations of a centre's coordinate, and its radius in steps."""
DIFFERENCE_SD = 1.4
"""Standard deviation of a difference of two centres, likewise: it varies twice as much as one."""
HELD_BYTES = 1 << 28
"""Copies are held between the two passes while they take no more than this; else they are made anew."""
_ROW = 64
_SIDES = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))

MovedCoefficients = Callable[[tuple[float, float]], NDArray[np.complex64]]


@dataclass(frozen=True, eq=False)
class ShiftPattern:
    """Shifts (dx, dy) of the second image that are tried, before any mirror.

    Parameters
    ----------
    step_px
        Spacing in pixels.
    steps
        Multiples of the spacing, int64 (V, 2); zero first.
    sd_px
        Standard deviation of either coordinate of the images' centres, in pixels.
    """

    step_px: float
    steps: NDArray[np.int64]
    sd_px: float

    def __len__(self) -> int:
        """Count the shifts."""
        return len(self.steps)

    @property
    def penalty(self) -> NDArray[np.float32]:
        """What is taken off the score of each, (V,)."""
        return self.penalty_of(self.steps)

    def penalty_of(self, steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what is taken off at steps (m, 2)."""
        if self.sd_px == 0:
            return np.zeros(len(steps), np.float32)
        squared = np.sum((steps * self.step_px) ** 2, axis=1)
        return np.asarray(squared / (2 * (DIFFERENCE_SD * self.sd_px) ** 2), dtype=np.float32)


def shift_pattern(shift_sd_px: float) -> ShiftPattern:
    """Lay a square pattern of 13 shifts over a disc, zero first; one shift where the standard deviation is 0.

    Parameters
    ----------
    shift_sd_px
        Standard deviation of either coordinate of the images' centres, in pixels.
    """
    line = np.arange(-RADIUS_STEPS, RADIUS_STEPS + 1) if shift_sd_px > 0 else np.zeros(1, int)
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    inside = x**2 + y**2 <= RADIUS_STEPS**2
    order = np.lexsort((x[inside], y[inside], (x**2 + y**2)[inside]))
    steps = np.stack([x[inside][order], y[inside][order]], axis=1).astype(np.int64)
    return ShiftPattern(STEP_SD * shift_sd_px, steps, shift_sd_px)


def search_shifts(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    rows: NDArray[np.int32],
    moved: MovedCoefficients,
    pattern: ShiftPattern,
    k: int,
    offset: ArrayLike | None = None,
    *,
    mirror: bool = True,
    threads: int = 1,
) -> NeighbourLists:
    """Find the k best of each list over angles, handedness and shifts.

    Parameters
    ----------
    coefficients, frequency, rows, offset, mirror, threads
        As for :func:`cryoalign.classification.pair_score.score_pairs`.
    moved
        Given (dx, dy), the weighted coefficients of all images moved by +d pixels, complex64 (n, P). One moved copy of
        the data is held at a time, and if they are small those of the pattern.
    pattern
        From :func:`shift_pattern`.
    k
        Neighbours kept.
    """
    copies = _Copies(moved, pattern, coefficients.nbytes * len(pattern) <= HELD_BYTES)
    if len(pattern) == 1:
        scores = score_pairs(
            coefficients, frequency, rows, offset, others=copies(0, 0), mirror=mirror, threads=threads
        )  # fmt: skip
        return top_neighbours(rows, scores, k)
    chosen = strongest_components(coefficients, frequency)
    best = _best_steps(
        np.ascontiguousarray(coefficients[:, chosen]), frequency[chosen], rows, copies, chosen, pattern, offset,
        mirror, threads,
    )  # fmt: skip
    order = best_columns(best.score, np.ascontiguousarray(rows, np.int32), min(rows.shape[1], k + k // 5 + 4))
    kept = np.where(order >= 0, np.take_along_axis(rows, np.maximum(order, 0), axis=1), -1).astype(np.int32)
    steps = pattern.steps[np.take_along_axis(best.variant, np.maximum(order, 0), axis=1)]

    def score(listed: NDArray[np.int32], x: int, y: int) -> PairScores:
        return score_pairs(
            coefficients, frequency, listed, offset, others=copies(x, y), mirror=mirror,
            penalty=pattern.penalty_of(np.array([[x, y]])), threads=threads,
        )  # fmt: skip

    scores, shifts = _between_steps(kept, steps, score)
    return top_neighbours(kept, scores, k, shifts * pattern.step_px)


class _Copies:
    """Moved copies by steps; those of the pattern are kept where they are small."""

    def __init__(self, moved: MovedCoefficients, pattern: ShiftPattern, keep: bool) -> None:
        self._moved, self._step = moved, pattern.step_px
        self._names = {(int(x), int(y)) for x, y in pattern.steps} if keep else set()
        self._kept: dict[tuple[int, int], NDArray[np.complex64]] = {}

    def __call__(self, x: int, y: int) -> NDArray[np.complex64]:
        if (x, y) in self._kept:
            return self._kept[x, y]
        copy = self._moved((float(x * self._step), float(y * self._step)))
        if (x, y) in self._names:
            self._kept[x, y] = copy
        return copy


def _best_steps(  # type: ignore[no-untyped-def]
    coefficients, frequency, rows, copies, chosen, pattern, offset, mirror, threads
) -> PairScores:
    """Score lists at all steps of the pattern by some components; the variant of a result is its step."""
    best: PairScores | None = None
    for v, (x, y) in enumerate(pattern.steps.tolist()):
        here = score_pairs(
            coefficients, frequency, rows, offset, others=np.ascontiguousarray(copies(x, y)[:, chosen]), mirror=mirror,
            penalty=pattern.penalty[v : v + 1], weak=COARSE, threads=threads,
        )  # fmt: skip
        if best is None:
            best = here
            continue
        better = here.score > best.score
        np.copyto(best.score, here.score, where=better)
        best.variant[better] = v
    assert best is not None
    return best


def _between_steps(
    rows: NDArray[np.int32], steps: NDArray[np.int64], score: Callable[[NDArray[np.int32], int, int], PairScores]
) -> tuple[PairScores, NDArray[np.float32]]:
    """Score pairs at their steps (n, C, 2) and one step to each side, and refine by parabolas.

    Returns
    -------
    scores, shifts
        Scores and poses; shifts in steps, before any mirror, float32 (n, C, 2).
    """
    shape = (len(_SIDES), *rows.shape)
    value, angle, flip = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)
    listed = rows >= 0
    # One number for a place: comparing pairs of numbers for every place and side would take longer than the scores.
    code = np.where(listed, steps[..., 0] * _ROW + steps[..., 1], np.iinfo(np.int16).min).astype(np.int16)
    places = {int(place) + u * _ROW + v for place in np.unique(code[listed]) for u, v in _SIDES}
    for place in sorted(places):
        # Each copy is made once and serves all sides that need it; a pair's five places differ.
        x = (place + _ROW // 2) // _ROW
        on = [code == place - (u * _ROW + v) for u, v in _SIDES]
        here = score(np.where(np.logical_or.reduce(on), rows, -1).astype(np.int32), x, place - x * _ROW)
        for s, where in enumerate(on):
            np.copyto(value[s], here.score, where=where)
            np.copyto(angle[s], here.angle_deg, where=where)
            np.copyto(flip[s], here.mirror, where=where)
    value = np.where(listed, value, 0)
    same = listed & np.all(flip == flip[0], axis=0)
    change = np.zeros((*rows.shape, 2), np.float32)
    total, turn = value[0].copy(), angle[0].astype(np.float64)
    for axis in (0, 1):
        more, less = value[1 + 2 * axis], value[2 + 2 * axis]
        slope, bend = (more - less) / 2, more + less - 2 * value[0]
        good = same & (bend < 0)
        move = np.where(good, np.clip(-slope / np.where(good, bend, -1), -1, 1), 0)
        change[..., axis] = move
        total += move * slope + bend * move**2 / 2
        turn += move * wrap_degrees(angle[1 + 2 * axis] - angle[2 + 2 * axis]) / 2
    scores = PairScores(
        np.where(listed, total, -np.inf).astype(np.float32),
        wrap_degrees(turn).astype(np.float32),
        flip[0],
        np.zeros(rows.shape, np.int16),
    )
    return scores, (steps + change).astype(np.float32)
