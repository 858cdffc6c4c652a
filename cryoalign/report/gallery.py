"""The gallery of classes: largest first (or best) under their own numbers, at most 400 on a page of bounded size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.report import charts
from cryoalign.report.classes import Classes
from cryoalign.report.figures import data_uri, display_tile, draw_bar, png_bytes, scale_bar_angstrom
from cryoalign.report.html import caption, cards, escape, picture, tiles
from cryoalign.report.montage import draw_montage
from cryoalign.report.numbers import plural, text_number, text_percent

MOST_CLASSES = 400
"""More classes would make a file of tens of megabytes that nobody can look through."""
LARGE = 24
"""Up to so many classes, pictures are large and labelled."""
_PIXELS = 1_100_000
"""Pixels of all pictures together; at worst they take 1.5 MB of a page."""
_MAX_TILE, _MIN_TILE = 256, 36


@dataclass(frozen=True, eq=False)
class GalleryEntry:
    """One class.

    Parameters
    ----------
    number
        As in the STAR file.
    pictures
        (image (L, L) or None, label) each; with None the label says what is missing.
    remarks, sheet_remarks
        Further words for large pictures, and for the sheet.
    """

    number: int
    pictures: Sequence[tuple[NDArray | None, str]]
    remarks: Sequence[str] = ()
    sheet_remarks: Sequence[str] = ()


def plan_tile(count: int, per_class: int, box: int) -> tuple[int, int]:
    """Return (side of a picture in pixels, classes that fit) for `count` classes of `per_class` pictures each."""
    count = min(count, MOST_CLASSES)
    side = int(np.sqrt(_PIXELS / max(1, count * per_class)))
    side = min(box, _MAX_TILE, max(_MIN_TILE, side))
    return side, min(count, _PIXELS // (side * side * per_class))


def gallery(
    classes: Classes, entries: Sequence[GalleryEntry], *, finding: str, aid: str, large_finding: str = ""
) -> str:
    """Return all classes, largest first or as given, as HTML with one caption.

    Parameters
    ----------
    classes
        What the entries are of.
    entries
        In any order, where classes stand by their size.
    finding, aid
        For the caption: what the pictures are, and how to read them.
    large_finding
        More for the caption, where pictures are large and carry their remarks.
    """
    if not entries:
        return ""
    naming, width_angstrom = classes.naming, classes.width_angstrom
    ordered = list(entries)
    if naming.by_size:
        ordered.sort(key=lambda entry: (-classes.members[entry.number], entry.number))
    per_class = max(len(entry.pictures) for entry in ordered)
    side, fit = plan_tile(len(ordered), per_class, classes.box)
    shown = ordered[:fit]
    first = f"{naming.first.capitalize()} {naming.word} first. " if len(ordered) > 1 else ""
    if fit < len(ordered):
        first = (
            f"The {fit} {naming.first} of {len(ordered):,} {naming.many(len(ordered))}, {naming.first} first; "
            f"{naming.stack} holds every average. "
        )
    finding += classes.legend
    if len(shown) <= LARGE:
        columns = _columns(len(shown), per_class)
        body = cards([_large(classes, entry, side, columns) for entry in shown], columns=columns)
        finding += large_finding
    else:
        bar = scale_bar_angstrom(width_angstrom)
        columns = 10 if per_class == 1 else 8
        body = cards(
            [_small(classes, entry, side, bar / width_angstrom) for entry in shown], columns=columns, small=True
        )
        first += f"Every picture is {text_number(width_angstrom)} Å wide, its white bar {bar:g} Å. "
    words = caption(first + finding + classes.shared_words, aid)
    if len(shown) > LARGE:
        # Words below so many pictures would be far from the first.
        return f'<figure><figcaption class="above">{words}</figcaption>{body}</figure>'
    return f"<figure>{body}<figcaption>{words}</figcaption></figure>"


def class_sizes(classes: Classes, aid: str) -> str:
    """Return a picture of the sizes of classes, as HTML; empty where there is but one. `aid` says how to read it."""
    numbers = sorted(classes.members)
    if len(numbers) < 2:
        return ""
    counts = np.array([classes.members[number] for number in numbers])
    # Numbers with wide gaps would leave bars too thin to see: then classes stand by size.
    if numbers[-1] <= 3 * len(numbers):
        chart = charts.class_sizes(counts, numbers=numbers)
    else:
        chart = charts.class_sizes(np.sort(counts)[::-1], x_label="rank of the class by size")
    largest, empty = int(np.argmax(counts)), int(np.count_nonzero(counts == 0))
    finding = (
        f"Largest: class {numbers[largest]} with {text_percent(int(counts[largest]), int(counts.sum()))}. "
        f"{empty or 'No'} {plural(empty, 'class')} without members."
    )
    return picture(chart, "Class sizes", finding, aid)


def class_sheet(classes: Classes, entries: Sequence[GalleryEntry], heading: str, legend: str) -> bytes:
    """Return montage.png: the classes as given, or the 400 largest or best of very many.

    Parameters
    ----------
    classes, entries
        As in `gallery`.
    heading, legend
        The title of the page, and what the pictures are.
    """
    naming = classes.naming
    left_out, shown = "", list(entries)
    if len(entries) > MOST_CLASSES:
        if naming.by_size:
            shown.sort(key=lambda entry: -classes.members[entry.number])
        shown = shown[:MOST_CLASSES]
        left_out = (
            f"The {MOST_CLASSES} {naming.first} {naming.many(2)}, {naming.first} first; {len(entries) - len(shown):,} "
            f"more are not shown, {naming.stack} has them. "
        )
    labels = []
    for entry in shown:
        remarks = [*entry.sheet_remarks, classes.resolution_words(entry.number, short=True)]
        heads = f"{naming.name(entry.number)}: {classes.members[entry.number]:,}"
        labels.append((heads, " · ".join(filter(None, remarks))))
    return draw_montage(
        [entry.pictures for entry in shown], labels, heading=heading, legend=left_out + legend + classes.legend,
        pixel_size_angstrom=classes.pixel_size_angstrom,
    )  # fmt: skip


def _columns(count: int, per_class: int) -> int:
    if per_class == 1:
        return 3 if count <= 3 else 4 if count <= 8 else 6
    return 2 if count <= 2 else 3 if count in (3, 6) else 4


def _large(classes: Classes, entry: GalleryEntry, side: int, columns: int) -> tuple[str, str, list[str]]:
    count, naming = classes.members[entry.number], classes.naming
    heading = f"{naming.name(entry.number)}: {count:,} {plural(count, 'particle')}"
    pictures = [(None if i is None else display_tile(i, side), label) for i, label in entry.pictures]
    svg = tiles(
        pictures,
        classes.width_angstrom,
        description=f"{heading}, {', '.join(label for _, label in pictures)}",
        circle_angstrom=classes.mask_diameter_angstrom,
        font_size=4.2 * columns if len(pictures) > 1 else 3.2 * columns,
    )
    share = [text_percent(count, sum(classes.members.values()))] if count and not naming.overlap else []
    return svg, heading, [*share, *filter(None, [classes.resolution_words(entry.number)]), *entry.remarks]


def _small(classes: Classes, entry: GalleryEntry, side: int, bar: float) -> tuple[str, str, list[str]]:
    parts, name = [], f"{classes.naming.word} {entry.number}"
    for image, label in entry.pictures:
        words = f"{name}: {label}"
        if image is None:
            parts.append(f'<div title="{escape(words)}"></div>')
            continue
        pixels = display_tile(image, side)
        draw_bar(pixels, max(2, round(bar * pixels.shape[-1])))
        parts.append(f'<img src="{data_uri(png_bytes(pixels), "image/png")}" alt="{escape(words)}">')
    remarks = [
        f"{classes.members[entry.number]:,}",
        *filter(None, [classes.resolution_words(entry.number, short=True)]),
    ]
    return f'<div class="pair">{"".join(parts)}</div>', name, remarks
