"""Noise through the same path as the particles: what a reference makes of nothing ("Einstein from noise").

M. Shatsky, R. J. Hall, S. E. Brenner and R. M. Glaeser, J. Struct. Biol. 166:67 (2009); R. Henderson, PNAS 110:18037
(2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.einstein import NullTest
from cryoalign.report.axes import finish_axes, legend_below, plain_log_axis
from cryoalign.report.charts import WIDTH
from cryoalign.report.classes import Classes
from cryoalign.report.figures import BLUE, MUTED, VERMILLION, display_tile, new_axes, new_figure, style, svg_uri
from cryoalign.report.html import abreast, caption, cards, picture, tiles
from cryoalign.report.numbers import masked_correlation, plural

MAX_SHOWN = 6


def null_test_section(null: NullTest, classes: Classes) -> str:
    """Return the section on the null test, as HTML; `classes` are the averages of the particles."""
    return _triples(null, classes) + _curve(null)


def _triples(null: NullTest, classes: Classes) -> str:
    made = np.flatnonzero(null.members)
    largest = made[np.argsort(-null.members[made], kind="stable")][:MAX_SHOWN]
    columns = min(2, len(largest))
    diameter_px = classes.mask_diameter_angstrom / classes.pixel_size_angstrom
    entries = []
    numbers = np.asarray(classes.numbers).tolist()
    for c in largest.tolist():
        reference, noise, count = null.references[c], null.averages[c], int(null.members[c])
        real = classes.images.get(numbers[c])
        heading = f"Class {numbers[c]}: {count:,} noise {plural(count, 'image')}"
        svg = tiles(
            [
                (display_tile(reference), "reference"),
                (display_tile(noise), "average of noise"),
                (None, "no particles") if real is None else (display_tile(real), "average of particles"),
            ],
            classes.width_angstrom,
            description=f"{heading}: reference, average of noise, average of particles",
            circle_angstrom=classes.mask_diameter_angstrom,
            font_size=17,
        )
        remarks = [f"noise and reference: correlation {masked_correlation(reference, noise, diameter_px):.3f}"]
        if real is not None:
            remarks.append(f"particles and reference: {masked_correlation(reference, real, diameter_px):.3f}")
        entries.append((svg, heading, remarks))
    which = f"The {len(largest)} largest of {len(made):,} classes. " if len(made) > len(largest) else ""
    text = caption(
        f"{which}Noise with the spectrum of the data, as many images as particles, aligned and averaged by the same "
        "steps. Correlations: of these Wiener averages, inside the mask (dashed circle).",
        "the average of noise looks like the reference though there is nothing in it. Trust in the average of the "
        "particles only what the average of noise does not show as well.",
    )
    return f"<figure>{cards(entries, columns=columns)}<figcaption>{text}</figcaption></figure>"


def _curve(null: NullTest) -> str:
    points = [f"{value:.2f} from {count:,}" for count, value in _known(null.counts, null.noise_correlation)]
    if not points:
        return ""
    finding = f"Averages of aligned noise, not filtered by their halves, correlate with the reference by {points[0]}"
    finding += f" to {points[-1]} images." if len(points) > 1 else " images."
    real = list(_known(null.counts, null.real_correlation))
    if real:
        count, value = real[-1]
        finding += f" Particles: {value:.2f} from {count:,}."
    finding += f" Class {null.curve_class}."
    return abreast(
        picture(
            einstein_chart(null),
            "Likeness with the reference, made from noise",
            finding,
            "noise alone climbs high, so the height of a correlation proves nothing. Particles should lie clearly "
            "above the noise at the same number of images; where the curves run together, the reference made the "
            "picture.",
        )
    )


def einstein_chart(null: NullTest) -> str:
    """Draw correlation with the reference against the number of images, noise and particles."""
    with style():
        figure = new_figure(WIDTH, 320)
        axes = new_axes(figure, left=66, bottom=74, right=16, top=14)
        axes.set_xscale("log")
        lowest = 0.0
        for values, colour, marker, label in (
            (null.noise_correlation, VERMILLION, "s", "noise"),
            (null.real_correlation, BLUE, "o", "particles"),
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


def _known(counts: Sequence[int], values: NDArray) -> Iterator[tuple[int, float]]:
    """Give the points with a value."""
    for count, value in zip(counts, values, strict=False):
        if np.isfinite(value):
            yield int(count), float(value)
