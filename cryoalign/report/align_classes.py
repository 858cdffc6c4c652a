"""What the report of `align` says and shows about classes: reference beside average, sizes, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cryoalign.report import charts
from cryoalign.report.align_data import AlignReportData
from cryoalign.report.gallery import GalleryEntry, gallery, resolution_of
from cryoalign.report.html import picture
from cryoalign.report.numbers import masked_correlation, median, plural, text_number, text_percent
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM


@dataclass(frozen=True)
class ClassSummary:
    """What is said about one class; None where it cannot be said."""

    number: int
    members: int
    correlation: float | None
    median_score: float | None
    resolution_angstrom: float | None
    kind: str

    @property
    def resolved(self) -> bool:
        """Whether there is a resolution to state."""
        return self.resolution_angstrom is not None and self.resolution_angstrom < NOT_RESOLVED_ANGSTROM


def summarise_classes(data: AlignReportData) -> list[ClassSummary]:
    """Return what is said about each class, in order of number."""
    diameter_px = data.mask_diameter_angstrom / data.pixel_size_angstrom
    counts = data.class_counts
    order = np.argsort(data.class_number, kind="stable")
    scores = np.split(np.asarray(data.scores)[order], np.cumsum(counts)[:-1])
    summaries = []
    for number, reference in enumerate(data.references, start=1):
        members, average = int(counts[number - 1]), data.averages.get(number)
        summaries.append(
            ClassSummary(
                number,
                members,
                None if average is None else masked_correlation(reference, average, diameter_px),
                median(scores[number - 1]) if members else None,
                *resolution_of(number, data.frc, data.resolution_angstrom),
            )
        )
    return summaries


def reference_words(data: AlignReportData) -> str:
    """Say what the references that are shown are."""
    if data.references_filtered_to_angstrom is None:
        return "reference"
    return f"reference, low-passed to {text_number(data.references_filtered_to_angstrom)} Å as it was aligned to"


def class_entries(data: AlignReportData, summaries: list[ClassSummary]) -> list[GalleryEntry]:
    """Return reference and average of every class for the gallery, in order of number."""
    entries = []
    for summary in summaries:
        average = data.averages.get(summary.number)
        right = "average" if average is not None else "no average" if summary.members else "no members"
        entries.append(
            GalleryEntry(
                summary.number,
                summary.members,
                [(data.references[summary.number - 1], "reference"), (average, right)],
                summary.resolution_angstrom,
                summary.kind,
                list(_class_remarks(summary, data.quality)),
            )
        )
    return entries


def montage_label(summary: ClassSummary) -> tuple[str, str]:
    """Return two short lines about a class; they fit below small pictures."""
    remarks = [] if summary.correlation is None else [f"corr. {summary.correlation:.3f}"]
    entry = GalleryEntry(summary.number, summary.members, (), summary.resolution_angstrom, summary.kind)
    remarks += filter(None, [entry.resolution_words(short=True)])
    return f"Class {summary.number}: {summary.members:,}", " · ".join(remarks)


def class_section(data: AlignReportData) -> str:
    """Return the gallery of classes, their sizes and scores, as HTML."""
    summaries = summarise_classes(data)
    body = gallery(
        class_entries(data, summaries),
        data.references.shape[-1] * data.pixel_size_angstrom,
        finding=f"Left: {reference_words(data)}; right: {data.averages_kind} of its members."
        + (" Å: resolution from independent halves." if any(summary.resolved for summary in summaries) else ""),
        large_finding=" Correlation: between the two, inside the mask (dashed circle).",
        aid="the average should be as sharp as its reference and show detail of its own. Likeness alone proves "
        "nothing: pure noise aligned to a reference also averages to that reference.",
        circle_angstrom=data.mask_diameter_angstrom,
    )
    return body + ("" if len(data.references) == 1 else _class_pictures(data, summaries))


def _class_remarks(summary: ClassSummary, quality: Mapping[int, float]) -> Iterator[str]:
    if summary.correlation is not None:
        yield f"correlation {summary.correlation:.3f}"
    if summary.median_score is not None:
        yield f"median score {text_number(summary.median_score)}"
    if summary.number in quality:
        yield f"quality {text_number(quality[summary.number])}"


def _class_pictures(data: AlignReportData, summaries: list[ClassSummary]) -> str:
    m, counts = len(data.references), data.class_counts
    empty = int(np.count_nonzero(counts == 0))
    with_members = [summary for summary in summaries if summary.members]
    best = max(with_members, key=lambda summary: summary.median_score)
    worst = min(with_members, key=lambda summary: summary.median_score)
    sizes = picture(
        charts.class_sizes(counts),
        "Class sizes",
        f"Largest: class {int(np.argmax(counts)) + 1} with {text_percent(int(counts.max()), len(data))}. "
        f"{empty or 'No'} {plural(empty, 'class')} without members.",
        "one class that takes nearly all, or a reference that attracts few particles: a poor reference, or a view that "
        "is rare.",
    )
    scores = picture(
        charts.class_spread(data.scores, data.class_number, m, y_label="score (correlation)"),
        "Score by class",
        f"Highest median: class {best.number} with {text_number(best.median_score)}; "
        f"lowest: class {worst.number} with {text_number(worst.median_score)}.",
        "a class far below the others: its reference may be wrong, or its members junk.",
    )
    return f'<div class="charts">{sizes}{scores}</div>'
