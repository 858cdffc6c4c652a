"""What `sync` tells its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cryoalign
from cryoalign.jobs.sync.parameters import SyncParameters
from cryoalign.jobs.sync.result import SyncResult
from cryoalign.report.sync import SyncReportData, write_sync_report
from cryoalign.run.rundir import RunDirectory


def write_report(
    p: SyncParameters,
    found: SyncResult,
    run: RunDirectory,
    argv: Sequence[str],
    counts: Mapping[str, object],
    files: Mapping[str, str],
) -> None:
    """Write report.html."""
    sync, table = found.sync, found.table
    in_angstrom = found.shifts is not None and found.pixel_size_angstrom is not None
    data = SyncReportData(
        title="Angles of a graph",
        command_line=" ".join(["cryoalign", *argv]),
        version=cryoalign.__version__,
        psi_deg=sync.psi_deg,
        confidence=sync.confidence,
        component=sync.component,
        isolated=sync.isolated,
        mirror=None if table.mirror is None else sync.mirror,
        i=found.edges.i,
        j=found.edges.j,
        residual_deg=sync.residual_deg,
        inlier=sync.inlier,
        density_centres_deg=sync.density.centres_deg,
        density=sync.density.density,
        median_residual_deg=float(counts["median_residual_deg"]),  # type: ignore[arg-type]
        eigenvalues=sync.eigenvalues,
        held_out_log_likelihood=sync.held_out_log_likelihood,
        signal=sync.signal,
        algorithm=p.algorithm,
        algorithm_used=sync.algorithm_used,
        shift_angstrom=found.shifts.origin_px * found.pixel_size_angstrom if in_angstrom else None,  # type: ignore
        shift_scale_angstrom=found.shifts.scale_px * found.pixel_size_angstrom if in_angstrom else None,  # type: ignore
        things="particles" if found.particles is not None else "nodes",
        parameters=_parameters_as_words(p, found),
        counts=_counts_as_words(counts),
        warnings=list(run.warnings),
        timings_s=dict(run.timings_s),
        files=dict(files)
        | {"report.html": "this report", "run.json, run.log": "parameters, versions, inputs, counts, timings; the log"},
        notes=_notes(found),
    )
    write_sync_report(run.staged("report.html"), data)


def _parameters_as_words(p: SyncParameters, found: SyncResult) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    weighted = found.table.weight is not None
    words = {
        "GRAPH": str(p.graph),
        "--algorithm": p.algorithm,
        "--k-max": "chosen" if p.k_max is None else str(p.k_max),
        "weights": ("used" if p.weights else "not used") if weighted else "the graph has none",
        "mirrors": "solved for" if found.table.mirror is not None else "the graph has none",
        "shifts": "solved for" if found.shifts is not None else "the graph has none",
        "--seed": str(p.seed),
    }
    if p.anchor:
        words["--anchor"] = ", ".join(p.anchor)
    if p.max_distance is not None:
        words["--max-distance"] = f"{p.max_distance:g}"
    if found.table.metric:
        words["distance"] = found.table.metric
    return words


_WORDS = {
    "nodes": "nodes",
    "isolated": "nodes without edges",
    "read": "edges read",
    "too_far": "left out by --max-distance",
    "repeats": "left out as exact repeats",
    "edges": "edges used",
    "pairs": "pairs of nodes with edges",
    "pairs_with_several_edges": "pairs with several edges",
    "pairs_that_contradict_themselves": "of these, pairs whose edges contradict each other",
}


def _counts_as_words(counts: Mapping[str, object]) -> dict[str, int | str]:
    return {words: counts[name] for name, words in _WORDS.items()}  # type: ignore[misc]


def _notes(found: SyncResult) -> list[str]:
    notes = [
        "An edge listed in both directions, or twice, is one edge if both say the same; if not, both are kept.",
        "The probability that an edge is right comes from the density of residuals: its peak against its level floor.",
        "Held-out edges take no part in finding the angles that they are compared with: 15 % at a time.",
    ]
    if found.particles is not None:
        notes.append(
            "That edges agree with each other does not prove that the images hold a particle: edges between images of "
            "pure noise can agree as well. classavg tests that."
        )
    if found.table.mirror is not None:
        notes.append("Angle and handedness are solved for together; the handedness of a component as a whole is free.")
    return notes
