"""Axes that several charts share: labels, resolution above frequency, logarithms in plain figures, legends below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


def finish_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Label axes, with a light grid."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(axis="y")
    axes.tick_params(length=3)
    if y_label.startswith(("particles", "pairs", "memberships")):
        ticks(axes.yaxis, integer=True)
        axes.yaxis.set_major_formatter("{x:,.0f}")


def ticks(axis: Axis, **options: int) -> None:
    """Set how ticks are chosen; `options` are those of matplotlib's MaxNLocator, such as ``integer=True``."""
    locator: Any = axis.get_major_locator()
    locator.set_params(**options)


def resolution_axis(axes: Axes, highest: float, *, apart: float = 1 / 12) -> None:
    """Mark resolutions in A above axes whose x runs from 0 to `highest` 1/A."""
    top = axes.secondary_xaxis("top")
    lengths = resolution_ticks(highest, apart)
    top.set_xticks([1 / length for length in lengths], [f"{length:g}" for length in lengths])
    top.set_xlabel("resolution (Å)")
    top.spines["top"].set_visible(False)
    top.tick_params(length=3)


def resolution_ticks(highest: float, apart: float = 1 / 12) -> list[float]:
    """Choose round lengths in A whose frequencies lie at least this share of the axis apart."""
    chosen: list[float] = []
    for length in (1000, 500, 200, 100, 50, 40, 30, 25, 20, 15, 12, 10, 8, 7, 6, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1):
        last = 1 / chosen[-1] if chosen else 0.0
        if 1 / length <= highest * 1.001 and 1 / length - last >= highest * apart:
            chosen.append(length)
    return chosen


# Steps within a power of ten, from fine to coarse.
_STEPS = (
    tuple(k / 10 for k in range(10, 100)),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
    (1, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)
_MOST_TICKS = 8


def plain_log_ticks(low: float, high: float) -> list[float]:
    """Choose round numbers between two positive ones for a logarithmic axis: as many as can be read."""
    from matplotlib.ticker import MaxNLocator

    powers = [10.0**k for k in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
    for steps in _STEPS:
        ticks = sorted(step * power for power in powers for step in steps if low <= step * power <= high)
        if len(ticks) <= _MOST_TICKS:
            break
    if len(ticks) < 3:
        ticks = [float(t) for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    return ticks


def plain_log_axis(axis: Axis, values: ArrayLike) -> None:
    """Number a logarithmic axis over positive values in plain figures, with a margin at either end."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = float(np.min(values)) / 1.25, float(np.max(values)) * 1.25
    axis.set_view_interval(low, high, ignore=True)
    axis.set_major_locator(FixedLocator(plain_log_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def decade_axis(axis: Axis) -> None:
    """Number a logarithmic axis by powers of ten, in letters that need no mathematical fonts; others unnumbered."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """Write a power of ten: 0.01 to 1,000 as such, others as 10 with a raised exponent."""
    if 0.0099 < value < 1001:
        return f"{value:,g}"
    return "10" + f"{np.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def legend_below(axes: Axes) -> None:
    """Set the legend below the axes, where no curve runs."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    figure: Any = axes.figure
    width = figure.get_size_inches()[0] * 72
    columns = max(1, min(len(labels), int((width - 40) / (34 + 6.2 * max(map(len, labels))))))
    columns = -(-len(labels) // -(-len(labels) // columns))  # rows of like length
    figure.legend(
        handles, labels, loc="lower center", ncols=columns, frameon=False, fontsize=10.5, borderaxespad=0,
        columnspacing=1.2, handlelength=2.2, handletextpad=0.5, labelspacing=0.25,
    )  # fmt: skip
