"""What the report of `classavg` is told: plain arrays and words, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.quality_data import FrcCurve, HalfSets, expect_frc, expect_shape


@dataclass(frozen=True, kw_only=True)
class SignalSummary:
    """Whether particles that look alike also look alike in components that the search did not see.

    Parameters
    ----------
    z
        Held-out covariance over the neighbours, in standard errors; NaN where there is none.
    share
        That covariance over what true neighbours would have: 1 = all, 0 = none.
    signal
        The verdict.
    z_threshold, share_threshold
        Below either of them the verdict is no.
    """

    z: float
    share: float
    signal: bool
    z_threshold: float = 5.0
    share_threshold: float = 0.03


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewMembers:
    """The memberships of all views, one entry each; a particle may be a member of many views.

    A view's seed is the particle whose neighbours its members are; it is no member itself.

    Parameters
    ----------
    view
        (M,) number of the view.
    distance
        (M,) distance between the member and the view's seed.
    angle_deg
        (M,) in-plane angle that brings the member onto the seed.
    mirror
        (M,) bool, or None where mirrors were not searched.
    viewing_angle_deg
        (M,) estimated angle between the viewing directions of member and seed, or None.

    Raises
    ------
    ValueError
        If lengths differ.
    """

    view: NDArray
    distance: NDArray
    angle_deg: NDArray
    mirror: NDArray | None = None
    viewing_angle_deg: NDArray | None = None

    def __post_init__(self) -> None:
        """Refuse lists of unlike length."""
        for name in ("distance", "angle_deg", "mirror", "viewing_angle_deg"):
            if getattr(self, name) is not None:
                expect_shape(name, getattr(self, name), (np.size(self.view),))

    def __len__(self) -> int:
        """Count the memberships."""
        return int(np.size(self.view))


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassavgReportData:
    """Everything that report.html and montage.png show of a run of `classavg`.

    Mappings over views go from the view's number (rlnClassNumber in averages.star, 1 = best) to what belongs to it, in
    the order in which views are to be shown; those over classes from rlnClassNumber in run_data.star.

    Parameters
    ----------
    title
        Heading of the page.
    command_line, version
        As typed, and of cryoalign.
    pixel_size_angstrom
        Of the averages.
    mask_diameter_angstrom
        Diameter of the particle mask.
    particles
        Number n of particles that were classified.
    views
        View -> average (L, L); best first.
    view_members
        View -> images in its average; the seed is not one of them.
    algorithm
        As typed, such as "mfvdm".
    rounds
        Rounds of search, classification and shifts.
    k
        Neighbours in a view.
    signal
        The test for a signal, or None where it did not run.
    members
        Memberships of the views, or None.
    distance_unit
        What a distance is counted in, for axis labels.
    view_rows
        View -> 0-based row (among the n) of its seed; may be empty.
    view_quality
        View -> quality, the higher the better; may be empty.
    frc
        View -> curves; empty where no halves were made.
    halves
        How members were parted, or None.
    kind_of_average
        In words, for captions.
    classes
        Class -> (L, L), the partition of run_data.star; may be empty.
    class_members
        Class -> number of particles.
    class_frc
        Class -> curves; may be empty.
    embedding
        (n, 3) directions from which particles are seen, in any frame; rows that are not finite are left out. Or None.
    embedding_antipodal
        Whether opposite directions stand for one view (and its mirror image): then one half of the sphere shows all.
    centre_angstrom
        (n, 2) how far each particle's picture is to be moved, x and y in A; None where no shifts were searched.
    shift_sd_angstrom
        Estimated (or given) standard deviation of either coordinate of the centres; None where not searched.
    quality
        (n,) score of each particle against its neighbours, junk lowest; or None.
    parameters
        Name -> value as a user would type it.
    counts
        Name -> number, such as read, classified, skipped.
    warnings
        One sentence each.
    timings_s
        Stage -> seconds.
    files
        File name in the run directory -> what it holds.
    notes
        Remarks on how the numbers were made, one sentence each.

    Raises
    ------
    ValueError
        If lengths or shapes do not belong together, or there is no view.
    """

    title: str
    command_line: str
    version: str
    pixel_size_angstrom: float
    mask_diameter_angstrom: float
    particles: int
    views: Mapping[int, NDArray]
    view_members: Mapping[int, int]
    algorithm: str
    rounds: int
    k: int
    signal: SignalSummary | None = None
    members: ViewMembers | None = None
    distance_unit: str = "no unit"
    view_rows: Mapping[int, int] = field(default_factory=dict)
    view_quality: Mapping[int, float] = field(default_factory=dict)
    frc: Mapping[int, FrcCurve] = field(default_factory=dict)
    halves: HalfSets | None = None
    kind_of_average: str = "average"
    classes: Mapping[int, NDArray] = field(default_factory=dict)
    class_members: Mapping[int, int] = field(default_factory=dict)
    class_frc: Mapping[int, FrcCurve] = field(default_factory=dict)
    embedding: NDArray | None = None
    embedding_antipodal: bool = False
    centre_angstrom: NDArray | None = None
    shift_sd_angstrom: float | None = None
    quality: NDArray | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        if not self.views:
            raise ValueError("no views to report on")
        if not self.pixel_size_angstrom > 0:
            raise ValueError(f"pixel_size_angstrom must be positive, not {self.pixel_size_angstrom}")
        for images, sizes in (("views", "view_members"), ("classes", "class_members")):
            for number, image in getattr(self, images).items():
                expect_shape(f"{images}[{number}]", image, (self.box, self.box))
                if number not in getattr(self, sizes):
                    raise ValueError(f"{sizes} does not tell the size of {number}")
        expect_frc(self.frc, self.box)
        expect_frc(self.class_frc, self.box)
        for name, shape in (("embedding", (3,)), ("centre_angstrom", (2,)), ("quality", ())):
            if getattr(self, name) is not None:
                expect_shape(name, getattr(self, name), (self.particles, *shape))
        for view, row in self.view_rows.items():
            if not 0 <= row < self.particles:
                raise ValueError(f"view_rows[{view}] is {row}, and there are {self.particles} particles")

    @property
    def box(self) -> int:
        """Side L of the averages in pixels."""
        return int(np.shape(next(iter(self.views.values())))[-1])
