"""Noise through the same path as the particles: what a reference makes of nothing ("Einstein from noise").

M. Shatsky, R. J. Hall, S. E. Brenner and R. M. Glaeser, J. Struct. Biol. 166:67 (2009); R. Henderson, PNAS 110:18037
(2013).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoalign.report.axes import finish_axes, legend_below, plain_log_axis
from cryoalign.report.charts import WIDTH
from cryoalign.report.figures import BLUE, MUTED, VERMILLION, display_tile, new_axes, new_figure, style, svg_uri
from cryoalign.report.html import caption, cards, picture, tiles
from cryoalign.report.numbers import masked_correlation, plural
from cryoalign.report.quality_data import NullTestSummary

MAX_SHOWN = 6


def null_test_section(null: NullTestSummary | None, pixel_size_angstrom: float, mask_diameter_angstrom: float) -> str:
    """Return the section on the null test; empty where none was made."""
    if null is None or not len(null.class_numbers):
        return ""
    return _triples(null, pixel_size_angstrom, mask_diameter_angstrom) + _curve(null)


def _triples(null: NullTestSummary, pixel_size_angstrom: float, mask_diameter_angstrom: float) -> str:
    largest = sorted(range(len(null.class_numbers)), key=lambda i: (-null.members[i], null.class_numbers[i]))[
        :MAX_SHOWN
    ]
    columns = min(2, len(largest))
    diameter_px = mask_diameter_angstrom / pixel_size_angstrom
    width = null.references.shape[-1] * pixel_size_angstrom
    entries = []
    for i in largest:
        reference, noise, real = (np.asarray(s[i]) for s in (null.references, null.noise_averages, null.real_averages))
        there = bool(np.isfinite(real).all() and real.any())
        heading = f"Class {null.class_numbers[i]}: {null.members[i]:,} noise {plural(null.members[i], 'image')}"
        svg = tiles(
            [
                (display_tile(reference), "reference"),
                (display_tile(noise), "average of noise"),
                (display_tile(real) if there else None, "average of particles" if there else "no particles"),
            ],
            width,
            description=f"{heading}: reference, average of noise, average of particles",
            circle_angstrom=mask_diameter_angstrom,
            font_size=17,
        )
        remarks = [f"noise and reference: correlation {masked_correlation(reference, noise, diameter_px):.3f}"]
        if there:
            remarks.append(f"particles and reference: {masked_correlation(reference, real, diameter_px):.3f}")
        entries.append((svg, heading, remarks))
    total = len(null.class_numbers)
    which = f"The {len(largest)} largest of {total:,} classes. " if total > len(largest) else ""
    text = caption(
        f"{which}Noise with the spectrum of the data, as many images as particles, aligned and averaged by the same "
        "steps. Correlations: of these Wiener averages, inside the mask (dashed circle).",
        "the average of noise looks like the reference though there is nothing in it. Trust in the average of the "
        "particles only what the average of noise does not show as well.",
    )
    return f"<figure>{cards(entries, columns=columns)}<figcaption>{text}</figcaption></figure>"


def _curve(null: NullTestSummary) -> str:
    points = [f"{value:.2f} from {count:,}" for count, value in _known(null.counts, null.noise_correlation)]
    if not points:
        return ""
    finding = f"Averages of aligned noise, not filtered by their halves, correlate with the reference by {points[0]}"
    finding += f" to {points[-1]} images." if len(points) > 1 else " images."
    real = list(_known(null.counts, null.real_correlation or ()))
    if real:
        count, value = real[-1]
        finding += f" Particles: {value:.2f} from {count:,}."
    if null.curve_class is not None:
        finding += f" Class {null.curve_class}."
    chart = picture(
        einstein_chart(null),
        "Likeness with the reference, made from noise",
        finding,
        "noise alone climbs high, so the height of a correlation proves nothing. Particles should lie clearly above "
        "the noise at the same number of images; where the curves run together, the reference made the picture.",
    )
    return f'<div class="charts">{chart}</div>'


def einstein_chart(null: NullTestSummary) -> str:
    """Draw correlation with the reference against the number of images, noise and particles."""
    with style():
        figure = new_figure(WIDTH, 320)
        axes = new_axes(figure, left=66, bottom=74, right=16, top=14)
        axes.set_xscale("log")
        lowest = 0.0
        for values, colour, marker, label in (
            (null.noise_correlation, VERMILLION, "s", "noise"),
            (null.real_correlation or (), BLUE, "o", "particles"),
        ):
            points = list(_known(null.counts, values))
            if points:
                axes.plot(
                    *zip(*points, strict=True), color=colour, marker=marker, markersize=6, linewidth=1.6, label=label
                )
                lowest = min(lowest, *(value for _, value in points))
        plain_log_axis(axes.xaxis, null.counts)
        if len(null.counts) <= 8:
            axes.set_xticks(list(null.counts), [f"{count:,}" for count in null.counts])
        axes.set_ylim(lowest - 0.05 if lowest < 0 else 0, 1.02)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        finish_axes(axes, "images in the average, N", "correlation with the reference (no unit)")
        legend_below(axes)
        return svg_uri(figure)


def _known(counts: object, values: object) -> Iterator[tuple[int, float]]:
    """Give the points with a value."""
    for count, value in zip(counts, values, strict=False):
        if np.isfinite(value):
            yield int(count), float(value)
