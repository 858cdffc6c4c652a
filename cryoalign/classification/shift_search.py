"""Pair scores over a pattern of shifts: the second image of each pair is moved before it is compared.

Particles are picked a pixel or two off their centres. Moving the second image by a few steps in all directions finds
poses that agree with the picking error's prior, |d|^2 / (2 var), where var is that of a difference of two centres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pair_score import PairScores, score_pairs, top_neighbours

STEP_SD, RADIUS_SD = 1.1, 2.2
"""Spacing and radius of the pattern, in standard deviations of a centre's coordinate."""
DIFFERENCE_SD = 1.4
"""Standard deviation of a difference of two centres, likewise: it varies twice as much as one."""


@dataclass(frozen=True, eq=False)
class ShiftPattern:
    """Shifts that are tried and what each costs.

    Parameters
    ----------
    shifts_px
        Displacements (dx, dy) of the second image in pixels, before any mirror, shape (V, 2); zero first.
    penalty
        What is taken from the score of each, shape (V,).
    """

    shifts_px: NDArray[np.float64]
    penalty: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the shifts."""
        return len(self.shifts_px)


def shift_pattern(shift_sd_px: float) -> ShiftPattern:
    """Lay a square pattern of 13 shifts over a disc, zero first.

    Parameters
    ----------
    shift_sd_px
        Standard deviation of either coordinate of the images' centres, in pixels.
    """
    line = np.arange(-2, 3) * STEP_SD * shift_sd_px
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    squared = np.round((x**2 + y**2) / shift_sd_px**2, 9) if shift_sd_px > 0 else np.zeros(x.size)
    inside = squared <= RADIUS_SD**2 + 1e-9 if shift_sd_px > 0 else np.arange(x.size) == 0
    order = np.lexsort((x[inside], y[inside], squared[inside]))
    shifts = np.stack([x[inside][order], y[inside][order]], axis=1)
    return ShiftPattern(shifts, (squared[inside][order] / (2 * DIFFERENCE_SD**2)).astype(np.float32))


def search_shifts(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    rows: NDArray[np.int32],
    shifted: Callable[[int], NDArray[np.complex64]],
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
    shifted
        Given v, weighted coefficients of all images moved by ``pattern.shifts_px[v]``, complex64 (n, P). Called once
        for each v in turn: one moved copy of the data is held at a time.
    pattern
        From :func:`shift_pattern`.
    k
        Neighbours kept.
    """
    best: PairScores | None = None
    for v in range(len(pattern)):
        here = score_pairs(
            coefficients, frequency, rows, offset, others=shifted(v), mirror=mirror,
            penalty=pattern.penalty[v : v + 1], threads=threads,
        )  # fmt: skip
        if best is None:
            best = here
            continue
        better = here.score > best.score
        for old, new in ((best.score, here.score), (best.angle_deg, here.angle_deg), (best.mirror, here.mirror)):
            np.copyto(old, new, where=better)
        best.variant[better] = v
    if best is None:
        raise ValueError("no shifts to search")
    return top_neighbours(rows, best, k, pattern.shifts_px)
