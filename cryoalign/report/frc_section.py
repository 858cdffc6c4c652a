"""How far averages can be trusted: FRC of the halves ring by ring, resolution, SSNR, and growth with the images.

The law of growth for independent noise is the root of the number of images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from cryoalign.averaging.frc import (
    COMMON,
    NO_RESOLUTION_ANGSTROM,
    SMOOTHING_RINGS,
    THRESHOLD,
    THRESHOLD_HALF,
    ClassFrc,
)
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report.axes import finish_axes, legend_below, plain_log_axis
from cryoalign.report.charts import WIDTH
from cryoalign.report.classes import Classes
from cryoalign.report.figures import BLUE, INK, new_axes, new_figure, style, svg_uri
from cryoalign.report.frc_charts import frc_chart, frc_summary, resolution_by_size, ssnr_chart
from cryoalign.report.html import abreast, escape, picture, picture_grid
from cryoalign.report.numbers import plural, text_number, text_percent

MAX_SHOWN = 6
NO_RESOLUTION = "no resolution: its halves share a reference"


def resolution_words(curve: ClassFrc) -> str:
    """Say the resolution of a class, or why it has none."""
    if not curve.independent:
        return NO_RESOLUTION
    read = {THRESHOLD: curve.resolution_angstrom, THRESHOLD_HALF: curve.resolution_half_angstrom}
    if min(read.values()) >= NO_RESOLUTION_ANGSTROM:
        return "not resolved"
    return ", ".join(
        f"{text_number(length)} Å at {level:g}" if length < NO_RESOLUTION_ANGSTROM else f"not resolved at {level:g}"
        for level, length in read.items()
    )


def frc_section(classes: Classes, growth: GrowthCurve | None = None) -> str:
    """Return the section on FRC, SSNR and growth with the number of images; empty without any.

    Parameters
    ----------
    classes
        With the FRC of their halves, and how members were parted.
    growth
        Amplitude signal-to-noise ratio against number of images.
    """
    grown = growth_picture(growth)
    curves, members, naming = classes.curves, classes.members, classes.naming
    if not curves:
        return abreast(grown)
    ordered = sorted(curves, key=lambda number: (-members[number], number)) if naming.by_size else list(curves)
    shown = {number: curves[number] for number in ordered[:MAX_SHOWN]}
    wide = [_summary(classes)] if len(curves) > 1 else []
    wide.append(_ssnr(classes, shown))
    # Groups that are all of one size say nothing about size.
    if len({members[number] for number in curves}) > 1 and classes.any_independent:
        wide.append(_by_size(classes))
    words = f"<p>{escape(_halves_words(classes))}</p>"
    return words + _single(classes, shown) + abreast(*wide, grown)


def _halves_words(classes: Classes) -> str:
    words, halves, naming, curves = "", classes.halves, classes.naming, classes.curves
    if halves is not None:
        first, second = halves.counts
        things = "memberships" if naming.overlap else "particles"
        words = f"Half 1 holds {first:,} and half 2 {second:,} {things}, parted by {halves.rule.removeprefix('by ')}. "
    independent = [curve for curve in curves.values() if curve.independent]
    if not independent:
        return (
            words + f"Both halves {naming.shared} ({COMMON}). They correlate even where "
            "the particles hold nothing but noise, so nothing here is a resolution."
        )
    ring = max(curve.shared_ring for curve in independent)
    shared = classes.width_angstrom / ring if ring else None
    if halves is not None and halves.shared_resolution_angstrom is not None:
        shared = halves.shared_resolution_angstrom
    if shared is not None:
        words += (
            f"Down to {text_number(shared)} Å both halves {naming.shared}; at finer resolution they never met, "
            "and only there does their correlation count."
        )
    else:
        words += "The halves were aligned apart: their correlation is independent on every ring."
    if len(independent) < len(curves):
        count = len(curves) - len(independent)
        words += f" {count:,} {naming.many(count)} share all rings and have no resolution."
    return words


def _single(classes: Classes, shown: Mapping[int, ClassFrc]) -> str:
    naming, members, total = classes.naming, classes.members, len(classes.curves)
    entries = [
        (
            frc_chart(curve, classes.width_angstrom),
            f"{naming.name(number)}: {members[number]:,} {plural(members[number], 'particle')}",
            _sentence(resolution_words(curve)),
        )
        for number, curve in shown.items()
    ]
    which = ""
    if total > len(shown):
        which = f"The {len(shown)} {naming.first} of {total:,} {naming.many(total)}; frc.star holds all. "
    # What resolutions were read from is not the curve as drawn.
    pooled = f" Resolutions are read from the FRC pooled over {SMOOTHING_RINGS} rings."
    return picture_grid(
        entries,
        "FRC of the half averages",
        f"{which}{_colours(shown.values())}orange dots: what noise alone exceeds once in 740 rings "
        f"(3 sigma).{pooled if any(curve.independent for curve in shown.values()) else ''}",
        "a high plateau that falls once, then stays within the orange dots. A resolution counts where the blue curve "
        f"falls below {THRESHOLD:g} and the dots. A curve that never falls, or rises again at high frequency, comes "
        "from a mask, from duplicates or from resampled pixels, not from detail.",
    )


def _colours(curves: Iterable[ClassFrc]) -> str:
    words = []
    if any(curve.independent for curve in curves):
        words.append("Blue: halves that were aligned apart; ")
    if any(curve.shared_ring > 0 for curve in curves):
        words.append(f"grey and dashed: rings that both halves owe to the same reference ({COMMON}); ")
    text = "".join(words)
    return text[:1].upper() + text[1:]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _summary(classes: Classes) -> str:
    values, naming, resolved = list(classes.curves.values()), classes.naming, classes.resolved
    independent = sum(curve.independent for curve in values)
    if not independent:
        finding = f"Not a resolution: the halves of every {naming.word} share a reference."
    elif not resolved:
        finding = f"No {naming.word} of {independent:,} is resolved at {THRESHOLD:g}."
    else:
        finding = (
            f"{len(resolved):,} of {independent:,} {naming.many(independent)} resolved at {THRESHOLD:g}: median "
            f"{text_number(float(np.median(resolved)))} Å, best {text_number(min(resolved))} Å, "
            f"worst {text_number(max(resolved))} Å."
        )
    return picture(
        frc_summary(values, classes.width_angstrom, word=naming.word),
        f"FRC of all {len(values):,} {naming.many(len(values))}",
        finding,
        f"a narrow band: {naming.many(2)} of like quality. A band that reaches down to the dots early: many "
        f"{naming.many(2)} too small, or junk.",
    )


def _ssnr(classes: Classes, shown: Mapping[int, ClassFrc]) -> str:
    naming = classes.naming
    which = f"The {len(shown)} {naming.first} {naming.many(2)}. " if len(classes.curves) > len(shown) else ""
    dashed = any(curve.shared_ring > 0 for curve in shown.values())
    return picture(
        ssnr_chart(shown, classes.width_angstrom, word=naming.word),
        "Signal-to-noise ratio of the full average",
        f"{which}Spectral signal-to-noise ratio (power), 2 FRC / (1 - FRC) where measured from halves."
        + (" Dashed curves: rings that the halves share, too good to be true." if dashed else ""),
        "above the line at 1 the average is more signal than noise. Twice the images raise the curve twofold; detail "
        "finer than where it crosses 1 is mostly noise.",
    )


def _by_size(classes: Classes) -> str:
    naming = classes.naming
    numbers = [number for number, curve in classes.curves.items() if curve.independent]
    lengths = [classes.curves[number].resolution_angstrom for number in numbers]
    bad = sum(length >= NO_RESOLUTION_ANGSTROM for length in lengths)
    return picture(
        resolution_by_size([classes.members[number] for number in numbers], lengths, word=naming.word),
        f"Resolution and size of {naming.many(2)}",
        f"{bad:,} of {len(numbers):,} {naming.many(len(numbers))} not resolved ({text_percent(bad, len(numbers))})."
        if bad
        else "All are resolved.",
        f"larger {naming.many(2)} should be finer. A large {naming.word} high up holds junk or several views; a small "
        f"{naming.word} far below the rest deserves mistrust.",
    )


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
