"""What the page of `classavg` is told: the classification, its views and classes, and who belongs to a view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.classification import Classification
from cryoalign.core.poses import Poses
from cryoalign.report.classes import Classes
from cryoalign.report.numbers import expect_shapes


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassavgReportData:
    """Everything that report.html and montage.png show of a run of `classavg`.

    A view's seed is the particle whose neighbours its members are; it is no member itself. A particle may be a member
    of many views: M memberships in all.

    Parameters
    ----------
    classification
        Of n particles.
    prepared_pixel_angstrom
        What its pixels are, in A.
    views
        The averages of m views, best first; numbers as in averages.star.
    seeds, spread_deg
        (m,) 0-based row (among the n) of each view's seed, and root mean square angle between the viewing directions of
        seed and members, 0 where unknown.
    classes
        The averages of the partition; numbers as in run_data.star.
    algorithm
        As typed, such as "mfvdm".
    mirrors
        Whether mirrors were searched.
    view
        (M,) number of the view.
    poses
        (M,) what brings each member onto the seed.
    distance
        (M,) distance between the member and the seed.
    viewing_angle_deg
        (M,) estimated angle between the viewing directions of member and seed, or None.
    distance_unit
        What a distance is counted in, for axis labels.

    Raises
    ------
    ValueError
        If lengths do not belong together.
    """

    classification: Classification
    prepared_pixel_angstrom: float
    views: Classes
    seeds: NDArray[np.integer]
    spread_deg: NDArray[np.floating]
    classes: Classes
    algorithm: str
    mirrors: bool
    view: NDArray[np.integer]
    poses: Poses
    distance: NDArray[np.floating]
    viewing_angle_deg: NDArray[np.floating] | None
    distance_unit: str

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        expect_shapes(self, (len(self.views.members),), "seeds", "spread_deg")
        expect_shapes(self, (len(self.poses),), "view", "distance", "viewing_angle_deg")

    @property
    def particles(self) -> int:
        """How many particles were classified."""
        return len(self.classification.quality)

    @property
    def mirrored(self) -> float | None:
        """Percentage of memberships that are mirrored; None where mirrors were not searched."""
        return 100 * float(np.mean(self.poses.mirror)) if self.mirrors and len(self.poses) else None

    @property
    def shift_sd_angstrom(self) -> float | None:
        """Standard deviation of either coordinate of the centres; None where no shifts were searched."""
        return self.classification.shift_sd_px * self.prepared_pixel_angstrom or None

    @cached_property
    def spread(self) -> dict[int, float]:
        """View -> `spread_deg` of those that have it."""
        return {view: float(spread) for view, spread in self.views.by_number(self.spread_deg).items() if spread > 0}
