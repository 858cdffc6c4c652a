"""Lines of words as pictures, for sheets that carry hundreds of them: set by FreeType, without a figure."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font


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
    flags = getattr(ft2font, "LoadFlags", None)  # matplotlib below 3.10 has numbers
    # Hinting takes five times as long as all the rest.
    font.set_text(words, 0.0, flags=ft2font.LOAD_NO_HINTING if flags is None else flags.NO_HINTING)
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
