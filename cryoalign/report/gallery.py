"""The gallery of classes: largest first (or best) under their own numbers, at most 400 on a page of bounded size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.figures import data_uri, display_tile, draw_bar, png_bytes, scale_bar_angstrom
from cryoalign.report.html import caption, cards, escape, tiles
from cryoalign.report.montage import MOST_CLASSES
from cryoalign.report.naming import CLASSES, Naming
from cryoalign.report.numbers import plural, text_number, text_percent
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM, FrcCurve

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
    number, members
        As in the STAR file.
    pictures
        (image (L, L) or None, label) each; with None the label says what is missing.
    resolution_angstrom
        999 = not resolved, None = not said.
    kind
        "independent", "frc_common_reference", or "" where there are no halves.
    remarks
        Further words for large pictures.
    bound_angstrom
        Where a class is not resolved because its halves share too much: no finer than this. None = not said.
    """

    number: int
    members: int
    pictures: Sequence[tuple[NDArray | None, str]]
    resolution_angstrom: float | None = None
    kind: str = ""
    remarks: Sequence[str] = ()
    bound_angstrom: float | None = None

    def resolution_words(self, *, short: bool = False) -> str:
        """Say the resolution, or why there is none; empty where nothing is known."""
        if self.kind == "frc_common_reference":
            return "shared ref." if short else "shared reference: no resolution"
        if self.resolution_angstrom is None:
            return ""
        if not self.resolution_angstrom < NOT_RESOLVED_ANGSTROM:
            if self.bound_angstrom is None:
                return "not resolved"
            return f"{'>' if short else 'no finer than'} {text_number(self.bound_angstrom)} Å"
        return f"{text_number(self.resolution_angstrom)} Å" + (
            " (independent halves)" if self.kind and not short else ""
        )


def resolution_of(
    number: int, curves: Mapping[int, FrcCurve], given: Mapping[int, float] | None = None
) -> tuple[float | None, str]:
    """Return (resolution or None, kind) of a class from its curve, else from what was given."""
    if number in curves:
        curve = curves[number]
        return (curve.resolution_angstrom if curve.independent else None), curve.kind
    return (given or {}).get(number), ""


def plan_tile(count: int, per_class: int, box: int) -> tuple[int, int]:
    """Return (side of a picture in pixels, classes that fit) for `count` classes of `per_class` pictures each."""
    count = min(count, MOST_CLASSES)
    side = int(np.sqrt(_PIXELS / max(1, count * per_class)))
    side = min(box, _MAX_TILE, max(_MIN_TILE, side))
    return side, min(count, _PIXELS // (side * side * per_class))


def gallery(
    entries: Sequence[GalleryEntry],
    width_angstrom: float,
    *,
    finding: str,
    aid: str,
    large_finding: str = "",
    circle_angstrom: float | None = None,
    naming: Naming = CLASSES,
) -> str:
    """Return all classes, largest first or as given, as HTML with one caption.

    Parameters
    ----------
    entries
        In any order, where `naming` sorts them by size.
    width_angstrom
        Width of every picture.
    finding, aid
        For the caption: what the pictures are, and how to read them.
    large_finding
        More for the caption, where pictures are large and carry their remarks.
    circle_angstrom
        Diameter of the mask, drawn on the first picture of large entries.
    naming
        What the classes are called, and how they are ordered.
    """
    if not entries:
        return ""
    ordered = sorted(entries, key=lambda entry: (-entry.members, entry.number)) if naming.by_size else list(entries)
    total, per_class = sum(entry.members for entry in ordered), max(len(entry.pictures) for entry in ordered)
    box = max((image.shape[-1] for entry in ordered for image, _ in entry.pictures if image is not None), default=1)
    side, fit = plan_tile(len(ordered), per_class, box)
    shown = ordered[:fit]
    first = f"{naming.first.capitalize()} {naming.word} first. " if len(ordered) > 1 else ""
    if fit < len(ordered):
        first = (
            f"The {fit} {naming.first} of {len(ordered):,} {naming.many(len(ordered))}, {naming.first} first; "
            f"{naming.stack} holds every average. "
        )
    if len(shown) <= LARGE:
        columns = _columns(len(shown), per_class)
        made = [_large(entry, total, width_angstrom, side, circle_angstrom, columns, naming) for entry in shown]
        body = cards(made, columns=columns)
        finding += large_finding
    else:
        bar = scale_bar_angstrom(width_angstrom)
        columns = 10 if per_class == 1 else 8
        body = cards(
            [_small(entry, side, bar / width_angstrom, naming) for entry in shown], columns=columns, small=True
        )
        first += f"Every picture is {text_number(width_angstrom)} Å wide, its white bar {bar:g} Å. "
    if any(entry.kind == "frc_common_reference" for entry in shown):
        finding += " Shared reference (frc_common_reference): the halves met, so they give no resolution."
    if len(shown) > LARGE:
        # Words below so many pictures would be far from the first.
        words = f'<figcaption class="above">{caption(first + finding, aid)}</figcaption>'
        return f"<figure>{words}{body}</figure>"
    return f"<figure>{body}<figcaption>{caption(first + finding, aid)}</figcaption></figure>"


def _columns(count: int, per_class: int) -> int:
    if per_class == 1:
        return 3 if count <= 3 else 4 if count <= 8 else 6
    return 2 if count <= 2 else 3 if count in (3, 6) else 4


def _large(
    entry: GalleryEntry,
    total: int,
    width_angstrom: float,
    side: int,
    circle: float | None,
    columns: int,
    naming: Naming,
) -> tuple[str, str, list[str]]:
    heading = f"{naming.name(entry.number)}: {entry.members:,} {plural(entry.members, 'particle')}"
    pictures = [(None if i is None else display_tile(i, side), label) for i, label in entry.pictures]
    svg = tiles(
        pictures,
        width_angstrom,
        description=f"{heading}, {', '.join(label for _, label in pictures)}",
        circle_angstrom=circle,
        font_size=4.2 * columns if len(pictures) > 1 else 3.2 * columns,
    )
    share = [text_percent(entry.members, total)] if entry.members and total and not naming.overlap else []
    return svg, heading, [*share, *filter(None, [entry.resolution_words()]), *entry.remarks]


def _small(entry: GalleryEntry, side: int, bar: float, naming: Naming) -> tuple[str, str, list[str]]:
    parts = []
    for image, label in entry.pictures:
        words = f"{naming.word} {entry.number}: {label}"
        if image is None:
            parts.append(f'<div title="{escape(words)}"></div>')
            continue
        pixels = display_tile(image, side)
        draw_bar(pixels, max(2, round(bar * pixels.shape[-1])))
        parts.append(f'<img src="{data_uri(png_bytes(pixels), "image/png")}" alt="{escape(words)}">')
    remarks = [f"{entry.members:,}", *filter(None, [entry.resolution_words(short=True)])]
    return f'<div class="pair">{"".join(parts)}</div>', f"{naming.word} {entry.number}", remarks
