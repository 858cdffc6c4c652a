"""The page of `rid-distance`: distances, poses of edges, who is whose neighbour, examples, settings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cryoalign.report import charts
from cryoalign.report.figures import (
    data_uri,
    display_cutoff,
    display_lowpass,
    display_tile,
    draw_bar,
    png_bytes,
    scale_bar_angstrom,
)
from cryoalign.report.html import abreast, caption, escape, picture, strip
from cryoalign.report.neighbour_counts import in_degree, lists_ends, mutual_share
from cryoalign.report.numbers import (
    angle_uniformity,
    finite,
    median,
    plural,
    shift_fact,
    text_number,
    text_percent,
)
from cryoalign.report.rid_distance_data import NeighbourExample, RidDistanceReportData
from cryoalign.report.run_facts import RunFacts, whole_page

MAX_NEIGHBOURS = 8


def build_rid_distance_page(run: RunFacts, data: RidDistanceReportData) -> str:
    """Return report.html as text."""
    return whole_page(
        run,
        summary=summary_sentence(run, data),
        fact_boxes=_facts(run, data),
        sections=(
            ("examples", "Particles and their neighbours", _examples(data)),
            ("distances", "Distances", abreast(*_distances(data))),
            ("poses", "Angles, shifts and mirrors", abreast(*_poses(data))),
            ("graph", "Who is whose neighbour", abreast(*_graph(data))),
        ),
    )


def summary_sentence(run: RunFacts, data: RidDistanceReportData) -> str:
    """Say in one breath what came out."""
    n, edges = data.graph.n, len(data)
    of = "" if data.queries is None else f"{data.queries:,} of "
    how = {
        "nearest": f"the {data.k:,} nearest of each" if data.k else "the nearest of each",
        "threshold": "all pairs" + ("" if data.max_distance is None else f" within {text_number(data.max_distance)}"),
        "all-pairs": "all pairs",
    }[data.kind]
    if not edges:
        return f"{of}{n:,} {plural(n, 'particle')}, {how}: no edges."
    words = f"median distance {text_number(median(data.graph.distance))}"
    if data.shift_sd_px is not None:
        words += f", median shift {text_number(_median_length(data))} Å"
    if data.mirrors:
        words += f", {text_percent(data.mirrored, edges)} mirrored"
    return f"{of}{n:,} {plural(n, 'particle')}, {how}: {edges:,} {plural(edges, 'edge')}, {words}; {run.warned}."


def _facts(run: RunFacts, data: RidDistanceReportData) -> Iterator[tuple[str, str, str]]:
    yield "Particles", f"{data.graph.n:,}", run.of_read("compared")
    if data.queries is not None:
        yield "Queries", f"{data.queries:,}", "particles that lists were made for"
    yield "Edges", f"{len(data):,}", {"nearest": "directed, nearest first"}.get(data.kind, "each pair once")
    if data.k is not None:
        yield "Neighbours", f"{data.k:,}", "asked for, for each"
    if len(data):
        yield "Median distance", text_number(median(data.graph.distance)), data.graph.metric
    yield shift_fact(data.shift_sd_angstrom, data.graph.pixel_size_angstrom)
    if not data.mirrors:
        yield "Mirrors", "not searched", "mirror images are far apart"
    elif len(data):
        yield "Mirrored", text_percent(data.mirrored, len(data)), "of edges; 50 % if views are even"


def _shifts(data: RidDistanceReportData) -> NDArray[np.float64]:
    """Return the shifts that are drawn, (edges, 2) in A."""
    return np.asarray(charts.thinned(data.graph.shift_px), np.float64) * data.graph.pixel_size_angstrom


def _median_length(data: RidDistanceReportData) -> float:
    return median(np.hypot(*_shifts(data).T))


def _distances(data: RidDistanceReportData) -> Iterator[str]:
    if not len(data):
        return
    label = f"distance ({data.distance_unit})"
    if data.kind == "nearest":
        first, last = lists_ends(data.graph.i)
        near, far = data.graph.distance[first], data.graph.distance[last]
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
    middle = median(data.graph.distance)
    marks = [(middle, f"median {text_number(middle)}")]
    if data.max_distance is not None:
        marks.append((data.max_distance, f"limit {text_number(data.max_distance)}"))
    yield picture(
        charts.histogram(charts.thinned(data.graph.distance), x_label=label, y_label="pairs", marks=marks,
                         high=None if data.max_distance is None else 1.03 * data.max_distance, width=charts.WIDTH),
        "Distances of pairs",
        f"Median {text_number(middle)}, {len(data):,} {plural(len(data), 'pair')}.",
        "a left shoulder: pairs of the same view. A limit well inside the main hump takes pairs of different views.",
    )  # fmt: skip


def _poses(data: RidDistanceReportData) -> Iterator[str]:
    if not len(data):
        return
    angles = charts.thinned(data.graph.angle_deg)
    found = angle_uniformity(angles).in_words
    mirrored = "Mirrors were not searched."
    if data.mirrors:
        share = text_percent(data.mirrored, len(data))
        mirrored = f"{data.mirrored:,} of {len(data):,} edges are mirrored ({share})."
    yield picture(
        charts.angle_rose(angles, things="edges", name="in-plane angle"),
        "In-plane angles of edges",
        f"{found[0].upper()}{found[1:]}. {mirrored}",
        "bars that reach the dashed circle all round, and about half of the edges mirrored if all views occur. A spike "
        "at 0° means particles alike without being turned: duplicates, or a pattern fixed to the camera.",
    )
    if data.shift_sd_angstrom is None:
        return
    middle = _median_length(data)
    expected = ""
    if data.shift_sd_angstrom:
        expected = f" Centres of particles: standard deviation {text_number(data.shift_sd_angstrom, 2)} Å."
    yield picture(
        charts.shift_map(_shifts(data), None, things="edges"),
        "Shifts of edges",
        f"Median length {text_number(middle)} Å ({text_number(middle / data.graph.pixel_size_angstrom, 2)} px)."
        f"{expected}",
        "most edges at or near the middle, fewer and fewer outwards. Many at the outermost shifts ask for a larger "
        "--shift-sd. An edge's shift is the difference of two centres: wider than either by a factor 1.4.",
    )


def _graph(data: RidDistanceReportData) -> Iterator[str]:
    if not len(data) or data.kind == "all-pairs":
        return  # with all pairs, everyone is everyone's neighbour
    n, i, j = data.graph.n, data.graph.i, data.graph.j
    if data.kind == "nearest":
        counts = in_degree(j, n)
        things, title = "lists that hold the particle", "How often a particle is a neighbour"
        lead = f"{text_percent(*mutual_share(i, j, n))} of the neighbours are mutual. "
    else:
        counts = in_degree(np.concatenate([i, j]), n)
        things, title, lead = "pairs that hold the particle", "Neighbours of a particle", ""
    mean, top, none = float(counts.mean()), int(np.argmax(counts)), int(np.count_nonzero(counts == 0))
    hub = max(1, n // 100)
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
    if not data.examples:
        return ""
    pixel = data.graph.pixel_size_angstrom
    width = data.examples[0].mean.shape[-1] * pixel
    bar = scale_bar_angstrom(width)
    rows = "".join(f"<h3>{escape(e.name)}</h3>{_example(data, e, pixel, bar / width)}" for e in data.examples)
    words = caption(
        f"First a particle, then its nearest neighbours after their poses, with their distances ({data.distance_unit})."
        f" Last: the mean of the particle and its neighbours. Every picture is {text_number(width)} Å wide, its white "
        f"bar {bar:g} Å. Single particles are smoothed for the eye only: Gaussian low-pass, half amplitude at "
        f"{text_number(display_cutoff(pixel))} Å.",
        "neighbours that show the particle's shape at its angle. Where single particles are all noise, the mean tells: "
        "it should be a sharp view, not a blurred disc.",
    )
    return f'<figure><figcaption class="above">{words}</figcaption>{rows}</figure>'


def _example(data: RidDistanceReportData, example: NeighbourExample, pixel: float, bar: float) -> str:
    smooth = display_lowpass(example.images[: 1 + MAX_NEIGHBOURS], pixel, display_cutoff(pixel))
    entries = [(_tile_uri(smooth[0], bar), f"particle {example.name}", "particle")]
    for place, image in enumerate(smooth[1:]):
        mirrored = data.mirrors and example.mirror[place]
        words = text_number(example.distance[place]) + (", mirrored" if mirrored else "")
        entries.append((_tile_uri(image, bar), f"neighbour {place + 1} at distance {words}", words))
    words = f"mean of {example.mean_of:,}"
    return strip([*entries, (_tile_uri(example.mean, bar), words, words)])


def _tile_uri(image: NDArray, bar: float) -> str:
    pixels = display_tile(image, 128)
    draw_bar(pixels, max(2, round(bar * pixels.shape[-1])))
    return data_uri(png_bytes(pixels), "image/png")
