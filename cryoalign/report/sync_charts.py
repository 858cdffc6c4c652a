"""Charts of a synchronised graph: how far edges are from the angles, and the eigenvalues of each frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cryoalign.report.axes import decade_axis, finish_axes, ticks
from cryoalign.report.charts import HEIGHT, WIDTH
from cryoalign.report.figures import BLUE, INK, MUTED, new_axes, new_figure, style, svg_uri


def residual_density(centres_deg: NDArray, density: NDArray) -> str:
    """Draw the density of residuals (B,) per degree, as a multiple of the uniform one; peaked ones by powers of ten."""
    ratio = np.asarray(density, np.float64) * 360
    step = 360 / max(1, len(ratio))
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = new_axes(figure, left=66, bottom=48, right=14, top=33)
        edges = np.append(np.asarray(centres_deg) - step / 2, np.asarray(centres_deg)[-1:] + step / 2)
        shown = np.maximum(ratio, 1e-3)
        steep = float(shown.max()) > 10 * float(np.median(shown))
        low, high = (0.8 * float(shown.min()), 1.5 * float(shown.max())) if steep else (0.0, 1.1 * float(shown.max()))
        if steep:
            axes.set_yscale("log")
        axes.stairs(shown, edges, baseline=low, fill=True, color=BLUE, alpha=0.82)
        axes.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(1, 1.02, "dashed: as chance would", transform=axes.transAxes, ha="right", color=MUTED, fontsize=11)
        axes.set_xlim(-180, 180)
        axes.set_xticks([-180, -90, 0, 90, 180], ["−180", "−90", "0", "90", "180"])
        axes.set_ylim(low, high)
        finish_axes(axes, "edge angle less what its nodes say (degrees)", "density, by the uniform one")
        if steep:
            decade_axis(axes.yaxis)
        return svg_uri(figure)


def eigenvalues(values: Mapping[int, NDArray]) -> str:
    """Draw the largest eigenvalues of each frequency: the first filled, those below it hollow."""
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = new_axes(figure, left=66, bottom=48, right=14, top=33)
        frequencies = sorted(values)
        first = [float(values[k][0]) for k in frequencies]
        axes.plot(frequencies, first, "o-", color=BLUE, linewidth=1, markersize=6)
        for k in frequencies:
            below = np.asarray(values[k][1:], np.float64)
            axes.plot(np.full(len(below), k), below, "o", color="none", markeredgecolor=MUTED, markersize=5)
        axes.text(1, 1.02, "filled: the largest; hollow: the next", transform=axes.transAxes, ha="right", color=MUTED,
                  fontsize=11)  # fmt: skip
        axes.set_ylim(min(0.0, *(float(np.min(v)) for v in values.values())), 1.08 * max(max(first), 1e-9))
        axes.set_xlim(min(frequencies) - 0.6, max(frequencies) + 0.6)
        ticks(axes.xaxis, integer=True, min_n_ticks=1)
        finish_axes(axes, "frequency k", "eigenvalue")
        return svg_uri(figure)
