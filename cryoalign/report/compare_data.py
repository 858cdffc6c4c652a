"""What the report of `compare` is told: plain arrays and words, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Ranking
from cryoalign.report.numbers import expect_shapes, two


@dataclass(frozen=True, kw_only=True)
class GivenPose:
    """What one measure says of the pose that an image came with.

    Parameters
    ----------
    value, nearest_value
        There, and at the nearest optimum.
    away_deg, away_px
        How far that is.
    verdict
        In words.
    """

    value: float
    nearest_value: float
    away_deg: float
    away_px: float
    verdict: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Placed:
    """How B was laid onto A.

    Parameters
    ----------
    pose
        The pose, (1,).
    scale
        What B was magnified by before.
    """

    pose: Poses
    scale: float = 1.0

    @property
    def psi_deg(self) -> float:
        """In-plane angle."""
        return float(self.pose.psi[0])

    @property
    def shift_px(self) -> tuple[float, float]:
        """(dx, dy)."""
        return float(self.pose.dx[0]), float(self.pose.dy[0])

    @property
    def mirror(self) -> bool:
        """Whether B is turned over."""
        return bool(self.pose.mirror[0])

    @property
    def in_words(self) -> str:
        """The pose as a reader wants it."""
        dx, dy = self.shift_px
        words = f"psi {two(self.psi_deg)}°, shift ({two(dx)}, {two(dy)}) px" + (", mirrored" if self.mirror else "")
        return words if self.scale == 1.0 else f"{words}, scale {self.scale:.4f}"


@dataclass(frozen=True, eq=False, kw_only=True)
class FoundPose(Placed):
    """One registration of a pair as one of the measures found it; `metrics` are the names of all that did."""

    metrics: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Registration(Placed):
    """What one measure says of one pair.

    Parameters
    ----------
    metric
        Name of the measure.
    value, margin
        At the best pose, and by how much that is better than another peak.
    correlation
        Of the two images inside the mask, at this pose.
    agreeing
        Measures with the same registration, this one included; 0 where this one found none.
    at_limit
        Whether the shift is the largest that was searched.
    aligned
        The moved image, (L, L).
    curve_psi_deg, curve
        (A,) rising angles, and the measure there, at the shift, the mirror and the scale of the pose.
    given
        What it says of the pose that the image came with; None where that was not asked.
    """

    metric: str
    value: float
    margin: float
    correlation: float
    agreeing: int
    aligned: NDArray
    curve_psi_deg: NDArray
    curve: NDArray
    at_limit: bool = False
    given: GivenPose | None = None

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        expect_shapes(self, np.shape(self.curve_psi_deg), "curve")


@dataclass(frozen=True, eq=False, kw_only=True)
class PairDrawing:
    """One pair that is drawn.

    Parameters
    ----------
    name_a, name_b
        Of the images.
    a, b
        The images (L, L), B as it was given.
    registrations
        One for each measure.
    poses
        Registrations that were found, the one that most measures found first.
    values
        Of each measure at each of these poses, (measures, poses).
    words_a, words_b
        What is written on the images.
    given, as_given
        The pose that B came with, found by no measure, and B there, (L, L); None where that was not asked.
    """

    name_a: str
    name_b: str
    a: NDArray
    b: NDArray
    registrations: Sequence[Registration]
    poses: Sequence[FoundPose]
    values: NDArray
    words_a: str = "A"
    words_b: str = "B, as it is"
    given: Placed | None = None
    as_given: NDArray | None = None

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        expect_shapes(self, np.shape(self.a), "b", "as_given")
        for registration in self.registrations:
            expect_shapes(registration, np.shape(self.a), "aligned")
        expect_shapes(self, (len(self.registrations), len(self.poses)), "values")


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """One measure over all pairs.

    Parameters
    ----------
    measure
        The measure.
    median_value, median_correlation
        Over all pairs; the correlation is that of the images inside the mask, at this measure's poses.
    with_most
        Pairs where this measure is one of the largest group that agrees, a group of two or more.
    verdicts
        How often it says what of the given poses; empty where that was not asked.
    """

    measure: Ranking
    median_value: float
    median_correlation: float
    with_most: int
    verdicts: Mapping[str, int] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """Name of the measure."""
        return self.measure.name


@dataclass(frozen=True, eq=False, kw_only=True)
class CompareReportData:
    """Everything that report.html shows of a run of `compare`.

    Parameters
    ----------
    paired
        How images were paired, in words.
    pairs
        How many.
    all_agree
        Pairs where all measures agree.
    summaries
        One for each measure, in their order.
    drawings
        Pairs that are drawn.
    mask_radius_px, pixel_size_angstrom
        Of all images.
    """

    paired: str
    pairs: int
    all_agree: int
    summaries: Sequence[MetricSummary]
    drawings: Sequence[PairDrawing]
    mask_radius_px: float
    pixel_size_angstrom: float

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        names = [summary.metric for summary in self.summaries]
        for drawing in self.drawings:
            if [r.metric for r in drawing.registrations] != names:
                raise ValueError("every pair needs a registration for each measure")
