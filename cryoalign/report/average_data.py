"""What the report of `average` is told: plain arrays and words, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report.quality_data import (
    FrcCurve,
    GuardSummary,
    HalfSets,
    NullTestSummary,
    expect_frc,
    expect_shape,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class AverageReportData:
    """Everything that report.html and montage.png show of a run of `average`.

    Mappings go from class number (as in the STAR file, any numbers, with gaps) to what belongs to that class; a class
    without members is absent from `averages`, and may stand in `members` with 0.

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
    averages
        Class -> (L, L).
    members
        Class -> number of images.
    parameters
        Name -> value as a user would type it.
    counts
        Name -> number, such as read, averaged, skipped.
    warnings
        One sentence each.
    timings_s
        Stage -> seconds.
    kind_of_average
        In words, for captions: "Wiener-filtered", "plain mean", "phase-flipped mean", "median" ...
    variance
        Class -> (L, L) variance map, shown beside the average; empty where none was made.
    variance_unit
        Unit of the variance maps, in words.
    frc
        Class -> curves; empty where no halves were made.
    halves
        How particles were parted, or None.
    growth
        Amplitude signal-to-noise against number of images, or None.
    quality
        Class -> quality of cryoalignQuality; may be empty.
    score_mean
        Class -> mean score; may be empty.
    scale
        (n,) intensity scale of each particle, 1 = as the average; None where not estimated.
    recentre_angstrom
        Class -> (x, y) in A, by how much its average was moved; empty where not recentred.
    guard, null_test
        As in the report of `align`, or None.
    files
        File name in the run directory -> what it holds.
    notes
        Remarks on how the numbers were made, one sentence each.

    Raises
    ------
    ValueError
        If lengths or shapes do not belong together, or there is no average.
    """

    title: str
    command_line: str
    version: str
    pixel_size_angstrom: float
    mask_diameter_angstrom: float
    averages: Mapping[int, NDArray]
    members: Mapping[int, int]
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    kind_of_average: str = "average"
    variance: Mapping[int, NDArray] = field(default_factory=dict)
    variance_unit: str = "noise variances"
    frc: Mapping[int, FrcCurve] = field(default_factory=dict)
    halves: HalfSets | None = None
    growth: GrowthCurve | None = None
    quality: Mapping[int, float] = field(default_factory=dict)
    score_mean: Mapping[int, float] = field(default_factory=dict)
    scale: NDArray | None = None
    recentre_angstrom: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    guard: GuardSummary | None = None
    null_test: NullTestSummary | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        if not self.averages:
            raise ValueError("no averages to report on")
        if not self.pixel_size_angstrom > 0:
            raise ValueError(f"pixel_size_angstrom must be positive, not {self.pixel_size_angstrom}")
        shape = (self.box, self.box)
        for name in ("averages", "variance"):
            for number, image in getattr(self, name).items():
                expect_shape(f"{name}[{number}]", image, shape)
        missing = [number for number in self.averages if number not in self.members]
        if missing:
            raise ValueError(f"members does not tell the size of class {missing[0]}")
        expect_frc(self.frc, self.box)
        if self.scale is not None and np.ndim(self.scale) != 1:
            raise ValueError(f"scale must be (n,), not {np.shape(self.scale)}")

    @property
    def box(self) -> int:
        """Side L of the averages in pixels."""
        return int(np.shape(next(iter(self.averages.values())))[-1])
