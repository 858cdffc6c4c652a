"""What the members of views tell: distances, viewing angles, in-plane angles, shifts, and the quality of particles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.classification import LEAST_SHARE, LEAST_Z, SignalTest
from cryoalign.report import charts
from cryoalign.report.classavg_data import ClassavgReportData
from cryoalign.report.html import abreast, escape, facts, picture, picture_grid
from cryoalign.report.numbers import (
    angle_uniformity,
    finite,
    median,
    number_text,
    plural,
    text_number,
    text_percent,
    z_text,
)
from cryoalign.report.views_sphere import (
    MAX_MARKED,
    MAX_NUMBERED,
    even_share,
    evenness,
    half_sphere_chart,
    half_spheres,
    highest_density,
)

JUNK_SIGMA = 3.0
"""Particles so far below the median score, in standard deviations of the upper half, are counted as the tail."""


def signal_section(test: SignalTest) -> str:
    """Return what the test for a signal says, as HTML."""
    boxes = [
        ("Verdict", "signal" if test.signal else "no signal",
         f"needs z ≥ {LEAST_Z:g} and share ≥ {LEAST_SHARE:g}"),
        ("z", z_text(test.z), "standard errors above chance; noise gives 0 ± 1"),
        ("Share", number_text(test.share, 2), "1 = neighbours show the same, 0 = nothing in common"),
    ]  # fmt: skip
    words = (
        "What a particle shows was parted into two sets of components. Neighbours were found with one set, and their "
        "likeness was measured in the other, which had no part in the choice. "
    )
    if test.signal:
        words += "They are alike there too: the averages are not made by the search."
        if test.share < 0.6:
            words += " The share is low: signal is weak, or many neighbours are not of the same view."
    else:
        words += NO_SIGNAL
    kind = "fine" if test.signal else "warnings"
    return f'<p class="{kind} verdict">{escape(words)}</p>{facts(boxes)}'


NO_SIGNAL = (
    "They are no more alike there than chance makes them. Averages of noise that was turned to match itself look like "
    "particles too: do not trust these without other evidence."
)


def sphere_section(data: ClassavgReportData) -> str:
    """Return the picture of viewing directions, as HTML; empty where no particle has one."""
    rows = data.views.by_number(data.seeds)
    halves = half_spheres(data.classification.embedding, rows)
    placed = sum(len(half.points) for half in halves)
    if not placed:
        return ""
    highest, views = highest_density(halves), len(rows)
    fuller, empty = evenness(halves)
    finding = f"{placed:,} {plural(placed, 'particle')}"
    if placed < data.particles:
        finding += f" of {data.particles:,} (the others have no direction)"
    if highest:
        finding += (
            f"; the fuller half of the area holds {100 * fuller:.0f} % of them ({100 * even_share(placed):.0f} % "
            "where all views are alike likely), and "
            f"{100 * empty:.0f} % of the area is nearly empty"
        )
    finding += "."
    if 0 < views <= MAX_MARKED:
        finding += " Numbers: views." if views <= MAX_NUMBERED else " Dots: the particles that views are made round."
    entries = [
        (
            half_sphere_chart(half, highest=highest, views=views),
            name,
            f"{len(half.points):,} {plural(len(half.points), 'particle')}, {len(half.views):,} "
            f"{plural(len(half.views), 'view')}.",
        )
        for half, name in zip(halves, ("Near half", "Far half"), strict=True)
    ]
    return picture_grid(
        entries,
        "Viewing directions",
        finding,
        "even shading: all views occur. Dark spots: preferred orientations; bands: particles that turn about one axis; "
        "separate islands: different molecules, or junk. Only distances between points mean something: the frame is "
        "free, and circles are 30° and 60° from the middle. Equal areas are drawn equal. The map is that of the graph: "
        "where neighbours are uncertain it crowds views that lie apart.",
        columns=2,
    )


def member_section(data: ClassavgReportData) -> str:
    """Return histograms over the memberships of views, as HTML; empty where there are none."""
    return abreast(*_members(data))


def particle_section(data: ClassavgReportData) -> str:
    """Return quality and shifts of particles, as HTML; empty where neither is known."""
    return abreast(*_quality(data), *_shifts(data))


def junk_limit(scores: np.ndarray) -> float:
    """Return the score `JUNK_SIGMA` standard deviations below the median; the width is that of the upper half alone."""
    middle = float(np.median(scores))
    # The 84.1 percentile of a Gaussian lies one standard deviation above its median.
    return middle - JUNK_SIGMA * (float(np.percentile(scores, 84.13)) - middle)


def _members(data: ClassavgReportData) -> Iterator[str]:
    if not len(data.poses):
        return
    middle, shown = median(data.distance), finite(data.distance)
    near_zero = bool(len(shown)) and float(shown.min()) < 0.3 * float(shown.max())
    yield picture(
        charts.histogram(data.distance, x_label=f"distance ({data.distance_unit})", y_label="memberships",
                         marks=[(middle, f"median {text_number(middle)}")], low=0.0 if near_zero else None,
                         width=charts.WIDTH),
        "Distances of members",
        f"Median {text_number(middle)}, {len(data.poses):,} {plural(len(data.poses), 'membership')}.",
        "one hump. Noise sets where it lies, the views its width: a long right tail means views with too few true "
        "neighbours for so large a -k.",
    )  # fmt: skip
    if data.viewing_angle_deg is not None and len(finite(data.viewing_angle_deg)):
        yield from _viewing_angles(data, data.viewing_angle_deg)
    found = angle_uniformity(data.poses.psi)
    mirrored = " Mirrors were not searched."
    if data.mirrored is not None:
        mirrored = f" {data.mirrored:.1f} % are mirrored; about 50 % if all views occur."
    yield picture(
        charts.angle_rose(data.poses.psi, things="memberships", name="in-plane angle"),
        "In-plane angles of members",
        f"{'Even within chance' if found.even else 'Not even'}: {found.in_words}.{mirrored}",
        "bars that reach the dashed circle all round. A spike at 0° means particles that are alike without being "
        "turned: duplicates, overlapping picks, or a pattern fixed to the camera.",
    )


def _viewing_angles(data: ClassavgReportData, angles: NDArray) -> Iterator[str]:
    middle = median(angles)
    yield picture(
        charts.histogram(angles, x_label="angle between viewing directions (°)",
                         y_label="memberships", marks=[(middle, f"median {text_number(middle, 2)}°")], low=0.0,
                         width=charts.WIDTH),
        "Viewing angles of members",
        f"Median {text_number(middle, 2)}°, as far as the graph tells.",
        "the narrower, the less an average blurs. Detail of size d stays sharp within about d / diameter of the "
        "particle, in radians: 6° for a tenth.",
    )  # fmt: skip
    spread = data.spread
    if len(spread) < 2:
        return
    narrow, wide = min(spread, key=spread.__getitem__), max(spread, key=spread.__getitem__)
    yield picture(
        charts.class_spread(angles, data.view, max(data.views.images), y_label="angle to the middle (°)", word="view"),
        "Spread of viewing angles in each view",
        f"Narrowest: view {narrow} with {text_number(spread[narrow], 2)}° (root mean square); widest: view {wide} "
        f"with {text_number(spread[wide], 2)}°.",
        "views far above the rest have few true neighbours: rare views, or junk. Fewer neighbours (-k) narrow them.",
    )


def _quality(data: ClassavgReportData) -> Iterator[str]:
    scores = finite(data.classification.quality)
    if not len(scores):
        return
    middle, limit = median(scores), junk_limit(scores)
    low = int(np.count_nonzero(scores < limit))
    marks = [(middle, f"median {number_text(middle)}")]
    if low:
        marks.append((limit, f"{JUNK_SIGMA:g} sd below: {number_text(limit)}"))
    lost = data.particles - len(scores)
    yield picture(
        charts.histogram(scores, x_label="score against the neighbours (no unit)", marks=marks, width=charts.WIDTH,
                         low=float(scores.min()) if low else None),
        "Quality of particles",
        f"{low or 'No'} {plural(low, 'particle')}" + (f" ({text_percent(low, len(scores))})" if low else "")
        + f" lie more than {JUNK_SIGMA:g} standard deviations below the median."
        + (f" {lost:,} have no score." if lost else ""),
        "one hump is one kind of particles. A tail or a second hump on the left is ice, carbon, edges and wrong picks: "
        "sort by the score and look before leaving any out, as rare views have fewer neighbours and score lower too.",
    )  # fmt: skip


def _shifts(data: ClassavgReportData) -> Iterator[str]:
    searched = data.shift_sd_angstrom
    if searched is None:
        return
    centre = np.asarray(data.classification.centre_px * data.prepared_pixel_angstrom, np.float64)
    pixel = data.views.pixel_size_angstrom
    sd = [float(np.std(finite(column))) if len(finite(column)) else float("nan") for column in centre.T]
    yield picture(
        charts.shift_map(centre, None),
        "Shifts of particles",
        f"Standard deviation x {text_number(sd[0], 2)} Å, y {text_number(sd[1], 2)} Å "
        f"({text_number(float(np.mean(sd)) / pixel, 2)} px). Searched with {text_number(searched, 2)} Å.",
        "a round cloud about the centre. One that is cut off, or as wide as the search allows, asks for a larger "
        "--shift-sd; one off centre for other picks.",
    )
