"""The poses that B came with, judged by each measure: is there an optimum, and is it the best one?

From the given pose every measure goes to its nearest optimum (:meth:`cryoalign.metrics.measure.Measure.refine`). If
that is the pose which the search found, the registration holds; if the search found another one, the given pose is a
second best; if the optimum is elsewhere, the given pose is not a registration under this measure at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.core.tiles import RoomyPool
from cryoalign.jobs.compare.geometry import Pairs
from cryoalign.jobs.compare.search import UNIT, Found, PairSearch
from cryoalign.metrics.alike import same_registration

VERDICTS = HOLDS, SECOND, NOT = ("best", "second best", "no optimum")
"""What a measure says of a given pose."""
_BEYOND_PX = 3.0
"""How far beyond the given shift the nearest optimum may lie."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What one measure says of the given poses of P pairs.

    Attributes
    ----------
    value
        At the given pose, float64 (P,).
    optimum
        Value at the nearest optimum, float64 (P,).
    away_deg, away_px
        How far that is from the given pose: angle, >= 0, and shift, float64 (P,).
    verdict
        One of ``HOLDS``, ``SECOND`` and ``NOT``, object (P,).
    """

    value: NDArray[np.float64]
    optimum: NDArray[np.float64]
    away_deg: NDArray[np.float64]
    away_px: NDArray[np.float64]
    verdict: NDArray[np.object_]


def judge(search: PairSearch, pairs: Pairs, given: Poses, found: Found, threads: int) -> Judged:
    """Judge the given pose of every pair under one measure.

    Parameters
    ----------
    search
        The measure and its images.
    pairs
        Who is compared with whom.
    given
        Of the images of B.
    found
        What the search found, without scales.
    threads
        Change nothing but the time.
    """
    poses = given.take(pairs.b)
    units = [np.arange(first, min(first + UNIT, len(pairs))) for first in range(0, len(pairs), UNIT)]
    with RoomyPool(threads) as pool:
        parts = list(pool.map(lambda rows: _unit(search, pairs, poses, rows), units))
    value, optimum = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    near = Poses.concatenate([part[2] for part in parts])
    ones = np.ones(len(pairs))
    stays = same_registration(poses, ones, near, ones)
    best = same_registration(near, ones, found.poses, ones) & ~found.nothing
    lower = search.measure.lower_is_better
    # A search on a grid can end a little beside an optimum that is as good.
    best |= optimum <= found.value if lower else optimum >= found.value
    verdict = np.where(stays & best, HOLDS, np.where(stays, SECOND, NOT)).astype(object)
    return Judged(
        value,
        optimum,
        np.abs(wrap_degrees(near.psi - poses.psi)),
        np.hypot(near.dx - poses.dx, near.dy - poses.dy),
        verdict,
    )


def _unit(
    search: PairSearch, pairs: Pairs, poses: Poses, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Poses]:
    """Return value, value at the nearest optimum and that optimum for some pairs."""
    sign = 1.0 if search.measure.lower_is_better else -1.0
    values, optima, near = [], [], []
    for row in rows:
        reference, image = search.reference(int(pairs.a[row])), search.image(int(pairs.b[row]), 1.0)
        pose = poses.take([row])
        reach = max(search.setting.limits.max_shift_px, float(np.hypot(pose.dx, pose.dy)[0]) + _BEYOND_PX)
        limits = replace(search.setting.limits, max_shift_px=reach)
        there = search.measure.at_poses(reference, image, pose)
        found = search.measure.refine(reference, image, pose, limits)
        # A shift in closed form, from centres of mass, can be worse than the given one.
        stays = sign * there[0] <= sign * found.score[0]
        values.append(there)
        optima.append(there if stays else found.score)
        near.append(pose if stays else found.poses)
    return np.concatenate(values), np.concatenate(optima), Poses.concatenate(near)
