"""What the report of `align` is told: plain arrays and words, checked once, so that drawing needs no more checks."""

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
class AlignReportData:
    """Everything that report.html and montage.png show.

    n particles were aligned to M references of L x L pixels; class numbers are 1-based, so class c belongs to
    ``references[c - 1]``. Particles of another box size than the references may be described here too: only
    the example pictures have a box of their own.

    Parameters
    ----------
    title
        Heading of the page.
    command_line, version
        As typed, and of cryoalign.
    parameters
        Name -> value as a user would type it.
    counts
        Name -> number, such as read, aligned, skipped; shown as given, and "read" also in the summary.
    warnings
        One sentence each.
    timings_s
        Stage -> seconds.
    pixel_size_angstrom
        Of references, averages and examples.
    mask_diameter_angstrom
        Diameter of the particle mask.
    references
        (M, L, L), [reference, y, x].
    averages
        Class number -> (L, L); classes without members are absent.
    scores
        (n,) normalised correlations in [-1, 1].
    score_margin
        (n,) best score minus the best of another pose or class.
    psi_deg
        (n,) in degrees.
    shift_angstrom
        (n, 2), x then y: what was found, counted from the centre of the search (the input origin), so that
        `max_shift_angstrom` applies to it.
    psi_error_deg, shift_error_angstrom
        (n,) estimated standard errors.
    class_number
        (n,) int, 1..M.
    flags
        (n,) int, 0 = good; None reads as all good.
    flag_meanings
        Bit value (1, 2, 4, ...) -> words.
    mirror
        (n,) bool, or None where mirrors were not searched.
    max_shift_angstrom
        Radius of the shift search; None where it was not limited.
    local_search_deg
        Half-width of the psi search round the input angle; None = full circle.
    resolution_angstrom
        Class number -> resolution from independent halves (999 = never above the threshold); empty where no halves
        were made. Where `frc` has a class, its curve's resolution counts instead.
    references_filtered_to_angstrom
        `references` are shown as they were aligned to, low-passed to this; None = as given by the user.
    averages_kind
        In words, for captions: "plain mean", "Wiener-filtered" ...
    frc
        Class number -> curves of its half averages; empty where no halves were made.
    halves
        How particles were parted into halves, or None.
    growth
        Amplitude signal-to-noise ratio against number of images, or None.
    quality
        Class number -> quality, as in cryoalignQuality; may be empty.
    guard
        What the guard against model bias found, or None where it did not run.
    null_test
        What noise gave on the same path, or None where it was not asked for.
    example_raw, example_aligned
        (k, l, l) unfiltered particles before and after their pose; either may be None.
    example_names
        One per example, such as ``000012@stack.mrcs``.
    display_lowpass_angstrom
        Filter for showing the examples, in A; None = 25 A or five pixels, whichever is longer. Never touches results.
    noise_power
        (groups, L // 2 + 1) noise power per ring, or None.
    noise_group_names
        One per group; empty = numbered.
    noise_pixel_size_angstrom
        One per group; empty = `pixel_size_angstrom`.
    files
        File name in the run directory -> what it holds.
    notes
        Remarks on how the numbers were made, one sentence each.

    Raises
    ------
    ValueError
        If lengths or shapes do not belong together.
    """

    title: str
    command_line: str
    version: str
    pixel_size_angstrom: float
    mask_diameter_angstrom: float
    references: NDArray
    averages: Mapping[int, NDArray]
    scores: NDArray
    score_margin: NDArray
    psi_deg: NDArray
    shift_angstrom: NDArray
    psi_error_deg: NDArray
    shift_error_angstrom: NDArray
    class_number: NDArray
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    flags: NDArray | None = None
    flag_meanings: Mapping[int, str] = field(default_factory=dict)
    mirror: NDArray | None = None
    max_shift_angstrom: float | None = None
    local_search_deg: float | None = None
    resolution_angstrom: Mapping[int, float] = field(default_factory=dict)
    references_filtered_to_angstrom: float | None = None
    averages_kind: str = "average"
    frc: Mapping[int, FrcCurve] = field(default_factory=dict)
    halves: HalfSets | None = None
    growth: GrowthCurve | None = None
    quality: Mapping[int, float] = field(default_factory=dict)
    guard: GuardSummary | None = None
    null_test: NullTestSummary | None = None
    example_raw: NDArray | None = None
    example_aligned: NDArray | None = None
    example_names: Sequence[str] = ()
    display_lowpass_angstrom: float | None = None
    noise_power: NDArray | None = None
    noise_group_names: Sequence[str] = ()
    noise_pixel_size_angstrom: Sequence[float] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n = len(self.scores)
        if n == 0:
            raise ValueError("no particles to report on")
        for name in ("score_margin", "psi_deg", "psi_error_deg", "shift_error_angstrom", "class_number"):
            expect_shape(name, getattr(self, name), (n,))
        expect_shape("shift_angstrom", self.shift_angstrom, (n, 2))
        for name in ("flags", "mirror"):
            if getattr(self, name) is not None:
                expect_shape(name, getattr(self, name), (n,))
        if np.ndim(self.references) != 3 or len(self.references) == 0:
            raise ValueError(f"references must be (M, L, L) with M >= 1, not {np.shape(self.references)}")
        m = len(self.references)
        for number, average in self.averages.items():
            if not 1 <= number <= m:
                raise ValueError(f"average of class {number}, but there are {m} references")
            expect_shape(f"averages[{number}]", average, np.shape(self.references)[1:])
        expect_frc(self.frc, np.shape(self.references)[-1])
        if not 1 <= np.min(self.class_number) <= np.max(self.class_number) <= m:
            raise ValueError(f"class_number must lie in 1..{m}")
        for name in ("example_raw", "example_aligned"):
            examples = getattr(self, name)
            if examples is not None and (np.ndim(examples) != 3 or len(examples) != len(self.example_names)):
                raise ValueError(f"{name} must be (k, l, l) with one name each, not {np.shape(examples)}")
        if self.noise_power is not None:
            if np.ndim(self.noise_power) != 2:
                raise ValueError(f"noise_power must be (groups, rings), not {np.shape(self.noise_power)}")
            for name in ("noise_group_names", "noise_pixel_size_angstrom"):
                if len(getattr(self, name)) not in (0, len(self.noise_power)):
                    raise ValueError(f"{name} must have one entry per row of noise_power")
        if not self.pixel_size_angstrom > 0:
            raise ValueError(f"pixel_size_angstrom must be positive, not {self.pixel_size_angstrom}")

    def __len__(self) -> int:
        """Count the particles."""
        return len(self.scores)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Members of each class, shape (M,)."""
        return np.bincount(np.asarray(self.class_number, np.int64), minlength=len(self.references) + 1)[1:]

    @property
    def shift_length_angstrom(self) -> NDArray[np.float64]:
        """Length of each shift, shape (n,)."""
        x, y = np.asarray(self.shift_angstrom, np.float64).T
        return np.hypot(x, y)
