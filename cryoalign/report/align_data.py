"""What the page of `align` is told of the particles and their references, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.einstein import NullTest
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.averaging.verdict import Verdict
from cryoalign.core.poses import Poses
from cryoalign.report.classes import Classes
from cryoalign.report.numbers import expect_shapes, median


@dataclass(frozen=True, eq=False, kw_only=True)
class AlignReportData:
    """Everything that report.html and montage.png show of a run of `align`.

    n particles were aligned to M references of L x L pixels, and averaged by reference. Particles of another box size
    than the references may be described here too: only the example pictures have a box of their own.

    Parameters
    ----------
    classes
        The averages, numbered 1 .. M.
    references
        (M, L, L), [reference, y, x], as they were searched.
    references_filtered_to_angstrom
        What they were low-passed to; None = as given by the user.
    poses
        (n,) what was found.
    reference
        (n,) int, 0-based.
    score, margin
        (n,) normalised correlations in [-1, 1], and the best minus the best of another pose or class.
    shift_angstrom
        (n, 2), x then y: what was found, counted from the centre of the search (the input origin), so that
        `max_shift_angstrom` applies to it.
    psi_error_deg, shift_error_angstrom
        (n,) estimated standard errors; NaN where unknown.
    flag
        (n,) int, 0 = good.
    flag_meanings
        Bit value (1, 2, 4, ...) -> words.
    mirrors
        Whether mirrors were searched.
    max_shift_angstrom
        Radius of the shift search.
    local_search_deg
        Half-width of the psi search round the input angle; None = full circle.
    growth
        Amplitude signal-to-noise ratio against number of images, or None.
    guard
        What the guard against model bias found, or None where it did not run.
    null_test
        What noise gave on the same path, or None where it was not asked for.
    example_raw, example_aligned
        (k, l, l) unfiltered particles before and after their pose.
    example_names
        One per example, such as ``000012@stack.mrcs``.
    noise
        Name of each noise group, its power per ring (l // 2 + 1,), and the side of its box in A.

    Raises
    ------
    ValueError
        If lengths or shapes do not belong together.
    """

    classes: Classes
    references: NDArray
    references_filtered_to_angstrom: float | None = None
    poses: Poses
    reference: NDArray[np.integer]
    score: NDArray[np.floating]
    margin: NDArray[np.floating]
    shift_angstrom: NDArray[np.floating]
    psi_error_deg: NDArray[np.floating]
    shift_error_angstrom: NDArray[np.floating]
    flag: NDArray[np.integer]
    flag_meanings: Mapping[int, str] = field(default_factory=dict)
    mirrors: bool = False
    max_shift_angstrom: float
    local_search_deg: float | None = None
    growth: GrowthCurve | None = None
    guard: Verdict | None = None
    null_test: NullTest | None = None
    example_raw: NDArray
    example_aligned: NDArray
    example_names: Sequence[str]
    noise: Sequence[tuple[str, NDArray[np.floating], float]] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        n, m = len(self), len(self.classes.members)
        expect_shapes(self, (n,), "reference", "score", "margin", "psi_error_deg", "shift_error_angstrom", "flag")
        expect_shapes(self, (n, 2), "shift_angstrom")
        expect_shapes(self, (m, self.classes.box, self.classes.box), "references")
        expect_shapes(self, (len(self.example_names), *self.example_raw.shape[1:]), "example_raw", "example_aligned")
        if not 0 <= np.min(self.reference) <= np.max(self.reference) < m:
            raise ValueError(f"reference must lie in 0..{m - 1}")

    def __len__(self) -> int:
        """Count the particles."""
        return len(self.poses)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Members of each class, shape (M,)."""
        return np.asarray(self.classes.averages.counts)

    @cached_property
    def median_score(self) -> NDArray[np.float64]:
        """Median score of each class, shape (M,); NaN where it has no members."""
        order = np.argsort(self.reference, kind="stable")
        return np.array([median(part) for part in np.split(self.score[order], np.cumsum(self.class_counts)[:-1])])

    @cached_property
    def shift_length_angstrom(self) -> NDArray[np.float64]:
        """Length of each shift, shape (n,)."""
        x, y = np.asarray(self.shift_angstrom, np.float64).T
        return np.hypot(x, y)

    @property
    def has_errors(self) -> bool:
        """Whether the measure gives standard errors; only the search core's does."""
        return bool(np.isfinite(self.psi_error_deg).any())
