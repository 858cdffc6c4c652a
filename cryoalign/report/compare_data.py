"""What the report of `compare` is told: plain arrays and words, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.quality_data import expect_shape


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
class Registration:
    """What one measure says of one pair.

    Parameters
    ----------
    metric
        Name of the measure.
    value, margin
        At the best pose, and by how much that is better than another peak.
    psi_deg, dx_px, dy_px, mirror, scale
        The pose, and what the image was magnified by before.
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
    psi_deg: float
    dx_px: float
    dy_px: float
    mirror: bool
    scale: float
    correlation: float
    agreeing: int
    aligned: NDArray
    curve_psi_deg: NDArray
    curve: NDArray
    at_limit: bool = False
    given: GivenPose | None = None

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        expect_shape("curve", self.curve, np.shape(self.curve_psi_deg))


@dataclass(frozen=True, kw_only=True)
class FoundPose:
    """One registration of a pair, and the measures that found it.

    Parameters
    ----------
    metrics
        Their names.
    psi_deg, dx_px, dy_px, mirror, scale
        The pose that one of them found.
    """

    metrics: tuple[str, ...]
    psi_deg: float
    dx_px: float
    dy_px: float
    mirror: bool
    scale: float


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
    given: FoundPose | None = None
    as_given: NDArray | None = None

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        for name, image in (("b", self.b), *((r.metric, r.aligned) for r in self.registrations)):
            expect_shape(name, image, np.shape(self.a))
        expect_shape("values", self.values, (len(self.registrations), len(self.poses)))


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """One measure over all pairs.

    Parameters
    ----------
    metric, words
        Name, and what it is.
    lower_is_better
        Whether it is a distance.
    warning
        Where it loses; None if nothing is known.
    median_value, median_correlation
        Over all pairs; the correlation is that of the images inside the mask, at this measure's poses.
    with_most
        Pairs where this measure is one of the largest group that agrees, a group of two or more.
    verdicts
        How often it says what of the given poses; empty where that was not asked.
    """

    metric: str
    words: str
    lower_is_better: bool
    warning: str | None
    median_value: float
    median_correlation: float
    with_most: int
    verdicts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class CompareReportData:
    """Everything that report.html shows of a run of `compare`.

    Parameters
    ----------
    title, command_line, version
        Heading; as typed; of cryoalign.
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
    parameters, counts, warnings, timings_s, files, notes
        As on every page.
    """

    title: str
    command_line: str
    version: str
    paired: str
    pairs: int
    all_agree: int
    summaries: Sequence[MetricSummary]
    drawings: Sequence[PairDrawing]
    mask_radius_px: float
    pixel_size_angstrom: float
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        names = [summary.metric for summary in self.summaries]
        for drawing in self.drawings:
            if [r.metric for r in drawing.registrations] != names:
                raise ValueError("every pair needs a registration for each measure")
