"""The page and the montage of `average`: summary, classes, evidence, intensity scale, recentring, settings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoalign.report import charts
from cryoalign.report.average_data import AverageReportData
from cryoalign.report.frc_section import frc_section
from cryoalign.report.gallery import LARGE, GalleryEntry, gallery, resolution_of
from cryoalign.report.guard_section import guard_section, number_text, share_text, z_text
from cryoalign.report.html import escape, picture, table
from cryoalign.report.montage import draw_montage, sheet_classes
from cryoalign.report.null_test_section import null_test_section
from cryoalign.report.numbers import finite, median, plural, signed, text_number, text_percent
from cryoalign.report.page_parts import whole_page
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM

MAX_MOVES = 10


def build_average_page(data: AverageReportData) -> str:
    """Return report.html as text."""
    pixel = data.pixel_size_angstrom
    return whole_page(
        data,
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        sections=(
            ("classes", "Classes", _classes(data)),
            (
                "frc",
                "Halves and resolution",
                frc_section(data.frc, data.members, data.box, pixel, data.halves, data.growth),
            ),
            ("guard", "Guard against model bias", guard_section(data.guard)),
            ("null", "Noise on the same path", null_test_section(data.null_test, pixel, data.mask_diameter_angstrom)),
            ("scale", "Intensity scale of particles", _scale(data)),
            ("recentre", "Recentring", _recentring(data)),
        ),
    )


def draw_average_montage(data: AverageReportData) -> bytes:
    """Return montage.png: classes by number, or the largest of very many; with variance maps where there are any."""
    entries = _entries(data)
    indices, left_out = sheet_classes([entry.members for entry in entries])
    entries = [entries[i] for i in indices]
    labels = [(f"Class {entry.number}: {entry.members:,}", entry.resolution_words(short=True)) for entry in entries]
    maps = f" Right: {_variance_words(data)}." if data.variance else ""
    return draw_montage(
        [[image for image, _ in entry.pictures] for entry in entries],
        labels,
        heading=data.title,
        legend=left_out + ("Left: " if data.variance else "") + f"{data.kind_of_average} of each class.{maps}"
        + (" Å: resolution from independent halves." if _resolved(data) else ""),
        pixel_size_angstrom=data.pixel_size_angstrom,
        missing=dict.fromkeys(range(len(entries)), "no variance map"),
    )  # fmt: skip


def summary_sentence(data: AverageReportData) -> str:
    """Say in one breath what came out."""
    images, m = sum(data.members[number] for number in data.averages), len(data.averages)
    resolved = _resolved(data)
    if not data.frc:
        words = "no halves, so no resolution"
    elif not any(curve.independent for curve in data.frc.values()):
        words = "no resolution, as the halves share their references"
    elif not resolved:
        words = f"none of {len(data.frc):,} {plural(len(data.frc), 'class')} resolved at 0.143"
    elif m == 1:
        words = f"resolution {text_number(resolved[0])} Å from independent halves"
    else:
        words = (
            f"median resolution {text_number(median(resolved))} Å from independent halves ({len(resolved):,} of "
            f"{len(data.frc):,} {plural(len(data.frc), 'class')} resolved)"
        )
    return (
        f"{images:,} {plural(images, 'particle')} in {m:,} {plural(m, 'class')} ({data.kind_of_average}): {words}; "
        f"{len(data.warnings) or 'no'} {plural(len(data.warnings), 'warning')}."
    )


def _resolved(data: AverageReportData) -> list[float]:
    return [
        curve.resolution_angstrom
        for curve in data.frc.values()
        if curve.independent and curve.resolution_angstrom < NOT_RESOLVED_ANGSTROM
    ]


def _facts(data: AverageReportData) -> Iterator[tuple[str, str, str]]:
    sizes = np.array([data.members[number] for number in data.averages])
    read = data.counts.get("read")
    yield "Particles", f"{sizes.sum():,}", f"of {read:,} read" if isinstance(read, int) else "averaged"
    empty = sum(number not in data.averages for number in data.members)
    yield "Classes", f"{len(sizes):,}", f"{empty:,} more without members" if empty else "all have members"
    if len(sizes) > 1:
        yield "Class size", f"{np.median(sizes):,.0f}", f"median; {sizes.min():,} to {sizes.max():,}"
    resolved = _resolved(data)
    if resolved:
        yield "Best resolution", f"{text_number(min(resolved))} Å", "independent halves, 0.143"
    elif data.frc:
        yield "Resolution", "none", "see Halves and resolution"
    yield "Pixel", f"{data.pixel_size_angstrom:.4g} Å", f"box {data.box} px, {text_number(_width(data))} Å"
    if data.guard is not None:
        yield "Guard", data.guard.verdict, f"z {z_text(data.guard.z)}, share {share_text(data.guard.share)}"


def _width(data: AverageReportData) -> float:
    return data.box * data.pixel_size_angstrom


def _variance_words(data: AverageReportData) -> str:
    return f"variance map, in {data.variance_unit}"


def _entries(data: AverageReportData) -> list[GalleryEntry]:
    entries = []
    for number in sorted(data.averages):
        pictures = [(data.averages[number], "average")]
        if data.variance:
            there = number in data.variance
            pictures.append((data.variance.get(number), "variance" if there else "no variance map"))
        remarks = [
            f"{name} {text_number(values[number])}"
            for name, values in (("quality", data.quality), ("mean score", data.score_mean))
            if number in values
        ]
        if number in data.variance and len(data.averages) <= LARGE:  # small pictures carry no remarks
            levels = finite(data.variance[number])
            if len(levels):
                low, high = np.percentile(levels, (0.3, 99.7))
                remarks.append(f"variance {number_text(low, 2)} to {number_text(high, 2)}")
        entries.append(
            GalleryEntry(number, data.members[number], pictures, *resolution_of(number, data.frc), remarks=remarks)
        )
    return entries


def _classes(data: AverageReportData) -> str:
    finding = f"{data.kind_of_average[0].upper()}{data.kind_of_average[1:]} of each class"
    finding += f", left, and its {_variance_words(data)}, right." if data.variance else "."
    if _resolved(data):
        finding += " Å: resolution at FRC 0.143 from independent halves."
    aid = (
        "sharp particles on a flat ground. Rings or rays round the particle: too few images or too much weight on high "
    )
    aid += "frequencies. A blurred class: a mixture of views, or poses that failed."
    if data.variance:
        aid += " Bright in the variance map: where particles differ from their average; noise alone makes it flat."
    body = gallery(_entries(data), _width(data), finding=finding, aid=aid, circle_angstrom=data.mask_diameter_angstrom)
    return body + (_sizes(data) if len(data.averages) > 1 else "")


def _sizes(data: AverageReportData) -> str:
    numbers = sorted(data.members)
    counts = np.array([data.members[number] for number in numbers])
    # Numbers with wide gaps would leave bars too thin to see: then classes stand by size.
    by_number = numbers[-1] <= 3 * len(numbers)
    chart = (
        charts.class_sizes(counts, numbers=numbers)
        if by_number
        else charts.class_sizes(np.sort(counts)[::-1], x_label="rank of the class by size")
    )
    largest = numbers[int(np.argmax(counts))]
    empty = int(np.count_nonzero(counts == 0))
    words = picture(
        chart,
        "Class sizes",
        f"Largest: class {largest} with {text_percent(int(counts.max()), int(counts.sum()))}. "
        f"{empty or 'No'} {plural(empty, 'class')} without members.",
        "one class that takes nearly all, or very many tiny ones: classes that attract particles by chance. Small "
        "classes make noisy averages.",
    )
    return f'<div class="charts">{words}</div>'


def _scale(data: AverageReportData) -> str:
    values = finite(data.scale) if data.scale is not None else np.zeros(0)
    if not len(values):
        return ""
    middle, (low, high) = median(values), np.percentile(values, (5, 95))
    lost = int(np.size(data.scale)) - len(values)
    chart = picture(
        charts.histogram(
            values, x_label="intensity scale (1 = as its average, no unit)",
            marks=[(middle, f"median {text_number(middle)}")], width=charts.WIDTH,
        ),
        "Intensity scale",
        f"Median {text_number(middle)}; 90 % between {number_text(low)} and {number_text(high)}."
        + (f" {lost:,} particles have none." if lost else ""),
        "one hump near 1. Particles near 0 or below hold nothing of their average: empty picks or a wrong class. "
        "Separate humps are often different ice or exposure; the width is mostly noise of single images.",
    )  # fmt: skip
    return f'<div class="charts">{chart}</div>'


def _recentring(data: AverageReportData) -> str:
    if not data.recentre_angstrom:
        return ""
    numbers = sorted(data.recentre_angstrom)
    moves = np.array([data.recentre_angstrom[number] for number in numbers], np.float64).reshape(-1, 2)
    length = np.hypot(*moves.T)
    worst = np.argsort(-length, kind="stable")[:MAX_MOVES]
    pixel = data.pixel_size_angstrom
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
    return f'<div class="charts">{chart}<div><h3>Moves</h3><p>{escape(lead)}</p>{moved}</div></div>'
