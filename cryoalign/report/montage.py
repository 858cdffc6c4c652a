"""montage.png: the reference beside the average of every class, on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.figures import INK, MUTED, grey_levels, new_figure, png_bytes, resize, scale_bar_angstrom, style

_MARGIN, _GAP, _LABEL, _HEADER = 24, 20, 42, 66


@dataclass(frozen=True)
class SheetPlan:
    """Where things go on a sheet, in pixels; `tile` is the side of one picture."""

    columns: int
    rows: int
    tile: int
    width: int
    height: int

    def corner(self, index: int) -> tuple[int, int]:
        """Return (x, y) of the upper left corner of pair `index`."""
        row, column = divmod(index, self.columns)
        x = _MARGIN + column * (2 * self.tile + 4 + _GAP)
        return x, _HEADER + row * (self.tile + _LABEL + _GAP)


def plan_sheet(pairs: int) -> SheetPlan:
    """Choose a layout for 1 to a few hundred pairs: at most about 2400 pixels wide, nearly 4:3, tiles as big as fit."""
    tile = 300 if pairs <= 2 else 230 if pairs <= 6 else 180 if pairs <= 20 else 130 if pairs <= 60 else 104
    pair_width, pair_height = 2 * tile + 4 + _GAP, tile + _LABEL + _GAP
    even = np.sqrt(pairs * pair_height / pair_width * 4 / 3)
    columns = int(np.clip(np.ceil(even - 0.25), 1, min(pairs, max(1, 2400 // pair_width))))
    rows = -(-pairs // columns)
    return SheetPlan(
        columns,
        rows,
        tile,
        # Never narrower than the heading.
        max(700, 2 * _MARGIN + columns * pair_width - _GAP),
        _HEADER + rows * pair_height + 4,
    )


def draw_montage(
    references: Sequence[NDArray],
    averages: Sequence[NDArray | None],
    labels: Sequence[tuple[str, str]],
    *,
    heading: str,
    legend: str,
    pixel_size_angstrom: float,
    missing: Mapping[int, str] | None = None,
) -> bytes:
    """Draw pairs of pictures on one sheet.

    Parameters
    ----------
    references, averages
        Images (L, L), row 0 on top; None leaves an empty square.
    labels
        Two lines of text per pair.
    heading
        One line for the top of the sheet.
    legend
        One line that says what the labels mean.
    pixel_size_angstrom
        Of all images.
    missing
        Index of a pair without an average -> what its empty square says (else "no members").

    Returns
    -------
    bytes
        A PNG file; equal input gives equal bytes.
    """
    plan = plan_sheet(len(references))
    sheet = np.full((plan.height, plan.width), 255, np.uint8)
    width_angstrom = references[0].shape[-1] * pixel_size_angstrom
    bar = scale_bar_angstrom(width_angstrom)
    texts: list[tuple[float, float, str, dict]] = [
        (_MARGIN, 24, heading, {"fontsize": 15, "fontweight": "bold"}),
        (
            _MARGIN,
            46,
            f"Left: reference. Right: average. White bar: {bar:g} Å. {legend}",
            {"fontsize": 12, "color": MUTED},
        ),
    ]
    for index, (reference, average, lines) in enumerate(zip(references, averages, labels, strict=True)):
        x, y = plan.corner(index)
        for image, left in ((reference, x), (average, x + plan.tile + 4)):
            square = sheet[y : y + plan.tile, left : left + plan.tile]
            if image is None:
                square[:] = 240
                words = (missing or {}).get(index, "no members")
                middle = {"fontsize": 12, "color": MUTED, "ha": "center"}
                texts.append((left + plan.tile / 2, y + plan.tile / 2, words, middle))
                continue
            square[:] = grey_levels(resize(image, plan.tile))
            _draw_bar(square, round(plan.tile * bar / width_angstrom))
        texts.append((x, y + plan.tile + 12, lines[0], {"fontsize": 12, "fontweight": "bold"}))
        texts.append((x, y + plan.tile + 29, lines[1], {"fontsize": 11, "color": MUTED}))
    return _encode(sheet, texts)


def _draw_bar(square: NDArray[np.uint8], length: int) -> None:
    """Draw a white scale bar with a dark rim into the lower left corner."""
    size = len(square)
    thick, margin = max(3, size // 60), max(6, size // 24)
    top, left = size - margin - thick, margin
    square[top - 1 : top + thick + 1, left - 1 : left + length + 1] = 30
    square[top : top + thick, left : left + length] = 255


def _encode(sheet: NDArray[np.uint8], texts: Sequence[tuple[float, float, str, dict]]) -> bytes:
    """Write words over the sheet and return it as PNG; words are drawn apart, so pictures are never resampled."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    height, width = sheet.shape
    with style():
        figure = new_figure(width, height)
        for x, y, words, options in texts:
            figure.text(x / width, 1 - y / height, words, va="center", **({"color": INK} | options))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        ink = np.asarray(canvas.buffer_rgba())[..., 1]
    return png_bytes(np.minimum(sheet, ink))
