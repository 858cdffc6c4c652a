"""What is drawn of one pair: every measure's registration and curve, and what each says of the others' poses.

A measure fails in one of two ways: it prefers a wrong pose, or its search missed the one that it prefers. So every
measure is asked for its value at every pose that any of them found.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses
from cryoalign.jobs.compare.result import CompareResult
from cryoalign.jobs.compare.search import PairSearch
from cryoalign.metrics.alike import same_registration
from cryoalign.report.compare_data import FoundPose, GivenPose, PairDrawing, Placed, Registration

_COARSE_DEG, _FINE_DEG, _NEAR_DEG = 4.0, 0.5, 6.0
_AT_LIMIT_PX = 0.05


def pair_drawing(
    result: CompareResult, searches: Mapping[str, PairSearch], pair: int, corrected: tuple[bool, bool]
) -> PairDrawing:
    """Gather one pair; ``corrected`` tells of A and of B whether phases were corrected."""
    row_a, row_b = int(result.pairs.a[pair]), int(result.pairs.b[pair])
    groups = pose_groups(result, pair)
    registrations, values = [], np.zeros((len(result.metrics), len(groups)))
    for number, name in enumerate(result.metrics):
        found, search = result.found[name], searches[name]
        pose, scale = found.poses.take([pair]), float(found.scale[pair])
        reference, image = search.reference(row_a), search.image(row_b, scale)
        psi = curve_angles(float(pose.psi[0]))
        curve = search.measure.curve(reference, image, psi, pose)
        for column, members in enumerate(groups):
            # Its own pose where the measure is one of those that found this registration.
            at = number if number in members else members[0]
            other, magnification = _pose(result, at, pair)
            here = image if magnification == scale else search.image(row_b, magnification)
            values[number, column] = search.measure.at_poses(reference, here, other)[0]
        registrations.append(
            Registration(
                metric=name,
                value=float(found.value[pair]),
                margin=float(found.margin[pair]),
                pose=pose,
                scale=scale,
                correlation=float(result.correlation[number, pair]),
                agreeing=int(result.agreeing[number, pair]),
                at_limit=_at_limit(result, pose),
                aligned=result.aligned(name, pair),
                curve_psi_deg=psi,
                curve=curve,
                given=_given(result, name, pair),
            )
        )
    return PairDrawing(
        name_a=result.a.names[row_a], name_b=result.b.names[row_b], a=result.a.pixels[row_a], b=result.b.pixels[row_b],
        words_a="A, phases corrected" if corrected[0] else "A",
        words_b="B, phases corrected" if corrected[1] else "B, as it is",
        registrations=registrations, poses=[_found_pose(result, members, pair) for members in groups], values=values,
        as_given=result.as_given(pair) if result.judged else None,
        given=Placed(pose=result.given_pose(pair)) if result.judged else None,
    )  # fmt: skip


def _given(result: CompareResult, metric: str, pair: int) -> GivenPose | None:
    if metric not in result.judged:
        return None
    judged = result.judged[metric]
    return GivenPose(
        value=float(judged.value[pair]), nearest_value=float(judged.optimum[pair]),
        away_deg=float(judged.away_deg[pair]), away_px=float(judged.away_px[pair]), verdict=str(judged.verdict[pair]),
    )  # fmt: skip


def pose_groups(result: CompareResult, pair: int) -> list[list[int]]:
    """Gather measures by registration: rows of the measures, the group that most found first; none that found none.

    Groups of one size go by the strength of the correlation, whichever its sign.
    """
    left = [m for m, name in enumerate(result.metrics) if not result.found[name].nothing[pair]]
    left.sort(key=lambda m: (-int(result.agreeing[m, pair]), -abs(float(result.correlation[m, pair])), m))
    groups: list[list[int]] = []
    while left:
        members = [m for m in left if m == left[0] or _same(result, left[0], m, pair)]
        groups.append(members)
        left = [m for m in left if m not in members]
    return sorted(groups, key=lambda g: (-len(g), -abs(float(result.correlation[g[0], pair]))))


def curve_angles(psi_deg: float) -> NDArray[np.float64]:
    """Return angles round the circle, closer to each other near the best one, rising from -180 to 180."""
    near = psi_deg + np.arange(-_NEAR_DEG, _NEAR_DEG + _FINE_DEG / 2, _FINE_DEG)
    coarse = np.arange(-180.0, 180.0 + _COARSE_DEG / 2, _COARSE_DEG)
    return np.unique(np.concatenate([coarse, near[np.abs(near) <= 180.0]]))


def _pose(result: CompareResult, measure: int, pair: int) -> tuple[Poses, float]:
    found = result.found[result.metrics[measure]]
    return found.poses.take([pair]), float(found.scale[pair])


def _same(result: CompareResult, one: int, other: int, pair: int) -> bool:
    (a, scale_a), (b, scale_b) = _pose(result, one, pair), _pose(result, other, pair)
    return bool(same_registration(a, np.array([scale_a]), b, np.array([scale_b]))[0])


def _at_limit(result: CompareResult, pose: Poses) -> bool:
    limit = result.setting.limits.max_shift_px
    return bool(limit > 0 and np.hypot(pose.dx[0], pose.dy[0]) > limit - _AT_LIMIT_PX)


def _found_pose(result: CompareResult, members: list[int], pair: int) -> FoundPose:
    pose, scale = _pose(result, members[0], pair)
    return FoundPose(metrics=tuple(result.metrics[m] for m in sorted(members)), pose=pose, scale=scale)
