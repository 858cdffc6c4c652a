"""montage.png: the pictures of every class side by side, such as reference and average, on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.figures import INK, MUTED, draw_bar, grey_levels, png_bytes, resize, scale_bar_angstrom
from cryoalign.report.lettering import write_line

_MARGIN, _GAP, _LABEL, _HEADER, _LINE = 24, 20, 42, 66, 17
MOST_CLASSES = 400
"""More classes would make a file of tens of megabytes that nobody can look through."""
_LETTER = 7.2
"""Mean width of a letter of the legend, rather too wide."""


@dataclass(frozen=True)
class SheetPlan:
    """Where things go on a sheet, in pixels; `tile` is the side of one picture, `per_class` pictures stand together."""

    columns: int
    rows: int
    tile: int
    width: int
    height: int
    per_class: int = 2
    legend_lines: int = 1

    @property
    def group_width(self) -> int:
        """Width of the pictures of one class."""
        return self.per_class * (self.tile + 4) - 4

    @property
    def header(self) -> int:
        """Height of heading and legend."""
        return _HEADER + _LINE * (self.legend_lines - 1)

    def corner(self, index: int) -> tuple[int, int]:
        """Return (x, y) of the upper left corner of class `index`."""
        row, column = divmod(index, self.columns)
        return _MARGIN + column * (self.group_width + _GAP), self.header + row * (self.tile + _LABEL + _GAP)


def sheet_classes(members: Sequence[int]) -> tuple[list[int], str]:
    """Choose what a sheet shows: every class as given, or the 400 largest, largest first.

    Returns
    -------
    indices, words
        Places of the classes, and what the legend says of those left out.
    """
    if len(members) <= MOST_CLASSES:
        return list(range(len(members))), ""
    order = np.argsort(-np.asarray(members, np.int64), kind="stable")[:MOST_CLASSES]
    others = f"{len(members) - MOST_CLASSES:,} more are not shown, averages.mrcs has them"
    return order.tolist(), f"The {MOST_CLASSES} largest classes, largest first; {others}. "


def plan_sheet(classes: int, per_class: int = 2, legend: str = "") -> SheetPlan:
    """Choose a layout for 1 to some hundred classes: at most about 2400 pixels wide, nearly 4:3, large tiles."""
    tile = 300 if classes <= 2 else 230 if classes <= 6 else 180 if classes <= 20 else 130 if classes <= 60 else 104
    if per_class == 1:
        tile = max(tile, 140 if classes <= 100 else 112)  # as wide as its words
    group_width, group_height = per_class * (tile + 4) - 4 + _GAP, tile + _LABEL + _GAP
    even = np.sqrt(classes * group_height / group_width * 4 / 3)
    columns = int(np.clip(np.ceil(even - 0.25), 1, min(classes, max(1, 2400 // group_width))))
    rows = -(-classes // columns)
    # Never narrower than the heading.
    width = max(700, 2 * _MARGIN + columns * group_width - _GAP)
    lines = max(1, len(_wrapped(legend, width)))
    height = _HEADER + _LINE * (lines - 1) + rows * group_height + 4
    return SheetPlan(columns, rows, tile, width, height, per_class, lines)


def _wrapped(legend: str, width: int) -> list[str]:
    return wrap(legend, int((width - 2 * _MARGIN) / _LETTER))


def draw_montage(
    pictures: Sequence[Sequence[NDArray | None]],
    labels: Sequence[tuple[str, str]],
    *,
    heading: str,
    legend: str,
    pixel_size_angstrom: float,
    missing: Mapping[int, str] | None = None,
) -> bytes:
    """Draw the pictures of classes on one sheet.

    Parameters
    ----------
    pictures
        For each class, equally many images (L, L), row 0 on top; None leaves an empty square.
    labels
        Two lines of text per class.
    heading
        One line for the top of the sheet.
    legend
        Says what the pictures are and what the labels mean; wrapped.
    pixel_size_angstrom
        Of all images.
    missing
        Index of a class -> what its empty square says (else "no members").

    Returns
    -------
    bytes
        A PNG file; equal input gives equal bytes.
    """
    box = next((image.shape[-1] for group in pictures for image in group if image is not None), 1)
    width_angstrom = box * pixel_size_angstrom
    bar = scale_bar_angstrom(width_angstrom)
    legend = f"White bar: {bar:g} Å. {legend}"
    plan = plan_sheet(len(pictures), len(pictures[0]), legend)
    sheet = np.full((plan.height, plan.width), 255, np.uint8)
    ink, muted = _grey(INK), _grey(MUTED)
    write_line(sheet, _MARGIN, 24, heading, size=15, grey=ink, bold=True)
    for line, words in enumerate(_wrapped(legend, plan.width)):
        write_line(sheet, _MARGIN, 46 + _LINE * line, words, size=12, grey=muted)
    for index, (group, lines) in enumerate(zip(pictures, labels, strict=True)):
        x, y = plan.corner(index)
        for place, image in enumerate(group):
            left = x + place * (plan.tile + 4)
            square = sheet[y : y + plan.tile, left : left + plan.tile]
            if image is None:
                square[:] = 240
                words = (missing or {}).get(index, "no members")
                write_line(square, plan.tile / 2, plan.tile / 2, words, size=12, grey=muted, centred=True)
                continue
            square[:] = grey_levels(resize(image, plan.tile))
            draw_bar(square, round(plan.tile * bar / width_angstrom))
        write_line(sheet, x, y + plan.tile + 12, lines[0], size=12, grey=ink, bold=True)
        write_line(sheet, x, y + plan.tile + 29, lines[1], size=11, grey=muted)
    return png_bytes(sheet, quick=True)


def _grey(colour: str) -> int:
    """Return the green part of a colour: a sheet has no other."""
    return int(colour[3:5], 16)
