"""The averages of `classavg` as pictures: its views by quality, and the classes that part the particles by size."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cryoalign.report import charts
from cryoalign.report.classavg_data import ClassavgReportData
from cryoalign.report.gallery import GalleryEntry, gallery, resolution_of
from cryoalign.report.guard_section import number_text
from cryoalign.report.html import escape, picture
from cryoalign.report.montage import MOST_CLASSES, draw_montage
from cryoalign.report.naming import RELION_CLASSES, VIEWS
from cryoalign.report.numbers import plural, text_number, text_percent
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM, FrcCurve


def view_spread_deg(data: ClassavgReportData) -> dict[int, float]:
    """Return view -> root mean square angle in degrees between the viewing directions of seed and members, if known."""
    members = data.members
    if members is None or members.viewing_angle_deg is None:
        return {}
    angles = np.asarray(members.viewing_angle_deg, np.float64)
    known = np.isfinite(angles)
    views, place = np.unique(np.asarray(members.view)[known], return_inverse=True)
    square = np.bincount(place, angles[known] ** 2) / np.maximum(np.bincount(place), 1)
    return dict(zip(views.tolist(), np.sqrt(square).tolist(), strict=True))


def view_section(data: ClassavgReportData) -> str:
    """Return the gallery of views, best first, as HTML."""
    finding = f"{_kind(data)} of each view: the nearest neighbours of one particle, mirrored ones turned over. The "
    finding += "particle itself is left out: they were chosen by its noise, too."
    finding += _resolution_words(data.frc, _width(data))
    return gallery(
        view_entries(data),
        _width(data),
        finding=finding,
        large_finding=" Quality: how well members agree with each other. Spread: root mean square angle between "
        "the viewing directions of the members and of that particle."
        if data.members is not None
        else "",
        aid="sharp particles on a flat ground, and views that differ. Blurred or ghostly averages at the "
        "end of the list are junk or rare views; many alike mean preferred orientation.",
        circle_angstrom=data.mask_diameter_angstrom,
        naming=VIEWS,
    )


def class_section(data: ClassavgReportData) -> str:
    """Return the gallery of the classes that RELION reads, as HTML; empty where there are none."""
    if not data.classes:
        return ""
    words = (
        "Here every particle is in exactly one class, and a view and its mirror image are two classes: what RELION's "
        "subset selection expects. These numbers are rlnClassNumber of run_data.star, and not those of the views."
    )
    body = gallery(
        [
            _entry(number, image, data.class_members[number], data.class_frc, [], _width(data))
            for number, image in sorted(data.classes.items())
        ],
        _width(data),
        finding=f"{_kind(data)} of each class.{_resolution_words(data.class_frc, _width(data))}",
        aid="the same views as above, from more particles each. Less sharp than a view of like size is usual: a class "
        "takes all that come, a view only the nearest.",
        circle_angstrom=data.mask_diameter_angstrom,
        naming=RELION_CLASSES,
    )
    return f"<p>{escape(words)}</p>{body}{_sizes(data)}"


def draw_view_montage(data: ClassavgReportData) -> bytes:
    """Return montage.png: views, best first; the 400 best of very many."""
    shown = view_entries(data, MOST_CLASSES)
    words = ""
    if len(data.views) > len(shown):
        others = f"{len(data.views) - len(shown):,} more are not shown, averages.mrcs has them"
        words = f"The {len(shown)} best views, best first; {others}. "
    return draw_montage(
        [[entry.pictures[0][0]] for entry in shown],
        [(f"View {entry.number}: {entry.members:,}", entry.resolution_words(short=True)) for entry in shown],
        heading=data.title,
        legend=words + f"{_kind(data)} of each view, and its members."
        + _resolution_words(data.frc, _width(data)),
        pixel_size_angstrom=data.pixel_size_angstrom,
    )  # fmt: skip


def view_entries(data: ClassavgReportData, most: int | None = None) -> list[GalleryEntry]:
    """Return the views in the order given, all or so many."""
    spread = view_spread_deg(data)
    entries = []
    for number, image in islice(data.views.items(), most):
        remarks = []
        if number in data.view_quality:
            remarks.append(f"quality {number_text(data.view_quality[number])}")
        if number in spread:
            remarks.append(f"spread {text_number(spread[number], 2)}°")
        entries.append(_entry(number, image, data.view_members[number], data.frc, remarks, _width(data)))
    return entries


def _entry(
    number: int,
    image: NDArray,
    members: int,
    curves: Mapping[int, FrcCurve],
    remarks: list[str],
    width_angstrom: float,
) -> GalleryEntry:
    bound = curves[number].bound_angstrom(width_angstrom) if number in curves else None
    return GalleryEntry(
        number, members, [(image, "average")], *resolution_of(number, curves), remarks=remarks, bound_angstrom=bound
    )


def _kind(data: ClassavgReportData) -> str:
    return f"{data.kind_of_average[0].upper()}{data.kind_of_average[1:]}"


def _width(data: ClassavgReportData) -> float:
    return data.box * data.pixel_size_angstrom


def _resolution_words(curves: Mapping[int, FrcCurve], width_angstrom: float) -> str:
    """Say what lengths below the pictures are, for a caption."""
    words = ""
    independent = [curve for curve in curves.values() if curve.independent]
    if any(curve.resolution_angstrom < NOT_RESOLVED_ANGSTROM for curve in independent):
        words += " Å: resolution at FRC 0.143 from independent halves."
    bounded = [curve for curve in independent if not curve.resolution_angstrom < NOT_RESOLVED_ANGSTROM]
    if any(curve.bound_angstrom(width_angstrom) is not None for curve in bounded):
        words += (
            " > Å: the halves agree no further than this, and as they share the detail that chose their members, the "
            "resolution may be worse."
        )
    return words


def _sizes(data: ClassavgReportData) -> str:
    numbers = sorted(data.class_members)
    counts = [data.class_members[number] for number in numbers]
    if len(numbers) < 2 or not sum(counts):
        return ""
    largest = numbers[int(np.argmax(counts))]
    chart = picture(
        charts.class_sizes(np.array(counts), numbers=numbers),
        "Class sizes",
        f"{len(numbers):,} {plural(len(numbers), 'class')}; largest: class {largest} with "
        f"{text_percent(max(counts), sum(counts))} of the particles.",
        "sizes follow how often a view occurs. One class that takes nearly all says that views were not told apart.",
    )
    return f'<div class="charts">{chart}</div>'
