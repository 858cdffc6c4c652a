"""What ``rid-distance`` tells its report: the graph, and a few particles with their neighbours as pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.ctf_sums import resample_with_ctf
from cryoalign.core.poses import Poses
from cryoalign.io.graph_file import Graph
from cryoalign.jobs.rid_distance.found import FoundGraph
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.passes.prepare.prepared import Prepared
from cryoalign.report.rid_distance_data import NeighbourExample, RidDistanceReportData
from cryoalign.report.rid_distance_page import build_rid_distance_page
from cryoalign.report.run_facts import RunFacts, given_options
from cryoalign.runs.rundir import RunDirectory

_EXAMPLES, _SHOWN, _AVERAGED = 6, 8, 50


def write_report(
    p: RidDistanceParameters,
    found: FoundGraph,
    prepared: Prepared,
    run: RunDirectory,
    counts: Mapping[str, int],
    files: Mapping[str, str],
) -> None:
    """Write report.html."""
    facts = RunFacts.of(
        run, "Nearest neighbours" if found.k is not None else "Distances of pairs",
        parameters=_parameters_as_words(p, found, prepared), counts=counts, files=files,
    )  # fmt: skip
    data = RidDistanceReportData(
        graph=found.graph, kind="nearest" if found.k is not None else "all-pairs" if p.all_pairs else "threshold",
        distance_unit=found.unit, mirrors=p.mirror, queries=found.queries, k=found.k, max_distance=p.max_distance,
        shift_sd_px=found.shift_sd_px, examples=_examples(found, prepared),
    )  # fmt: skip
    run.write("report.html", build_rid_distance_page(facts, data))


def _examples(found: FoundGraph, prepared: Prepared) -> list[NeighbourExample]:
    """Show particles from the one with the nearest neighbours to the one with the furthest, evenly."""
    graph = found.graph
    if found.k is None:
        return []
    rows, first, count = np.unique(graph.i, return_index=True, return_counts=True)
    far = np.add.reduceat(graph.distance.astype(np.float64), first) / count
    order = np.lexsort((rows, far))
    chosen = order[np.unique(np.linspace(0, len(order) - 1, _EXAMPLES).round().astype(int))]
    return [_example(graph, prepared, int(first[c]), int(count[c])) for c in chosen]


def _example(graph: Graph, prepared: Prepared, first: int, count: int) -> NeighbourExample:
    edges = np.arange(first, first + min(count, _AVERAGED))
    row, others = int(graph.i[first]), graph.j[edges]
    poses = graph.poses(edges)
    every = _images(prepared, np.concatenate([[row], others]), Poses.concatenate([Poses.identity(1), poses]))
    return NeighbourExample(
        name=str(graph.name[row]), images=every[: 1 + _SHOWN], distance=graph.distance[edges[:_SHOWN]],
        mirror=graph.mirror[edges[:_SHOWN]], mean=every.mean(axis=0), mean_of=len(every),
    )  # fmt: skip


def _images(prepared: Prepared, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.float32]:
    """Return raw images after their poses, phase-flipped; those of other geometries as nothing but 0."""
    plan = prepared.plan
    images = np.zeros((len(rows), plan.raw_box, plan.raw_box), np.float32)
    for g, geometry in enumerate(plan.geometries):
        here = np.flatnonzero(plan.geometry_of[rows] == g)
        if geometry.box != plan.raw_box or geometry.pixel_size_angstrom != plan.raw_pixel_size or not len(here):
            continue
        raw = geometry.source.read(plan.place_in[rows[here]])
        ctf = None if plan.ctf is None else plan.ctf.take(rows[here])
        images[here] = resample_with_ctf(raw, poses.take(here), ctf, geometry.pixel_size_angstrom, treatment="flip")
    return images


def _parameters_as_words(p: RidDistanceParameters, found: FoundGraph, prepared: Prepared) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    words = {
        **({"--score": p.score} if p.measure is None else {}),
        "--metric": p.metric,
        "--downsample": f"{prepared.plan.box} px",
        "--mask-diameter": f"{prepared.plan.mask_diameter_angstrom:.1f} A",
        "CTF": "phases corrected" if prepared.plan.ctf is not None else "not corrected",
        "whitening": "on" if p.whiten else "off",
        "mirrors": "searched" if p.mirror else "not searched",
        "shifts": _shifts_in_words(p, found),
    }
    if found.k is not None:
        words = {"-k": str(found.k)} | words
    return words | given_options(p, "max_distance", "queries", "candidates", "limit")


def _shifts_in_words(p: RidDistanceParameters, found: FoundGraph) -> str:
    if found.shift_sd_px is None:
        return "not searched"
    if p.measure is not None:
        return f"searched up to {2.5 * found.shift_sd_px:.2f} px"
    return f"searched, deviation {found.shift_sd_px:.2f} px"
