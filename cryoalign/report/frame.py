"""Curves and words written straight into the SVG of axes that were drawn before: many charts with one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.figures import FONTS


@dataclass(frozen=True)
class Frame:
    """Where axes lie in a picture, in pixels, and the numbers at their ends; x begins at 0.

    Parameters
    ----------
    width, height
        Of the picture.
    left, bottom, right, top
        Margins of the axes.
    highest_x
        Right end of the axes.
    low, high
        Lower and upper end of the axes.
    """

    width: float
    height: float
    left: float
    bottom: float
    right: float
    top: float
    highest_x: float
    low: float
    high: float

    def place(self, x: NDArray | float, y: NDArray | float) -> tuple[NDArray, NDArray]:
        """Return pixels from the left and from the top."""
        across = self.left + np.asarray(x) / self.highest_x * (self.width - self.left - self.right)
        up = (np.asarray(y) - self.low) / (self.high - self.low) * (self.height - self.bottom - self.top)
        return across, self.height - self.bottom - up

    def line(self, x: NDArray, y: NDArray, colour: str, width: float, *, dashed: bool = False) -> str:
        """Return a curve as SVG, a dot where it has one point only; empty where it has none."""
        if not len(x):
            return ""
        points = np.stack(self.place(x, y), axis=1)
        if len(points) == 1:
            across, down = points[0]
            return f'<circle cx="{across:.2f}" cy="{down:.2f}" r="2" fill="{colour}"/>'
        way = " ".join(f"{across:.2f},{down:.2f}" for across, down in points.tolist())
        dashes = f' stroke-dasharray="{4 * width:g} {2.5 * width:g}"' if dashed else ""
        return f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'

    def text(self, x: float, y: float, words: str, colour: str, *, end: bool = False, size: float = 11) -> str:
        """Return words as SVG that begin at (x, y), or `end` there."""
        across, down = self.place(x, y)
        anchor = "end" if end else "start"
        return (
            f'<text x="{across:.2f}" y="{down:.2f}" fill="{colour}" text-anchor="{anchor}" '
            f'style="font: {size:g}px {FONTS}">{words}</text>'
        )
