"""What the report of `align` says and shows about classes: reference beside average, sizes, scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.report import charts
from cryoalign.report.align_data import AlignReportData
from cryoalign.report.figures import grey_levels, resize
from cryoalign.report.html import caption, cards, picture, tiles
from cryoalign.report.numbers import masked_correlation, median, plural, text_number, text_percent

MAX_GALLERY = 50
NOT_RESOLVED_ANGSTROM = 999.0
_MAX_TILE = 256


@dataclass(frozen=True)
class ClassSummary:
    """What is said about one class; None where it cannot be said."""

    number: int
    members: int
    correlation: float | None
    median_score: float | None
    resolution_angstrom: float | None

    @property
    def resolution_text(self) -> str | None:
        """The resolution in words."""
        if self.resolution_angstrom is None:
            return None
        resolved = self.resolution_angstrom < NOT_RESOLVED_ANGSTROM
        return f"{text_number(self.resolution_angstrom)} Å" if resolved else "not resolved"


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
                data.resolution_angstrom.get(number),
            )
        )
    return summaries


def montage_label(summary: ClassSummary) -> tuple[str, str]:
    """Return two short lines about a class; they fit below small pictures."""
    remarks = [] if summary.correlation is None else [f"corr. {summary.correlation:.3f}"]
    if summary.resolution_text:
        remarks.append(summary.resolution_text)
    return f"Class {summary.number}: {summary.members:,}", " · ".join(remarks)


def class_section(data: AlignReportData) -> str:
    """Return the gallery of classes, their sizes and scores, as HTML."""
    m, counts = len(data.references), data.class_counts
    largest = np.argsort(-counts, kind="stable")[:MAX_GALLERY]
    columns = 2 if m <= 2 else 3 if m in (3, 6) else 4 if m <= 12 else 5
    box = data.references.shape[-1]
    summaries = summarise_classes(data)
    entries = []
    for index in np.sort(largest):
        summary = summaries[index]
        average = data.averages.get(summary.number)
        right = (None, "no average" if summary.members else "no members")
        if average is not None:
            right = (display_tile(average), "average")
        heading = f"Class {summary.number}: {summary.members:,} {plural(summary.members, 'particle')}"
        svg = tiles(
            [(display_tile(data.references[index]), "reference"), right],
            box * data.pixel_size_angstrom,
            description=f"{heading}, reference beside average",
            circle_angstrom=data.mask_diameter_angstrom,
            font_size=4.2 * columns,
        )
        entries.append((svg, heading, list(_class_remarks(summary, len(data)))))
    shown = "" if m <= MAX_GALLERY else f"The {MAX_GALLERY} largest of {m} classes; montage.png holds all. "
    gallery_text = caption(
        f"{shown}Left: reference, right: average of its members. Correlation: between the two, inside the mask "
        "(dashed circle)." + (" Å: resolution from independent halves." if data.resolution_angstrom else ""),
        "the average should be as sharp as its reference and show detail of its own. Likeness alone proves nothing: "
        "pure noise aligned to a reference also averages to that reference.",
    )
    pictures = "" if m == 1 else _class_pictures(data, summaries)
    return f"<figure>{cards(entries, columns=columns)}<figcaption>{gallery_text}</figcaption></figure>{pictures}"


def _class_remarks(summary: ClassSummary, n: int) -> Iterator[str]:
    if summary.members:
        yield text_percent(summary.members, n)
    if summary.correlation is not None:
        yield f"correlation {summary.correlation:.3f}"
    if summary.median_score is not None:
        yield f"median score {text_number(summary.median_score)}"
    if summary.resolution_text:
        yield summary.resolution_text


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


def display_tile(image: NDArray) -> NDArray[np.uint8]:
    """Return 8-bit grey, not larger than a page can show."""
    return grey_levels(resize(image, min(image.shape[-1], _MAX_TILE)))
