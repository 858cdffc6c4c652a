"""The page of `rid-distance`: distances, poses of edges, who is whose neighbour, examples, settings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cryoalign.report import charts
from cryoalign.report.figures import data_uri, display_lowpass, display_tile, draw_bar, png_bytes, scale_bar_angstrom
from cryoalign.report.html import caption, escape, picture, strip
from cryoalign.report.neighbour_counts import in_degree, lists_ends, mutual_share
from cryoalign.report.numbers import angle_uniformity, finite, median, plural, text_number, text_percent
from cryoalign.report.page_parts import whole_page
from cryoalign.report.rid_distance_data import NeighbourExample, RidDistanceReportData

MAX_EXAMPLES, MAX_NEIGHBOURS = 8, 8
MAX_DRAWN = 4_000_000
"""More edges than these are thinned evenly before they are drawn: no picture would change."""


def build_rid_distance_page(data: RidDistanceReportData) -> str:
    """Return report.html as text."""
    return whole_page(
        data,
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        sections=(
            ("examples", "Particles and their neighbours", _examples(data)),
            ("distances", "Distances", _section(_distances(data))),
            ("poses", "Angles, shifts and mirrors", _section(_poses(data))),
            ("graph", "Who is whose neighbour", _section(_graph(data))),
        ),
    )


def summary_sentence(data: RidDistanceReportData) -> str:
    """Say in one breath what came out."""
    n, edges = data.particles, len(data)
    of = "" if data.queries is None else f"{data.queries:,} of "
    how = {
        "nearest": f"the {data.k:,} nearest of each" if data.k else "the nearest of each",
        "threshold": "all pairs" + ("" if data.max_distance is None else f" within {text_number(data.max_distance)}"),
        "all-pairs": "all pairs",
    }[data.kind]
    if not edges:
        return f"{of}{n:,} {plural(n, 'particle')}, {how}: no edges."
    words = f"median distance {text_number(median(data.distance))}"
    if data.shift_angstrom is not None:
        words += f", median shift {text_number(median(_length(data)))} Å"
    if data.mirror is not None:
        words += f", {text_percent(int(np.count_nonzero(data.mirror)), edges)} mirrored"
    return (
        f"{of}{n:,} {plural(n, 'particle')}, {how}: {edges:,} {plural(edges, 'edge')}, {words}; "
        f"{len(data.warnings) or 'no'} {plural(len(data.warnings), 'warning')}."
    )


def _facts(data: RidDistanceReportData) -> Iterator[tuple[str, str, str]]:
    read = data.counts.get("read")
    yield "Particles", f"{data.particles:,}", f"of {read:,} read" if isinstance(read, int) else "compared"
    if data.queries is not None:
        yield "Queries", f"{data.queries:,}", "particles that lists were made for"
    yield "Edges", f"{len(data):,}", {"nearest": "directed, nearest first"}.get(data.kind, "each pair once")
    if data.k is not None:
        yield "Neighbours", f"{data.k:,}", "asked for, for each"
    if len(data):
        yield "Median distance", text_number(median(data.distance)), data.metric or data.distance_unit
    if data.shift_sd_angstrom is not None:
        pixels = data.shift_sd_angstrom / data.pixel_size_angstrom
        yield "Shift", f"{text_number(data.shift_sd_angstrom, 2)} Å", f"standard deviation, {text_number(pixels, 2)} px"
    else:
        yield "Shift", "not searched", "particles are taken as centred"
    if data.mirror is None:
        yield "Mirrors", "not searched", "mirror images are far apart"
    elif len(data):
        share = text_percent(int(np.count_nonzero(data.mirror)), len(data))
        yield "Mirrored", share, "of edges; 50 % if views are even"


def _section(pictures: Iterator[str]) -> str:
    content = "".join(pictures)
    return f'<div class="charts">{content}</div>' if content else ""


def _thin(data: RidDistanceReportData) -> slice:
    return slice(None, None, max(1, -(-len(data) // MAX_DRAWN)))


def _length(data: RidDistanceReportData) -> NDArray[np.float64]:
    shift = np.asarray(data.shift_angstrom, np.float64)[_thin(data)]
    return np.hypot(shift[:, 0], shift[:, 1])


def _distances(data: RidDistanceReportData) -> Iterator[str]:
    if not len(data):
        return
    label = f"distance ({data.distance_unit})"
    if data.kind == "nearest":
        first, last = lists_ends(data.i)
        near, far = np.asarray(data.distance)[first], np.asarray(data.distance)[last]
        # One scale for both, so that they can be compared.
        edges = charts.bin_edges(finite(np.concatenate([near, far])))
        k = data.k or int(np.max(last - first, initial=0)) + 1
        for values, name, aid in (
            (near, "Distance to the nearest", "one hump. A few very short distances: the same particle picked twice. "
             "A tail on the right: particles like no other, often junk."),
            (far, f"Distance to number {k:,}", "a hump not far right of that of the nearest: enough particles of every "
             "view. Where it is much farther, -k asks for more neighbours than a view has."),
        ):  # fmt: skip
            middle = median(values)
            yield picture(
                charts.histogram(values, x_label=label, marks=[(middle, f"median {text_number(middle)}")],
                                 low=float(edges[0]), high=float(edges[-1]), width=charts.WIDTH),
                name,
                f"Median {text_number(middle)}.",
                aid,
            )  # fmt: skip
        return
    middle = median(data.distance)
    marks = [(middle, f"median {text_number(middle)}")]
    if data.max_distance is not None:
        marks.append((data.max_distance, f"limit {text_number(data.max_distance)}"))
    yield picture(
        charts.histogram(np.asarray(data.distance)[_thin(data)], x_label=label, y_label="pairs", marks=marks,
                         high=None if data.max_distance is None else 1.03 * data.max_distance, width=charts.WIDTH),
        "Distances of pairs",
        f"Median {text_number(middle)}, {len(data):,} {plural(len(data), 'pair')}.",
        "a left shoulder: pairs of the same view. A limit well inside the main hump takes pairs of different views.",
    )  # fmt: skip


def _poses(data: RidDistanceReportData) -> Iterator[str]:
    if not len(data):
        return
    angles = np.asarray(data.angle_deg)[_thin(data)]
    found = angle_uniformity(angles)
    lobes = "" if found.fold == 1 else f", {found.fold} lobes"
    mirrored = "Mirrors were not searched."
    if data.mirror is not None:
        count = int(np.count_nonzero(data.mirror))
        mirrored = f"{count:,} of {len(data):,} edges are mirrored ({text_percent(count, len(data))})."
    yield picture(
        charts.angle_rose(angles, things="edges", name="in-plane angle"),
        "In-plane angles of edges",
        f"Strongest mean vector {found.strength:.3f} (0 = even, 1 = all alike{lobes}). {mirrored}",
        "bars that reach the dashed circle all round, and about half of the edges mirrored if all views occur. A spike "
        "at 0° means particles alike without being turned: duplicates, or a pattern fixed to the camera.",
    )
    if data.shift_angstrom is None:
        return
    shift = np.asarray(data.shift_angstrom, np.float64)[_thin(data)]
    middle = median(_length(data))
    expected = ""
    if data.shift_sd_angstrom:
        expected = f" Centres of particles: standard deviation {text_number(data.shift_sd_angstrom, 2)} Å."
    yield picture(
        charts.shift_map(shift, None, things="edges"),
        "Shifts of edges",
        f"Median length {text_number(middle)} Å ({text_number(middle / data.pixel_size_angstrom, 2)} px).{expected}",
        "most edges at or near the middle, fewer and fewer outwards. Many at the outermost shifts ask for a larger "
        "--shift-sd. An edge's shift is the difference of two centres: wider than either by a factor 1.4.",
    )


def _graph(data: RidDistanceReportData) -> Iterator[str]:
    if not len(data) or data.kind == "all-pairs":
        return  # with all pairs, everyone is everyone's neighbour
    if data.kind == "nearest":
        counts = in_degree(data.j, data.particles)
        things, title = "lists that hold the particle", "How often a particle is a neighbour"
        lead = f"{text_percent(*mutual_share(data.i, data.j, data.particles))} of the neighbours are mutual. "
    else:
        counts = in_degree(np.concatenate([np.asarray(data.i), np.asarray(data.j)]), data.particles)
        things, title, lead = "pairs that hold the particle", "Neighbours of a particle", ""
    mean, top, none = len(data) / data.particles, int(np.argmax(counts)), int(np.count_nonzero(counts == 0))
    mean *= 1 if data.kind == "nearest" else 2
    hub = max(1, data.particles // 100)
    share = float(np.sort(counts)[-hub:].sum() / max(1, counts.sum()))
    yield picture(
        charts.histogram(counts, x_label=things, marks=[(mean, f"mean {text_number(mean)}")],
                         width=charts.WIDTH, whole=True),
        title,
        f"{lead}Most often: particle {top + 1:,}, {counts[top]:,} times; {none or 'no'} {plural(none, 'particle')} "
        f"never. The top 1 % of particles take {100 * share:.1f} % of all places.",
        "a hump about the mean. A long tail on the right: hubs, particles that are near to everything, such as bright "
        "ones, carbon or ice; distances that hubs rule are not to be trusted. A peak at 0: particles like no other.",
    )  # fmt: skip


def _examples(data: RidDistanceReportData) -> str:
    shown = data.examples[:MAX_EXAMPLES]
    if not shown:
        return ""
    pixel = data.pixel_size_angstrom
    cutoff = data.display_lowpass_angstrom or max(25.0, 5 * pixel)
    width = shown[0].query.shape[-1] * pixel
    bar = scale_bar_angstrom(width)
    rows = "".join(f"<h3>{escape(e.name)}</h3>{_example(e, pixel, cutoff, bar / width)}" for e in shown)
    mean = " Last: the mean of the particle and its neighbours." if any(e.mean is not None for e in shown) else ""
    words = caption(
        f"First a particle, then its nearest neighbours after their poses, with their distances ({data.distance_unit})."
        f"{mean} Every picture is {text_number(width)} Å wide, its white bar {bar:g} Å. Single particles are smoothed "
        f"for the eye only: Gaussian low-pass, half amplitude at {text_number(cutoff)} Å.",
        "neighbours that show the particle's shape at its angle. Where single particles are all noise, the mean tells: "
        "it should be a sharp view, not a blurred disc.",
    )
    return f'<figure><figcaption class="above">{words}</figcaption>{rows}</figure>'


def _example(example: NeighbourExample, pixel: float, cutoff: float, bar: float) -> str:
    count = min(len(example.neighbours), MAX_NEIGHBOURS)
    stack = np.concatenate([np.asarray(example.query)[None], np.asarray(example.neighbours)[:count]])
    smooth = display_lowpass(stack, pixel, cutoff)
    entries = [(_tile_uri(smooth[0], bar), f"particle {example.name}", "particle")]
    for place in range(count):
        mirrored = example.mirror is not None and bool(example.mirror[place])
        words = text_number(example.distance[place]) + (", mirrored" if mirrored else "")
        entries.append((_tile_uri(smooth[place + 1], bar), f"neighbour {place + 1} at distance {words}", words))
    if example.mean is not None:
        words = f"mean of {example.mean_of:,}"
        entries.append((_tile_uri(example.mean, bar), words, words))
    return strip(entries)


def _tile_uri(image: NDArray, bar: float) -> str:
    pixels = display_tile(image, 128)
    draw_bar(pixels, max(2, round(bar * pixels.shape[-1])))
    return data_uri(png_bytes(pixels), "image/png")
