"""An isotropic scale on top of the pose search: a grid of scales, then the best one refined for each pair.

Steps of the grid move the edge of the mask by a pixel and a half. Round the best scale the measure is followed on one
line: as the image grows about its centre pixel, the shift grows with it, so that what is matched stays in place
(R. P. Brent, "Algorithms for Minimization without Derivatives", 1973, chapter 5). At the scale found, poses are
searched once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from cryoalign.core.poses import Poses
from cryoalign.jobs.compare.geometry import Setting
from cryoalign.metrics.measure import Matches, Measure, SearchLimits

_STEP_PX = 1.5
_TOLERANCE_PX = 0.03
_WINDOW_DEG = 10.0
_MOST = 16


class ScaledSearch(Protocol):
    """What refining needs of the search."""

    measure: Measure
    setting: Setting

    def image(self, row: int, scale: float) -> Any:
        """Return an image of B, magnified and prepared."""
        ...


@dataclass(frozen=True, eq=False)
class ScaleGrid:
    """Scales to try, rising by equal factors, the centre in the middle.

    Attributes
    ----------
    scales
        Float64 (S,).
    step
        Logarithm of the factor between two.
    tolerance
        Of the logarithm of the scale.
    """

    scales: NDArray[np.float64]
    step: float
    tolerance: float


def scale_grid(setting: Setting, limit: float) -> ScaleGrid:
    """Lay scales from centre / limit to centre * limit."""
    reach = float(np.log(limit))
    half = max(1, int(np.ceil(reach * setting.mask_radius_px / _STEP_PX)))
    scales = setting.scale_centre * np.exp(np.linspace(-reach, reach, 2 * half + 1))
    scales[half] = setting.scale_centre
    return ScaleGrid(scales, reach / half, _TOLERANCE_PX / setting.mask_radius_px)


def best_scales(values: NDArray[np.float64], *, lower: bool) -> NDArray[np.int64]:
    """Return which scale is best for each pair, from values (S, P)."""
    return np.argmin(values if lower else -values, axis=0)


def refined(
    search: ScaledSearch, reference: Any, row: int, grid: ScaleGrid, at: int, pose: Poses
) -> tuple[float, Matches]:
    """Refine the scale of one pair between the neighbours of the best one, and its pose at that scale.

    Returns
    -------
    scale, match
        The scale, and the match at it.
    """
    measure, limits = search.measure, search.setting.limits
    sign = 1.0 if measure.lower_is_better else -1.0
    start = float(grid.scales[at])

    def value(change: float) -> float:
        factor = float(np.exp(change))
        moved = Poses(pose.psi, pose.dx * factor, pose.dy * factor, pose.mirror)
        image = search.image(row, start * factor)
        there = measure.at_poses(reference, image, moved)
        return sign * float(measure.across_scales(reference, image, moved, there)[0])

    low = -grid.step if at > 0 else 0.0
    high = grid.step if at < len(grid.scales) - 1 else 0.0
    found = scipy.optimize.minimize_scalar(
        value, bounds=(low, high), method="bounded", options={"xatol": grid.tolerance, "maxiter": _MOST}
    )
    changes = [0.0, float(found.x)]
    near = SearchLimits(limits.max_shift_px, limits.mirror, pose.psi, _WINDOW_DEG)
    images = [search.image(row, start * np.exp(c)) for c in changes]
    matches = [measure.search(reference, image, near) for image in images]
    worth = [measure.across_scales(reference, i, m.poses, m.score)[0] for i, m in zip(images, matches, strict=True)]
    best = int(np.argmin(sign * np.array(worth)))
    return float(start * np.exp(changes[best])), matches[best]
