"""Pictures of Fourier ring correlations: one class, all classes, SSNR, resolution against size.

Rings on which both halves were aligned to the same thing are drawn grey and dashed, and never count as a resolution.
Charts of single classes have their frame in common: curves are written straight into the SVG of axes drawn before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.frc import NO_RESOLUTION_ANGSTROM, THRESHOLD, THRESHOLD_HALF, ClassFrc
from cryoalign.report.axes import decade_axis, finish_axes, legend_below, plain_log_axis, resolution_axis
from cryoalign.report.charts import NARROW, WIDTH
from cryoalign.report.figures import (
    BLUE,
    CYCLE,
    FONTS,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RULE,
    VERMILLION,
    data_uri,
    new_axes,
    new_figure,
    style,
    svg_text,
    svg_uri,
)
from cryoalign.report.numbers import plural, text_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SSNR_FLOOR = 0.01
"""What lies below, drawn at the floor, says no more than the floor."""
_HEIGHT, _MARGINS, _HIGHEST = 320, (50, 88, 42, 50), 1.3
"""Of pictures, in pixels; of charts of FRC: left, bottom, right, top in pixels, and the upper end of the axis."""
_DASHED, _DOTTED = (0, (4, 2.5)), (0, (1, 1.6))
_INDEPENDENT, _SHARED, _NOISE = "independent halves", "shared reference: no evidence", "noise alone, 3 sigma"


@dataclass(frozen=True)
class Frame:
    """The axes of an FRC as they lie in its picture.

    Parameters
    ----------
    highest_x
        Right end of the axes in 1/A; they begin at 0.
    low
        Lower end of the axes.
    """

    highest_x: float
    low: float

    def place(self, x: NDArray | float, y: NDArray | float) -> tuple[NDArray, NDArray]:
        """Return pixels from the left and from the top."""
        left, bottom, right, top = _MARGINS
        across = left + np.asarray(x) / self.highest_x * (NARROW - left - right)
        up = (np.asarray(y) - self.low) / (_HIGHEST - self.low) * (_HEIGHT - bottom - top)
        return across, _HEIGHT - bottom - up

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

    def text(self, x: float, y: float, words: str, colour: str, *, end: bool = False) -> str:
        """Return words as SVG that begin at (x, y), or `end` there."""
        across, down = self.place(x, y)
        anchor = "end" if end else "start"
        return (
            f'<text x="{across:.2f}" y="{down:.2f}" fill="{colour}" text-anchor="{anchor}" '
            f'style="font: 11px {FONTS}">{words}</text>'
        )


def ring_frequencies(rings: int, width_angstrom: float) -> NDArray[np.float64]:
    """Return the spatial frequency of rings 0 .. rings - 1 in 1/A."""
    return np.arange(rings) / width_angstrom


def frc_chart(curve: ClassFrc, width_angstrom: float) -> str:
    """Draw the FRC of one class with its noise curve, thresholds and resolutions."""
    frequency = ring_frequencies(len(curve.frc), width_angstrom)
    frc = np.nan_to_num(np.asarray(curve.frc, np.float64))
    frame = Frame(float(frequency[-1]), _lowest(frc[1:]))
    ring = np.arange(len(frequency))
    shared = (ring >= 1) & (ring <= curve.shared_ring)
    # The step from the last shared ring to the first independent one belongs to neither: it is drawn as shared.
    joined = shared | (ring == curve.shared_ring + 1) if shared.any() else shared
    own = ring > curve.shared_ring
    marks = [
        frame.line(frequency[joined], frc[joined], MUTED, 1.6, dashed=True),
        frame.line(frequency[own], frc[own], BLUE, 2),
    ]
    if curve.independent:
        marks += _resolutions(frame, curve)
    noise = np.asarray(curve.noise_curve, np.float64)
    drawn = _frc_frame(frame, int(curve.shared_ring), curve.independent, noise.tobytes())
    return data_uri(drawn.replace("</svg>", f"<g>{''.join(marks)}</g></svg>").encode("utf-8"), "image/svg+xml")


@lru_cache(maxsize=4)  # most curves of a page have all in common but the curve
def _frc_frame(frame: Frame, shared_ring: int, independent: bool, noise: bytes) -> str:
    """Draw everything of a chart but the curve and its resolutions, as an SVG element."""
    curve = np.frombuffer(noise)
    frequency = np.linspace(0, frame.highest_x, len(curve))
    ring = np.arange(len(curve))
    with style():
        figure = new_figure(NARROW, _HEIGHT)
        axes = _frc_axes(figure, frequency, np.full(1, frame.low), apart=0.14)
        axes.set_ylim(frame.low, _HIGHEST)
        if shared_ring > 0:
            axes.plot([], [], color=MUTED, label=_SHARED, linestyle=_DASHED, linewidth=1.6)
            axes.axvspan(0, frequency[min(shared_ring, ring[-1])], color=RULE, alpha=0.45, linewidth=0)
        if independent:
            axes.plot([], [], color=BLUE, label=_INDEPENDENT, linewidth=2)
        else:
            _no_resolution(axes)
        _line(axes, frequency, curve, ring >= 1, ORANGE, _NOISE, linestyle=_DOTTED, linewidth=1.6)
        legend_below(axes)
        return svg_text(figure)


def frc_summary(curves: Sequence[ClassFrc], width_angstrom: float, *, word: str = "class") -> str:
    """Draw the FRC of many classes: median and the range of the middle 80 percent, shared and independent apart."""
    frc = np.array([curve.frc for curve in curves], np.float64)
    ring = np.arange(frc.shape[1])
    frequency = ring_frequencies(frc.shape[1], width_angstrom)
    last_shared = np.array([curve.shared_ring for curve in curves])[:, None]
    with style():
        figure = new_figure(WIDTH, _HEIGHT)
        axes = _frc_axes(figure, frequency, frc[:, 1:], apart=1 / 12)
        for inside, colour, label, options in (
            (ring <= last_shared, MUTED, _SHARED, {"linestyle": _DASHED, "linewidth": 1.6}),
            (ring > last_shared, BLUE, _INDEPENDENT, {"linewidth": 2}),
        ):
            there = inside.any(axis=0) & (ring >= 1)
            if not there.any():
                continue
            levels = np.full((3, len(ring)), np.nan)
            for k in np.flatnonzero(there):
                levels[:, k] = np.percentile(frc[inside[:, k], k], (10, 50, 90))
            axes.fill_between(frequency, levels[0], levels[2], color=colour, alpha=0.18, linewidth=0)
            _line(axes, frequency, levels[1], there, colour, label, **options)
        noise = np.median([curve.noise_curve for curve in curves], axis=0)
        _line(axes, frequency, noise, ring >= 1, ORANGE, _NOISE, linestyle=_DOTTED, linewidth=1.6)
        if not any(curve.independent for curve in curves):
            _no_resolution(axes)
        axes.text(0.99, 0.88, f"line: median; band: 80 % of {plural(2, word)}", transform=axes.transAxes, **_SMALL)
        legend_below(axes)
        return svg_uri(figure)


def ssnr_chart(curves: Mapping[int, ClassFrc], width_angstrom: float, *, word: str = "class") -> str:
    """Draw the SSNR of the full average of at most six classes (or what `word` calls them) on a logarithmic scale.

    Shared rings are dashed; what follows the first fall of the FRC below its noise curve is pale, as it is chance.
    """
    with style():
        figure = new_figure(WIDTH, _HEIGHT)
        axes = new_axes(figure, left=66, bottom=74, right=16, top=52)
        highest, frequency = 10.0, np.zeros(1)
        for colour, (number, curve) in zip(CYCLE, curves.items(), strict=False):
            frequency = ring_frequencies(len(curve.ssnr), width_angstrom)
            ring = np.arange(len(frequency))
            ssnr = np.maximum(np.nan_to_num(curve.ssnr, nan=0.0, posinf=0.0, neginf=0.0), SSNR_FLOOR)
            own = ring > curve.shared_ring
            fallen = np.flatnonzero((ring > max(curve.shared_ring, 1)) & (curve.frc < curve.noise_curve))
            end = fallen[0] if len(fallen) else len(ring)
            shared = (ring >= 1) & (ring <= curve.shared_ring + 1)
            if curve.shared_ring > 0:
                _line(axes, frequency, ssnr, shared, colour, None, linestyle=_DASHED, linewidth=1.4)
            _line(axes, frequency, ssnr, own & (ring >= max(1, end - 1)), colour, None, linewidth=0.9, alpha=0.3)
            _line(axes, frequency, ssnr, own & (ring >= 1) & (ring <= end), colour, None, linewidth=1.9)
            axes.plot([], [], color=colour, label=f"{word} {number}", linestyle="-" if curve.independent else _DASHED)
            highest = max(highest, float(ssnr[1:].max()))
        axes.set_yscale("log")
        decade_axis(axes.yaxis)
        axes.axhline(1.0, color=INK, linewidth=1, linestyle=_DASHED)
        axes.set_ylim(SSNR_FLOOR, highest * 2)
        axes.set_xlim(0, frequency[-1] or 1.0)
        finish_axes(axes, "spatial frequency (1/Å)", "SSNR (power ratio, no unit)")
        resolution_axis(axes, float(frequency[-1]) or 1.0)
        legend_below(axes)
        return svg_uri(figure)


def resolution_by_size(members: Sequence[int], resolution_angstrom: Sequence[float], *, word: str = "class") -> str:
    """Draw the resolution of each class against its size; classes that are not resolved stand on top as crosses."""
    size, length = np.asarray(members, np.float64), np.asarray(resolution_angstrom, np.float64)
    known = length < NO_RESOLUTION_ANGSTROM
    with style():
        figure = new_figure(WIDTH, _HEIGHT)
        axes = new_axes(figure, left=66, bottom=74, right=16, top=14)
        top = 1.25 * float(length[known].max(initial=10.0))
        axes.scatter(
            size[known], length[known], s=26, color=BLUE, alpha=0.65, linewidths=0, label=f"resolved ({THRESHOLD:g})"
        )
        if not known.all():
            level = np.full(np.count_nonzero(~known), 0.94 * top)
            axes.scatter(size[~known], level, s=30, marker="x", color=VERMILLION, linewidths=1.4, label="not resolved")
        axes.set_xscale("log")
        plain_log_axis(axes.xaxis, size)
        axes.set_ylim(0, top)
        finish_axes(axes, f"images in the {word}", "resolution (Å), smaller is finer")
        legend_below(axes)
        return svg_uri(figure)


_SMALL: dict[str, Any] = {"ha": "right", "va": "top", "color": MUTED, "fontsize": 11}


def _lowest(frc: NDArray) -> float:
    """Return the lower end of the axis, in steps of a tenth from -0.3 on."""
    return max(-1.0, min(-0.3, float(np.floor(10 * np.nanmin(frc, initial=0.0) - 0.4)) / 10))


def _frc_axes(figure: Figure, frequency: NDArray, frc: NDArray, *, apart: float) -> Axes:
    left, bottom, right, top = _MARGINS
    axes = new_axes(figure, left=left, bottom=bottom, right=right, top=top)
    highest = float(frequency[-1])
    for level in (THRESHOLD, THRESHOLD_HALF):
        axes.axhline(level, color=GREEN, linewidth=1, linestyle=_DASHED)
        axes.text(
            1.015, level, f"{level:g}", transform=axes.get_yaxis_transform(), va="center", color=GREEN, fontsize=11
        )
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xlim(0, highest)
    # Room above 1 for the words about resolution, so that they never hide a curve.
    axes.set_ylim(_lowest(frc), _HIGHEST)
    finish_axes(axes, "spatial frequency (1/Å)", "FRC (no unit)")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter("{x:g}")
    resolution_axis(axes, highest, apart=apart)
    return axes


def _resolutions(frame: Frame, curve: ClassFrc) -> list[str]:
    highest = frame.highest_x
    # Words go to the side with room, and the line on the other side is the taller one: so no line crosses them.
    left = 1 / curve.resolution_angstrom < 0.6 * highest
    low, high = (1.05, 1.17) if left else (1.17, 1.05)
    marks = []
    for height, threshold, length in (
        (low, THRESHOLD, curve.resolution_angstrom),
        (high, THRESHOLD_HALF, curve.resolution_half_angstrom),
    ):
        if not length < NO_RESOLUTION_ANGSTROM:
            marks.append(frame.text(0.99 * highest, height, f"{threshold:g}: not resolved", VERMILLION, end=True))
            continue
        x = 1 / length
        marks.append(frame.line(np.array([x, x]), np.array([0, height + 0.08]), VERMILLION, 1.2))
        words = f"{threshold:g}: {text_number(length)} Å"
        marks.append(frame.text(x + (0.012 if left else -0.012) * highest, height, words, VERMILLION, end=not left))
    return marks


def _no_resolution(axes: Axes) -> None:
    # On the left: what a summary's line and band are stands at the same height on the right.
    axes.text(0.02, 1.08, "not a resolution", transform=axes.get_yaxis_transform(), color=VERMILLION, fontsize=14,
              fontweight="bold")  # fmt: skip


def _line(axes: Axes, x: NDArray, y: NDArray, where: NDArray, colour: str, label: str | None, **options: Any) -> None:
    if np.count_nonzero(where) == 1:
        options = {"marker": "o", "markersize": 4} | options
    if where.any():
        axes.plot(x[where], np.asarray(y, np.float64)[where], color=colour, label=label, **options)
