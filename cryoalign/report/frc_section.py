"""How far averages can be trusted, ring by ring: FRC of the halves, resolution, SSNR, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from cryoalign.averaging.growth import GrowthCurve
from cryoalign.report.frc_charts import frc_chart, frc_summary, resolution_by_size, ssnr_chart
from cryoalign.report.growth_section import growth_picture
from cryoalign.report.html import escape, picture, picture_grid
from cryoalign.report.naming import CLASSES, Naming
from cryoalign.report.numbers import plural, text_number, text_percent
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM, FrcCurve, HalfSets

MAX_SHOWN = 6
NO_RESOLUTION = "no resolution: its halves share a reference"


def resolution_words(curve: FrcCurve) -> str:
    """Say the resolution of a class, or why it has none."""
    if not curve.independent:
        return NO_RESOLUTION
    if min(curve.resolution_angstrom, curve.resolution_half_angstrom) >= NOT_RESOLVED_ANGSTROM:
        return "not resolved"
    words = []
    for length, threshold in ((curve.resolution_angstrom, "0.143"), (curve.resolution_half_angstrom, "0.5")):
        resolved = length < NOT_RESOLVED_ANGSTROM
        words.append(f"{text_number(length)} Å at {threshold}" if resolved else f"not resolved at {threshold}")
    return ", ".join(words)


def frc_section(
    curves: Mapping[int, FrcCurve],
    members: Mapping[int, int],
    box: int,
    pixel_size_angstrom: float,
    halves: HalfSets | None = None,
    growth: GrowthCurve | None = None,
    naming: Naming = CLASSES,
) -> str:
    """Return the section on FRC, SSNR and growth with the number of images; empty without any.

    Parameters
    ----------
    curves
        Class number -> its curves; in the order to show, where `naming` has one of its own.
    members
        Class number -> images in it.
    box, pixel_size_angstrom
        Of the averages.
    halves
        How particles were parted.
    growth
        Amplitude signal-to-noise ratio against number of images.
    naming
        What the classes are called, and which of them come first.
    """
    grown = growth_picture(growth)
    if not curves:
        return f'<div class="charts">{grown}</div>' if grown else ""
    ordered = sorted(curves, key=lambda number: (-members.get(number, 0), number)) if naming.by_size else list(curves)
    shown = {number: curves[number] for number in ordered[:MAX_SHOWN]}
    parts = [f"<p>{escape(_halves_words(curves, halves, box, pixel_size_angstrom, naming))}</p>"]
    wide = [_summary(curves, box, pixel_size_angstrom, naming)] if len(curves) > 1 else []
    wide.append(_ssnr(shown, len(curves), box, pixel_size_angstrom, naming))
    # Groups that are all of one size say nothing about size.
    sizes = {members.get(number, 0) for number in curves}
    if len(sizes) > 1 and any(curve.independent for curve in curves.values()):
        wide.append(_by_size(curves, members, naming))
    single = _single(shown, len(curves), members, box, pixel_size_angstrom, naming)
    wide.append(grown)
    return "".join(parts) + single + f'<div class="charts">{"".join(wide)}</div>'


def _halves_words(
    curves: Mapping[int, FrcCurve], halves: HalfSets | None, box: int, pixel_size_angstrom: float, naming: Naming
) -> str:
    words = ""
    if halves is not None:
        first, second = halves.counts
        things = "memberships" if naming.overlap else "particles"
        words = f"Half 1 holds {first:,} and half 2 {second:,} {things}, parted by {halves.rule.removeprefix('by ')}. "
    independent = [curve for curve in curves.values() if curve.independent]
    if not independent:
        return (
            words + f"Both halves {naming.shared} (frc_common_reference). They correlate even where "
            "the particles hold nothing but noise, so nothing here is a resolution."
        )
    ring = max(curve.shared_ring for curve in independent)
    shared = box * pixel_size_angstrom / ring if ring else None
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


def _single(
    shown: Mapping[int, FrcCurve],
    total: int,
    members: Mapping[int, int],
    box: int,
    pixel_size_angstrom: float,
    naming: Naming,
) -> str:
    entries = [
        (
            frc_chart(curve, box, pixel_size_angstrom),
            f"{naming.name(number)}: {members.get(number, 0):,} {plural(members.get(number, 0), 'particle')}",
            _sentence(resolution_words(curve)),
        )
        for number, curve in shown.items()
    ]
    which = ""
    if total > len(shown):
        which = f"The {len(shown)} {naming.first} of {total:,} {naming.many(total)}; frc.star holds all. "
    return picture_grid(
        entries,
        "FRC of the half averages",
        f"{which}{_colours(shown.values())}orange dots: what noise alone exceeds once in 740 rings "
        f"(3 sigma).{_reading(shown.values())}",
        "a high plateau that falls once, then stays within the orange dots. A resolution counts where the blue curve "
        "falls below 0.143 and the dots. A curve that never falls, or rises again at high frequency, comes from a "
        "mask, from duplicates or from resampled pixels, not from detail.",
    )


def _colours(curves: Iterable[FrcCurve]) -> str:
    words = []
    if any(curve.independent for curve in curves):
        words.append("Blue: halves that were aligned apart; ")
    if any(curve.shared_ring > 0 for curve in curves):
        words.append("grey and dashed: rings that both halves owe to the same reference (frc_common_reference); ")
    text = "".join(words)
    return text[:1].upper() + text[1:]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _reading(curves: Iterable[FrcCurve]) -> str:
    """Say from what resolutions were read, where that is not the curve as drawn."""
    rings = max((curve.smoothing_rings for curve in curves if curve.independent), default=1)
    return f" Resolutions are read from the FRC pooled over {rings} rings." if rings > 1 else ""


def _summary(curves: Mapping[int, FrcCurve], box: int, pixel_size_angstrom: float, naming: Naming) -> str:
    values = list(curves.values())
    independent = [curve.resolution_angstrom for curve in values if curve.independent]
    resolved = [length for length in independent if length < NOT_RESOLVED_ANGSTROM]
    if not independent:
        finding = f"Not a resolution: the halves of every {naming.word} share a reference."
    elif not resolved:
        finding = f"No {naming.word} of {len(independent):,} is resolved at 0.143."
    else:
        finding = (
            f"{len(resolved):,} of {len(independent):,} {naming.many(len(independent))} resolved at 0.143: median "
            f"{text_number(float(np.median(resolved)))} Å, best {text_number(min(resolved))} Å, "
            f"worst {text_number(max(resolved))} Å."
        )
    return picture(
        frc_summary(values, box, pixel_size_angstrom, word=naming.word),
        f"FRC of all {len(values):,} {naming.many(len(values))}",
        finding,
        f"a narrow band: {naming.many(2)} of like quality. A band that reaches down to the dots early: many "
        f"{naming.many(2)} too small, or junk.",
    )


def _ssnr(shown: Mapping[int, FrcCurve], total: int, box: int, pixel_size_angstrom: float, naming: Naming) -> str:
    which = f"The {len(shown)} {naming.first} {naming.many(2)}. " if total > len(shown) else ""
    dashed = any(curve.shared_ring > 0 for curve in shown.values())
    return picture(
        ssnr_chart(shown, box, pixel_size_angstrom, word=naming.word),
        "Signal-to-noise ratio of the full average",
        f"{which}Spectral signal-to-noise ratio (power), 2 FRC / (1 - FRC) where measured from halves."
        + (" Dashed curves: rings that the halves share, too good to be true." if dashed else ""),
        "above the line at 1 the average is more signal than noise. Twice the images raise the curve twofold; detail "
        "finer than where it crosses 1 is mostly noise.",
    )


def _by_size(curves: Mapping[int, FrcCurve], members: Mapping[int, int], naming: Naming) -> str:
    numbers = [number for number, curve in curves.items() if curve.independent and members.get(number, 0) > 0]
    if not numbers:
        return ""
    lengths = [curves[number].resolution_angstrom for number in numbers]
    bad = sum(length >= NOT_RESOLVED_ANGSTROM for length in lengths)
    return picture(
        resolution_by_size([members[number] for number in numbers], lengths, word=naming.word),
        f"Resolution and size of {naming.many(2)}",
        f"{bad:,} of {len(numbers):,} {naming.many(len(numbers))} not resolved ({text_percent(bad, len(numbers))})."
        if bad
        else "All are resolved.",
        f"larger {naming.many(2)} should be finer. A large {naming.word} high up holds junk or several views; a small "
        f"{naming.word} far below the rest deserves mistrust.",
    )
