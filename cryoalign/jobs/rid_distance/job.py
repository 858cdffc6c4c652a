"""``rid-distance`` from start to finish: read, prepare in parts, compare, write the graph, commit."""

from __future__ import annotations

from collections.abc import Sequence

from cryoalign.io.graph_file import write_graph
from cryoalign.io.graph_text import write_graph_csv, write_graph_star
from cryoalign.jobs.rid_distance.found import FoundGraph
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.jobs.rid_distance.report import write_report
from cryoalign.jobs.rid_distance.search import find_graph
from cryoalign.passes.bad_rows import write_skipped
from cryoalign.passes.chosen import chosen_rows
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.prepared import FEWEST, Prepared, prepare
from cryoalign.passes.reading import read_table
from cryoalign.passes.seen import say_what_was_seen
from cryoalign.runs.rundir import RunDirectory


def run_rid_distance(p: RidDistanceParameters, argv: Sequence[str], verbosity: int) -> int:
    """Find neighbours and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        particles = read_table(p, run)
        if p.queries is not None:
            chosen_rows(p.queries, particles, option="--queries")  # a mistake should not cost an hour
        # Components need some images to be found; two class averages have a distance.
        fewest = FEWEST if p.measure is None else 2
        images = ParticleImages.of(particles, p, scratch=run.scratch("unpacked"), warn=run.warn, threads=p.threads)
        prepared = prepare(p, images, run, block_size=p.block_size, fewest=fewest)
        if prepared is None:
            run.leave_partial()
            return 0
        with run.stage("compare"):
            found = find_graph(p, prepared, run)
        _say(p, found, run)
        with run.stage("write"):
            files = _write(p, found, prepared, run)
        counts = {
            "read": len(particles),
            "compared": len(prepared.rows),
            "skipped": len(particles) - len(prepared.rows),
            "edges": len(found.graph),
        } | say_what_was_seen(run, images, prepared.look)
        with run.stage("report"):
            write_report(p, found, prepared, run, counts, files)
        run.commit(counts=counts)
        return 0


def _write(p: RidDistanceParameters, found: FoundGraph, prepared: Prepared, run: RunDirectory) -> dict[str, str]:
    """Write the graph in every format, and the rows left out; return what the files hold."""
    write_graph(run.staged("graph.npz"), found.graph)
    files = {"graph.npz": "who is near whom, how near, and the pose that brings one onto the other"}
    if "csv" in p.export:
        write_graph_csv(run.staged("graph.csv"), found.graph)
        files["graph.csv"] = "the same as text, a line for each edge"
    if "star" in p.export:
        write_graph_star(run.staged("graph.star"), found.graph)
        files["graph.star"] = "the same as a STAR file"
    return files | write_skipped(run, prepared.particles, prepared.look)


def _say(p: RidDistanceParameters, found: FoundGraph, run: RunDirectory) -> None:
    graph = found.graph
    if p.measure is not None:
        run.log.info("all pairs compared by %s", p.measure)
    elif found.k is not None:
        shifts = "no shifts" if found.shift_sd_px is None else f"shifts with a deviation of {found.shift_sd_px:.2f} px"
        run.log.info("%d components, %s", found.components, shifts)
    else:
        run.log.info("%d components, all pairs, without shifts", found.components)
    mirrors = f", {100 * graph.mirror.mean():.1f} % mirrored" if p.mirror else ""
    low, high = float(graph.distance.min()), float(graph.distance.max())
    run.log.info("%d edges, distances from %.4g to %.4g %s%s", len(graph), low, high, found.unit, mirrors)
    run.log.info("seconds by stage: %s", ", ".join(f"{name} {value:.1f}" for name, value in run.timings_s.items()))
