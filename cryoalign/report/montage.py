"""montage.png: the pictures of every class side by side, such as reference and average, on one sheet.

Its hundreds of words are set by FreeType, without a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.figures import INK, MUTED, draw_bar, grey_levels, png_bytes, resize, scale_bar_angstrom

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

_MARGIN, _GAP, _LABEL, _HEADER, _LINE = 24, 20, 42, 66, 17
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
    pictures: Sequence[Sequence[tuple[NDArray | None, str]]],
    labels: Sequence[tuple[str, str]],
    *,
    heading: str,
    legend: str,
    pixel_size_angstrom: float,
) -> bytes:
    """Draw the pictures of classes on one sheet.

    Parameters
    ----------
    pictures
        For each class, equally many images (L, L), row 0 on top; None leaves an empty square, which its words fill.
    labels
        Two lines of text per class.
    heading
        One line for the top of the sheet.
    legend
        Says what the pictures are and what the labels mean; wrapped.
    pixel_size_angstrom
        Of all images.

    Returns
    -------
    bytes
        A PNG file; equal input gives equal bytes.
    """
    box = next((image.shape[-1] for group in pictures for image, _ in group if image is not None), 1)
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
        for place, (image, words) in enumerate(group):
            left = x + place * (plan.tile + 4)
            square = sheet[y : y + plan.tile, left : left + plan.tile]
            if image is None:
                square[:] = 240
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


def write_line(
    sheet: NDArray[np.uint8], x: float, y: float, words: str, *, size: int, grey: int, bold: bool = False,
    centred: bool = False,
) -> None:  # fmt: skip
    """Write one line of words over a grey picture, in place; what goes beyond the picture is cut off.

    Parameters
    ----------
    sheet
        (h, w), 255 = white.
    x, y
        Left end of the line (its middle where `centred`) and half the height of its capitals, in pixels.
    words
        The line.
    size
        Height of the type in pixels.
    grey
        Of the letters, 0 = black.
    """
    if not words.strip():
        return
    cover, descent = _line(words, size, bold)
    height, width = cover.shape
    # Bitmaps end one pixel below the line's own descent; capitals stand on the base line.
    top = round(y + 0.36 * size + descent) + 1 - height
    left = round(x - width / 2 if centred else x)
    rows, columns = slice(max(0, -top), sheet.shape[0] - top), slice(max(0, -left), sheet.shape[1] - left)
    cover = cover[rows, columns]
    place = sheet[max(0, top) : top + height, max(0, left) : left + width]
    ink = 255 - (cover.astype(np.uint16) * (255 - grey) + 127) // 255
    np.minimum(place, ink.astype(np.uint8), out=place)


@lru_cache(maxsize=64)  # the same few words stand below many pictures
def _line(words: str, size: int, bold: bool) -> tuple[NDArray[np.uint8], float]:
    """Return how much of each pixel a line covers, 255 = all, and how far it reaches below the base line."""
    from matplotlib import ft2font

    font = _font(size, bold)
    # matplotlib below 3.10 has numbers.
    names: Any = getattr(ft2font, "LoadFlags", ft2font)
    # Hinting takes five times as long as all the rest.
    font.set_text(words, 0.0, flags=getattr(names, "NO_HINTING", None) or names.LOAD_NO_HINTING)
    font.draw_glyphs_to_bitmap(antialiased=True)
    return np.array(font.get_image(), np.uint8), font.get_descent() / 64


@lru_cache(maxsize=8)
def _font(size: int, bold: bool) -> FT2Font:
    # The file itself: a search for a font reads the list of all that are installed.
    import matplotlib
    from matplotlib.ft2font import FT2Font

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name))
    font.set_size(size, 72)
    return font
