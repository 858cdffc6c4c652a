"""Charts that any report may use: each takes arrays and returns an SVG in a data URI. Every axis carries its unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.report.axes import decade_axis, finish_axes, resolution_axis, ticks
from cryoalign.report.figures import BLUE, CYCLE, INK, MUTED, RULE, VERMILLION, new_axes, new_figure, style, svg_uri
from cryoalign.report.numbers import finite, text_number, text_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, NARROW, HEIGHT = 520, 345, 290
_MAX_BARS = 60
_MAX_POINTS = 400
_MAX_CLASSES = 400
"""Beyond these, classes have no mark of their own in a chart."""
_MAX_DRAWN = 4_000_000


def thinned(values: NDArray) -> NDArray:
    """Leave out so many of very many values, evenly, that no picture would change: for what belongs to edges."""
    return values[:: max(1, -(-len(values) // _MAX_DRAWN))]


def bin_edges(values: NDArray, *, low: float | None = None, high: float | None = None) -> NDArray[np.float64]:
    """Choose bin edges for a histogram of finite values (n,).

    The range is that of the values, less at most 0.2 percent of stragglers at either end where there are many;
    `low` and `high` fix an end. The number of bins is twice the cube root of n (Rice's rule), between 8 and 60.
    """
    start, stop = np.percentile(values, (0.2, 99.8)) if len(values) >= 1000 else (np.min(values), np.max(values))
    start, stop = start if low is None else low, stop if high is None else high
    bins = int(np.clip(2 * np.cbrt(len(values)), 8, _MAX_BARS))
    if not stop - start > 1e-9 * max(abs(start), abs(stop), 1e-30):
        margin = 0.5 * abs(start) or 0.5
        start, stop = (start - margin if low is None else low), stop + margin
        bins = 9  # odd: a single value stands in the middle of a bar
    elif high is None and len(values) < 1000:
        stop += 0.05 * (stop - start)
    return np.linspace(start, stop, bins + 1)


def whole_bin_edges(values: NDArray) -> NDArray[np.float64]:
    """Choose bin edges for counts (n,), halfway between whole numbers, from 0 on; each bin holds equally many."""
    highest = int(np.percentile(values, 99.8)) if len(values) >= 1000 else int(np.max(values))
    step = -(-(highest + 1) // _MAX_BARS)
    return np.arange(0, highest + 1 + step, step, dtype=np.float64) - 0.5


def histogram(
    values: ArrayLike,
    *,
    x_label: str,
    y_label: str = "particles",
    marks: Sequence[tuple[float, str]] = (),
    low: float | None = None,
    high: float | None = None,
    width: float = NARROW,
    whole: bool = False,
) -> str:
    """Draw a histogram of values (n,) with labelled vertical marks; stragglers are counted in the end bars.

    A mark beyond the axis is left out: set `high` where a limit must show. `whole` values are counts from 0 on.
    """
    shown = finite(values)
    with style():
        figure = new_figure(width, HEIGHT)
        axes = new_axes(figure, left=66, bottom=64, right=14, top=16 + 17 * len(marks))
        if len(shown):
            edges = whole_bin_edges(shown) if whole else bin_edges(shown, low=low, high=high)
            below, above = bool(np.any(shown < edges[0])), bool(np.any(shown > edges[-1]))
            counts, _ = np.histogram(np.clip(shown, edges[0], edges[-1]), edges)
            axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.82)
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(0, counts.max() * 1.06)
            if below or above:
                ends = "end bars hold" if below and above else "first bar holds" if below else "last bar holds"
                x_label += f"\n{ends} all beyond"
        _mark(axes, marks)
        finish_axes(axes, x_label, y_label)
        return svg_uri(figure)


def class_sizes(
    counts: NDArray,
    *,
    numbers: Sequence[int] | None = None,
    x_label: str = "class number",
    y_label: str = "particles",
) -> str:
    """Draw one bar per class from counts (M,), with the size that even classes would have.

    `numbers` are those of the classes where they are not 1..M. More than 400 classes are drawn by size as one outline,
    on a logarithmic scale where the largest would hide the others.
    """
    many = len(counts) > _MAX_CLASSES
    if many:
        counts, numbers, x_label = np.sort(counts)[::-1], None, "rank of the class by size"
    steep = many and float(np.max(counts)) > 20 * float(np.median(counts))
    places = np.arange(1, len(counts) + 1) if numbers is None else np.asarray(numbers)
    m = int(places.max())
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = new_axes(figure, left=66, bottom=48, right=14, top=33)
        if many:
            axes.stairs(counts, np.arange(m + 1) + 0.5, baseline=0.5 if steep else 0, fill=True, color=BLUE, alpha=0.82)
        else:
            axes.bar(places, counts, width=0.8 if m <= 50 else 1.0, color=BLUE, alpha=0.82)
        mean = float(np.mean(counts))
        axes.axhline(mean, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(1, 1.02, "dashed: equal shares", transform=axes.transAxes, ha="right", color=MUTED, fontsize=11)
        axes.set_ylim(0, max(1.0, float(np.max(counts))) * 1.06)
        _class_axis(axes, m)
        finish_axes(axes, x_label, y_label)
        if steep:
            axes.set_yscale("log")
            axes.set_ylim(0.5, 1.5 * float(np.max(counts)))
            decade_axis(axes.yaxis)
        return svg_uri(figure)


def class_spread(values: ArrayLike, class_number: ArrayLike, classes: int, *, y_label: str, word: str = "class") -> str:
    """Draw, per class 1..`classes`, the median (dot), the quartiles (thick) and the 5 to 95 percent range of values.

    `word` is what a class is called.

    More than 400 classes are drawn as bands, in the order of their medians.
    """
    levels = _class_levels(np.asarray(values, np.float64), np.asarray(class_number, np.int64), classes)
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = new_axes(figure, left=66, bottom=48, right=14, top=33)
        words, x_label = "dot: median; thick: half of the members; thin: 90 %", f"{word} number"
        if classes > _MAX_CLASSES and len(levels):
            _, least, low, middle, high, most = levels[np.argsort(-levels[:, 3], kind="stable")].T
            rank = np.arange(1, len(levels) + 1)
            axes.fill_between(rank, least, most, color=BLUE, alpha=0.25, linewidth=0)
            axes.fill_between(rank, low, high, color=BLUE, alpha=0.45, linewidth=0)
            axes.plot(rank, middle, color=INK, linewidth=1.3)
            words, x_label = "line: median; dark: half of the members; pale: 90 %", f"rank of the {word} by its median"
            classes = len(levels)
        elif len(levels):
            number, least, low, middle, high, most = levels.T
            scale = 1.0 if classes <= 30 else 0.5
            axes.vlines(number, least, most, color=BLUE, linewidth=1.5 * scale, alpha=0.7)
            axes.vlines(number, low, high, color=BLUE, linewidth=8 * scale, alpha=0.55)
            axes.scatter(number, middle, s=44 * scale, color="w", edgecolors=INK, linewidths=1.3 * scale, zorder=3)
        axes.text(1, 1.02, words, transform=axes.transAxes, ha="right", color=MUTED, fontsize=11)
        _class_axis(axes, classes)
        finish_axes(axes, x_label, y_label)
        return svg_uri(figure)


def _class_levels(values: NDArray, class_number: NDArray, classes: int) -> NDArray[np.float64]:
    """Return (number, 5, 25, 50, 75, 95 percent) of the finite values of each class that has any."""
    good = np.flatnonzero(np.isfinite(values) & (class_number >= 1) & (class_number <= classes))
    good = good[np.lexsort((values[good], class_number[good]))]
    if not len(good):
        return np.zeros((0, 6))
    ordered = values[good]
    numbers, starts, counts = np.unique(class_number[good], return_index=True, return_counts=True)
    # Between the sorted values of a class, as `numpy.percentile`.
    place = starts[:, None] + np.multiply.outer(counts - 1, np.array([5, 25, 50, 75, 95]) / 100)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, (starts + counts - 1)[:, None])
    levels = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return np.column_stack([numbers, levels])


def _class_axis(axes: Axes, classes: int) -> None:
    axes.set_xlim(0.4, classes + 0.6)
    ticks(axes.xaxis, integer=True, min_n_ticks=1)
    if classes <= 12:
        axes.set_xticks(np.arange(1, classes + 1))


def shift_map(shift_angstrom: NDArray, limit_angstrom: float | None, *, things: str = "particles") -> str:
    """Draw shifts (n, 2) of `things`, y downwards as in the pictures: points if few, else a map of counts.

    Many shifts on the few places of a search pattern are discs, whose areas go with the counts.
    """
    shift = np.asarray(shift_angstrom, np.float64)
    shift = shift[np.isfinite(shift).all(axis=1)]
    longest = float(np.hypot(*shift.T).max()) if len(shift) else 0.0
    reach = 1.08 * (max(limit_angstrom, longest) if limit_angstrom else longest) or 1.0
    places, counts = pattern_counts(shift)
    on_pattern = len(places) > 0 and len(shift) > _MAX_POINTS
    with style():
        figure = new_figure(WIDTH, 400)
        axes = new_axes(figure, left=76, bottom=48, right=110, top=18)
        if on_pattern:
            area = 1400 * counts / counts.max()
            axes.scatter(places[:, 0], places[:, 1], s=area, color=BLUE, alpha=0.8, linewidths=0)
            reach *= 1.15  # room for words
            axes.text(1, 1.005, f"share of {things} at each place", transform=axes.transAxes, ha="right", color=MUTED,
                      fontsize=11)  # fmt: skip
            for place, count, size in zip(places, counts, area, strict=True) if len(places) <= 25 else ():
                below = (0, -np.sqrt(size / np.pi) - 3)
                axes.annotate(text_percent(count, len(shift)), place, below, textcoords="offset points", ha="center",
                              va="top", fontsize=10.5)  # fmt: skip
        elif len(shift) <= _MAX_POINTS:
            size = 14 if len(shift) > 50 else 36
            axes.scatter(shift[:, 0], shift[:, 1], s=size, color=BLUE, alpha=0.55, linewidths=0)
        else:
            cells = int(np.clip(np.sqrt(len(shift) / 6), 16, 60))
            edges = np.linspace(-reach, reach, cells + 1)
            cell_counts, _, _ = np.histogram2d(shift[:, 1], shift[:, 0], bins=(edges, edges))
            extent = (-reach, reach, reach, -reach)
            picture = axes.imshow(
                np.ma.masked_equal(cell_counts, 0), cmap="Blues", vmin=0, extent=extent, interpolation="none"
            )
            bar = figure.colorbar(picture, cax=new_axes(figure, left=428, bottom=48, right=80, top=18))
            bar.set_label(f"{things} per {2 * reach / cells:.2g} × {2 * reach / cells:.2g} Å cell")
            bar.outline.set_visible(False)
            ticks(bar.ax.yaxis, integer=True)
        axes.axhline(0, color=MUTED, linewidth=0.6)
        axes.axvline(0, color=MUTED, linewidth=0.6)
        if limit_angstrom:
            turn = np.linspace(0, 2 * np.pi, 181)
            axes.plot(limit_angstrom * np.cos(turn), limit_angstrom * np.sin(turn), color=VERMILLION, linewidth=1.4)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(reach, -reach)
        axes.set_aspect("equal")
        axes.set_xlabel("shift x (Å)")
        axes.set_ylabel("shift y (Å), downwards")
        return svg_uri(figure)


def pattern_counts(shift: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct places (p, 2) of shifts (n, 2) and their counts (p,); nothing where there are over 100."""
    if len(np.unique(np.round(shift[:: max(1, len(shift) // 5000)], 3), axis=0)) > 100:
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    keys, counts = np.unique(np.round(shift[:, 0], 3) + 1j * np.round(shift[:, 1], 3), return_counts=True)
    return (np.stack([keys.real, keys.imag], axis=1), counts) if len(keys) <= 100 else (np.zeros((0, 2)), counts[:0])


def angle_rose(psi_deg: ArrayLike, *, things: str = "particles", name: str = "psi") -> str:
    """Draw angles (n,) of `things` in degrees as a polar histogram; clockwise, as a positive psi turns the pictures."""
    psi = np.mod(finite(psi_deg), 360.0)
    bars = 36 if len(psi) >= 360 else 18
    counts, edges = np.histogram(psi, bins=bars, range=(0, 360))
    from matplotlib.ticker import MaxNLocator

    with style():
        figure = new_figure(WIDTH, 400)
        axes: Any = new_axes(figure, left=100, bottom=40, right=100, top=40, projection="polar")
        axes.set_theta_direction(-1)
        axes.bar(
            np.deg2rad(edges[:-1]), counts, width=2 * np.pi / bars, align="edge", color=BLUE, alpha=0.75, edgecolor="w"
        )
        turn = np.linspace(0, 2 * np.pi, 181)
        axes.plot(turn, np.full(181, len(psi) / bars), color=INK, linewidth=1.1, linestyle=(0, (4, 3)))
        axes.set_thetagrids(np.arange(0, 360, 45), ["0°", "45°", "90°", "135°", "180°", "−135°", "−90°", "−45°"])
        top = max(1, counts.max())
        axes.set_ylim(0, top * 1.05)
        rings = [r for r in MaxNLocator(nbins=3, integer=True).tick_values(0, top) if 0 < r <= top]
        axes.set_yticks(rings, [""] * len(rings))
        for ring in rings:
            axes.text(
                np.deg2rad(22.5),
                ring,
                f"{ring:,.0f}",
                ha="center",
                va="center",
                fontsize=11,
                bbox={"facecolor": "w", "linewidth": 0, "pad": 1.5, "alpha": 0.9},
            )
        axes.spines["polar"].set_color(RULE)
        words = f"{things} per {360 // bars}° of {name}; dashed: {text_number(len(psi) / bars)}, if even"
        figure.text(0.5, 0.005, words, ha="center", va="bottom")
        return svg_uri(figure)


def spectra(groups: Sequence[tuple[str, NDArray, float]]) -> str:
    """Draw power per ring against spatial frequency: name, power (rings,), side of the box in A; ring 0 is left out.

    The axis is logarithmic only where the powers span more than a factor 20.
    """
    many = len(groups) > len(CYCLE)
    highest, shown = 0.0, []
    with style():
        figure = new_figure(2 * WIDTH, 310)
        axes = new_axes(figure, left=84, bottom=48, right=20, top=50)
        for index, (name, row, width_angstrom) in enumerate(groups):
            rings = np.arange(len(row))
            frequency = rings / width_angstrom
            good = np.isfinite(row) & (row > 0) & (rings > 0)
            colour, strength = (BLUE, 0.3) if many else (CYCLE[index], 1.0)
            axes.plot(frequency[good], row[good], color=colour, linewidth=1.8, alpha=strength, label=name)
            highest = max(highest, float(frequency[-1]))
            shown.append(row[good])
        values = np.concatenate(shown)
        highest = highest or 1.0
        axes.set_xlim(0, highest)
        finish_axes(axes, "spatial frequency (1/Å)", "noise power (squared intensity)")
        if len(values) and values.max() > 20 * values.min():
            axes.set_yscale("log")
            decade_axis(axes.yaxis)
        else:
            axes.set_ylim(0, 1.1 * values.max() if len(values) else 1.0)
            axes.yaxis.set_major_formatter("{x:g}")
        if len(groups) > 1 and not many:
            axes.legend(frameon=False, fontsize=11, ncols=3)
        resolution_axis(axes, highest)
        return svg_uri(figure)


def _mark(axes: Axes, marks: Sequence[tuple[float, str]]) -> None:
    """Draw labelled vertical lines, each label on a line of its own above the axes."""
    low, high = axes.get_xlim()
    places = [(x - low) / (high - low) for x, _ in marks]
    # Two lines close together in the middle have their labels on their outer sides.
    apart = len(marks) == 2 and abs(places[0] - places[1]) < 0.25 and all(0.25 < place < 0.75 for place in places)
    for level, (x, label) in enumerate(marks):
        if not low <= x <= high:
            continue
        colour = VERMILLION if level else INK
        height = 1.02 + 0.078 * (len(marks) - 1 - level)
        axes.plot((x, x), (0, height), color=colour, linewidth=1.3, transform=axes.get_xaxis_transform(), clip_on=False)
        left = x == max(marks)[0] if apart else x < (low + high) / 2
        axes.annotate(
            label,
            (x, height),
            (4 if left else -4, 0),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="left" if left else "right",
            color=colour,
            fontsize=11,
        )
