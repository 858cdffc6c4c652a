"""What `sync` tells its report."""

from __future__ import annotations

from collections.abc import Mapping

from cryoalign.jobs.sync.parameters import SyncParameters
from cryoalign.jobs.sync.result import SyncResult
from cryoalign.report.run_facts import RunFacts, given_options
from cryoalign.report.sync_page import SyncReportData, build_sync_page
from cryoalign.runs.rundir import RunDirectory


def write_report(
    p: SyncParameters, found: SyncResult, run: RunDirectory, counts: Mapping[str, object], files: Mapping[str, str]
) -> None:
    """Write report.html."""
    facts = RunFacts.of(
        run, "Angles of a graph", parameters=_parameters_as_words(p, found),
        counts={words: counts[name] for name, words in _WORDS.items()}, files=files, notes=_notes(found),
    )  # fmt: skip
    data = SyncReportData(
        sync=found.sync, edges=found.edges, algorithm=p.algorithm, mirrors=found.table.mirror is not None,
        shifts=found.shifts, pixel_size_angstrom=found.pixel_size_angstrom,
        things="particles" if found.particles is not None else "nodes",
    )  # fmt: skip
    run.write("report.html", build_sync_page(facts, data))


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
    words |= given_options(p, "max_distance")
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
