"""The page and the montage of `average`: summary, classes, evidence, intensity scale, recentring, settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.frc import THRESHOLD
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report import charts
from cryoalign.report.classes import Classes
from cryoalign.report.frc_section import frc_section
from cryoalign.report.gallery import LARGE, GalleryEntry, class_sheet, class_sizes, gallery
from cryoalign.report.html import abreast, escape, picture, table
from cryoalign.report.numbers import (
    expect_shapes,
    finite,
    median,
    number_text,
    plural,
    signed,
    text_number,
)
from cryoalign.report.run_facts import RunFacts, whole_page

MAX_MOVES = 10
_VARIANCE = "variance map, in noise variances"


@dataclass(frozen=True, eq=False, kw_only=True)
class AverageReportData:
    """Everything that report.html and montage.png show of a run of `average`.

    Parameters
    ----------
    classes
        The averages of m classes.
    variance
        (m, L, L) variance maps, shown beside the averages, 1 = noise; None where none were made.
    growth
        Amplitude signal-to-noise against number of images, or None.
    score_mean
        (m,) mean score; None where there are no scores.
    scale
        (n,) intensity scale of each particle, 1 = as the average; None where not estimated.
    moved_angstrom
        (m, 2), x and y, by how much each average was moved; None where not recentred.

    Raises
    ------
    ValueError
        If lengths or shapes do not belong together.
    """

    classes: Classes
    variance: NDArray | None = None
    growth: GrowthCurve | None = None
    score_mean: NDArray | None = None
    scale: NDArray | None = None
    moved_angstrom: NDArray | None = None

    def __post_init__(self) -> None:
        """Refuse what does not belong together."""
        m = len(self.classes.members)
        expect_shapes(self, (m, self.classes.box, self.classes.box), "variance")
        expect_shapes(self, (m,), "score_mean")
        expect_shapes(self, (m, 2), "moved_angstrom")


def build_average_page(run: RunFacts, data: AverageReportData) -> str:
    """Return report.html as text."""
    return whole_page(
        run,
        summary=summary_sentence(run, data),
        fact_boxes=_facts(run, data),
        sections=(
            ("classes", "Classes", _classes(data)),
            ("frc", "Halves and resolution", frc_section(data.classes, data.growth)),
            ("scale", "Intensity scale of particles", _scale(data)),
            ("recentre", "Recentring", _recentring(data)),
        ),
    )


def draw_average_montage(run: RunFacts, data: AverageReportData) -> bytes:
    """Return montage.png: classes by number, or the largest of very many; with variance maps where there are any."""
    left, right = ("", "") if data.variance is None else ("Left: ", f" Right: {_VARIANCE}.")
    return class_sheet(data.classes, _entries(data), run.title, f"{left}{data.classes.kind} of each class.{right}")


def summary_sentence(run: RunFacts, data: AverageReportData) -> str:
    """Say in one breath what came out."""
    classes = data.classes
    images, m, curves = sum(classes.members.values()), len(classes.images), len(classes.curves)
    resolved = classes.resolved
    if not curves:
        words = "no halves, so no resolution"
    elif not classes.any_independent:
        words = "no resolution, as the halves share their references"
    elif not resolved:
        words = f"none of {curves:,} {plural(curves, 'class')} resolved at {THRESHOLD:g}"
    elif m == 1:
        words = f"resolution {text_number(resolved[0])} Å from independent halves"
    else:
        words = (
            f"median resolution {text_number(median(resolved))} Å from independent halves ({len(resolved):,} of "
            f"{curves:,} {plural(curves, 'class')} resolved)"
        )
    return (
        f"{images:,} {plural(images, 'particle')} in {m:,} {plural(m, 'class')} ({classes.kind}): {words}; "
        f"{run.warned}."
    )


def _facts(run: RunFacts, data: AverageReportData) -> Iterator[tuple[str, str, str]]:
    classes = data.classes
    sizes = np.array([classes.members[number] for number in classes.images])
    yield "Particles", f"{sizes.sum():,}", run.of_read("averaged")
    empty = len(classes.members) - len(sizes)
    yield "Classes", f"{len(sizes):,}", f"{empty:,} more without members" if empty else "all have members"
    if len(sizes) > 1:
        yield "Class size", f"{np.median(sizes):,.0f}", f"median; {sizes.min():,} to {sizes.max():,}"
    if classes.resolved:
        yield "Best resolution", f"{text_number(min(classes.resolved))} Å", f"independent halves, {THRESHOLD:g}"
    elif classes.curves:
        yield "Resolution", "none", "see Halves and resolution"
    pixel = f"{classes.pixel_size_angstrom:.4g} Å"
    yield "Pixel", pixel, f"box {classes.box} px, {text_number(classes.width_angstrom)} Å"


def _entries(data: AverageReportData) -> list[GalleryEntry]:
    classes, entries = data.classes, []
    named = [("quality", classes.averages.quality), ("mean score", data.score_mean)]
    values = [(name, classes.by_number(each)) for name, each in named if each is not None]
    maps = {} if data.variance is None else classes.by_number(data.variance)
    for number in sorted(classes.images):
        pictures = [(classes.images[number], "average")]
        remarks = [f"{name} {text_number(of_class[number])}" for name, of_class in values]
        if number in maps:
            pictures.append((maps[number], "variance"))
            levels = finite(maps[number])
            if len(levels) and len(classes.images) <= LARGE:  # small pictures carry no remarks
                low, high = np.percentile(levels, (0.3, 99.7))
                remarks.append(f"variance {number_text(low, 2)} to {number_text(high, 2)}")
        entries.append(GalleryEntry(number, pictures, remarks))
    return entries


def _classes(data: AverageReportData) -> str:
    kind = data.classes.kind
    finding = f"{kind[0].upper()}{kind[1:]} of each class"
    aid = (
        "sharp particles on a flat ground. Rings or rays round the particle: too few images or too much weight on high "
        "frequencies. A blurred class: a mixture of views, or poses that failed."
    )
    if data.variance is not None:
        finding += f", left, and its {_VARIANCE}, right"
        aid += " Bright in the variance map: where particles differ from their average; noise alone makes it flat."
    body = gallery(data.classes, _entries(data), finding=f"{finding}.", aid=aid)
    return body + abreast(
        class_sizes(
            data.classes,
            "one class that takes nearly all, or very many tiny ones: classes that attract particles by chance. Small "
            "classes make noisy averages.",
        )
    )


def _scale(data: AverageReportData) -> str:
    values = np.zeros(0) if data.scale is None else finite(data.scale)
    if data.scale is None or not len(values):
        return ""
    middle, (low, high) = median(values), np.percentile(values, (5, 95))
    lost = np.size(data.scale) - len(values)
    return abreast(picture(
        charts.histogram(
            values, x_label="intensity scale (1 = as its average, no unit)",
            marks=[(middle, f"median {text_number(middle)}")], width=charts.WIDTH,
        ),
        "Intensity scale",
        f"Median {text_number(middle)}; 90 % between {number_text(low)} and {number_text(high)}."
        + (f" {lost:,} particles have none." if lost else ""),
        "one hump near 1. Particles near 0 or below hold nothing of their average: empty picks or a wrong class. "
        "Separate humps are often different ice or exposure; the width is mostly noise of single images.",
    ))  # fmt: skip


def _recentring(data: AverageReportData) -> str:
    if data.moved_angstrom is None:
        return ""
    moved_by = data.classes.by_number(data.moved_angstrom)
    numbers = sorted(moved_by)
    moves = np.array([moved_by[number] for number in numbers], np.float64)
    length = np.hypot(*moves.T)
    worst = np.argsort(-length, kind="stable")[:MAX_MOVES]
    pixel = data.classes.pixel_size_angstrom
    rows = [
        (str(numbers[i]), signed(moves[i, 0]), signed(moves[i, 1]), text_number(length[i]), f"{length[i] / pixel:.2f}")
        for i in worst
    ]
    chart = picture(
        charts.shift_map(moves, None),
        "How averages were moved",
        f"Median {text_number(median(length))} Å ({text_number(median(length) / pixel, 2)} pixels), largest "
        f"{text_number(length.max())} Å (class {numbers[int(worst[0])]}). A point is a class.",
        "points close to 0: averages were centred before. All to one side: particles were picked off centre. A single "
        "one far out: its centre of mass may be that of a neighbour or of carbon; look at it.",
    )
    lead = f"The {len(rows)} largest moves." if len(numbers) > len(rows) else "All moves, largest first."
    moved = table(("Class", "x (Å)", "y (Å)", "Length (Å)", "Pixels"), rows, numeric=(0, 1, 2, 3, 4))
    return abreast(chart, f"<div><h3>Moves</h3><p>{escape(lead)}</p>{moved}</div>")
