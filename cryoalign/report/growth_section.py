"""How the signal-to-noise ratio of an average grows with its images, beside the law of independent noise: sqrt(n)."""

from __future__ import annotations

import numpy as np

from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report.axes import finish_axes, legend_below, plain_log_axis
from cryoalign.report.charts import WIDTH
from cryoalign.report.figures import BLUE, INK, new_axes, new_figure, style, svg_uri
from cryoalign.report.html import picture
from cryoalign.report.numbers import plural, text_number


def usable_points(growth: GrowthCurve) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and amplitude ratios that can stand on logarithmic axes, by count."""
    counts = np.asarray(growth.counts, np.float64).ravel()
    ratio = np.asarray(growth.amplitude_snr, np.float64).ravel()
    good = np.flatnonzero((counts > 0) & np.isfinite(counts) & (ratio > 0) & np.isfinite(ratio))
    order = good[np.argsort(counts[good], kind="stable")]
    return counts[order], ratio[order]


def ratio_of_one_image(growth: GrowthCurve) -> float:
    """Return what the sqrt(n) line gives at n = 1; NaN without points."""
    if growth.amplitude_snr_one is not None:
        return float(growth.amplitude_snr_one)
    counts, ratio = usable_points(growth)
    return float(np.median(ratio / np.sqrt(counts))) if len(counts) else float("nan")


def growth_picture(growth: GrowthCurve | None) -> str:
    """Return the picture of growth; empty where there are no points."""
    if growth is None or not len(usable_points(growth)[0]):
        return ""
    counts, ratio = usable_points(growth)
    one = ratio_of_one_image(growth)
    lost = np.size(growth.counts) - len(counts)
    band = ""
    if growth.band_angstrom is not None:
        longest, shortest = growth.band_angstrom
        band = f" Band: {text_number(longest)} to {text_number(shortest)} Å."
    whose = (
        "Each point is a class." if growth.class_number is None else f"Class {growth.class_number}, grown step by step."
    )
    known = "known from single images" if growth.amplitude_snr_one is not None else "through the points"
    slope = _slope(counts, ratio)
    finding = (
        f"{whose} The line, {known}, gives one image {text_number(one, 2)}; {counts[-1]:,.0f} "
        f"{plural(int(counts[-1]), 'image')} reached {text_number(ratio[-1])}"
        + (f"; the points grow as n to the power {slope:.2f} (0.5 = the line)." if slope is not None else ".")
        + band
        + (f" {lost:,} {plural(lost, 'point')} without a positive value left out." if lost else "")
    )
    return picture(
        growth_chart(growth),
        "Growth of amplitude signal-to-noise",
        finding,
        "points along the line: every image adds what it should. Points that flatten out below it: poses too "
        "uncertain, a mixture of views, or noise that the images share. Both axes are logarithmic.",
    )


def growth_chart(growth: GrowthCurve) -> str:
    """Draw the points and the line on logarithmic axes."""
    counts, ratio = usable_points(growth)
    one = ratio_of_one_image(growth)
    with style():
        figure = new_figure(WIDTH, 320)
        axes = new_axes(figure, left=72, bottom=74, right=16, top=14)
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = np.array([counts[0] / 1.25, counts[-1] * 1.25])
        axes.plot(ends, one * np.sqrt(ends), color=INK, linewidth=1.2, linestyle=(0, (4, 2.5)), label="sqrt(n) line")
        joined = "-" if growth.class_number is not None else "none"
        size = 5 if len(counts) <= 40 else 3
        axes.plot(
            counts, ratio, linestyle=joined, linewidth=1.2, marker="o", markersize=size, color=BLUE,
            alpha=0.85 if len(counts) <= 40 else 0.6, label="average of n images",
        )  # fmt: skip
        plain_log_axis(axes.xaxis, counts)
        plain_log_axis(axes.yaxis, np.concatenate([ratio, one * np.sqrt(ends)]))
        finish_axes(axes, "images in the average, n", "amplitude signal-to-noise (no unit)")
        legend_below(axes)
        return svg_uri(figure)


def _slope(counts: np.ndarray, ratio: np.ndarray) -> float | None:
    """Return the exponent of a power law through the points; None where they do not span a factor two."""
    if len(counts) < 3 or counts[-1] < 2 * counts[0]:
        return None
    return float(np.polyfit(np.log(counts), np.log(ratio), 1)[0])
