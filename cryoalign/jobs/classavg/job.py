"""``classavg`` from start to finish: read, prepare, classify, average views, part for RELION, write, commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.classification import Classification
from cryoalign.classification.views import choose_views, default_count, given_views
from cryoalign.core.errors import InputError
from cryoalign.io.graph_file import write_graph
from cryoalign.jobs.classavg.averages import VIEW_FILES, average_views, write_views
from cryoalign.jobs.classavg.classify import classify_particles, given_graph
from cryoalign.jobs.classavg.members import ViewMembers, view_members
from cryoalign.jobs.classavg.model_files import MODEL_FILES, write_model
from cryoalign.jobs.classavg.parameters import ClassavgParameters
from cryoalign.jobs.classavg.partition import make_partition
from cryoalign.jobs.classavg.report import write_report
from cryoalign.jobs.classavg.result import ClassavgResult
from cryoalign.passes.average.plan import plan_average
from cryoalign.passes.average.settings import AverageSettings
from cryoalign.passes.bad_rows import write_skipped
from cryoalign.passes.chosen import chosen_rows
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.compared import metric_in_words
from cryoalign.passes.prepare.graph import graph_of_lists
from cryoalign.passes.prepare.prepared import Prepared, prepare
from cryoalign.passes.reading import read_table
from cryoalign.passes.seen import say_what_was_seen
from cryoalign.runs.no_signal import NO_SIGNAL, NO_SIGNAL_EXIT
from cryoalign.runs.parameters import settings_from
from cryoalign.runs.rundir import RunDirectory

MOST_REFERENCES = 200
"""Views that the partition aligns to, at most: of more than these it takes a covering set."""
_SHIFT_SHARE = 20
"""The partition searches shifts of up to one part in so many of the box, round the centres that were found."""


def run_classavg(p: ClassavgParameters, argv: Sequence[str], verbosity: int) -> int:
    """Make class averages and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        particles = read_table(p, run)
        graph = given_graph(p, particles, run)
        if p.rows is not None:
            chosen_rows(p.rows, particles, option="--particles")  # a mistake should not cost an hour
        images = ParticleImages.of(particles, p, scratch=run.scratch("unpacked"), warn=run.warn, threads=p.threads)
        prepared = prepare(p, images, run, block_size=p.block_size)
        if prepared is None:
            run.leave_partial()
            return 0
        classification = classify_particles(p, prepared, graph, run)
        # No name here holds what is found: `_finish` lets go of halves before it draws.
        return _finish(p, _averages(p, prepared, classification, run), run)


def _averages(
    p: ClassavgParameters, prepared: Prepared, classification: Classification, run: RunDirectory
) -> ClassavgResult:
    """Choose views, average them, and part the particles among them."""
    plan = prepared.plan
    with run.stage("views"):
        seeds = _seeds(p, prepared, classification)
        views = view_members(classification, seeds, plan.particles, prepared.rows, plan.box, plan.pixel_size_angstrom)
        run.log.info("%d views of %s particles", len(views), _sizes(views))
        settings = settings_from(AverageSettings, p, plain=p.plain or not p.ctf)
        # Bands and shifts are counted in the geometry of most particles, whoever the members of views are.
        average_plan = plan_average(
            settings, plan.images, views.memberships, warn=lambda text: None, most=plan.images.most
        )
    averages = average_views(average_plan, run)
    assert averages is not None  # none of it is done in parts of a job array
    moved = 0.0 if averages.moved_px is None else float(np.hypot(*averages.moved_px.T).max())
    own_pixel = plan.particles.pixel_size_angstrom[prepared.rows]
    partition = make_partition(
        p, averages, _references(seeds, classification, p), run, rows=prepared.rows,
        centre_px=classification.centre_px * (plan.pixel_size_angstrom / own_pixel)[:, None],
        max_shift_px=plan.raw_box / _SHIFT_SHARE + moved, band_ring=plan.box // 2,
    )  # fmt: skip
    run.log.info("%d particles in %d classes for RELION", len(partition.rows), len(partition))
    return ClassavgResult(prepared, classification, seeds, views, averages, partition)


def _seeds(p: ClassavgParameters, prepared: Prepared, classification: Classification) -> NDArray[np.int64]:
    """Return the usable images in the middle of the views that are wanted."""
    if p.every_particle:
        return given_views(classification, None, min_class_size=p.min_class_size)
    if p.rows is None:
        return choose_views(classification, p.classes, min_class_size=p.min_class_size)
    rows = chosen_rows(p.rows, prepared.particles, option="--particles")
    bad = rows[prepared.look["reason"][rows] > 0]
    if len(bad):
        path, row = prepared.particles.where(int(bad[0]))
        raise InputError("--particles names a particle whose image cannot be used", path=path, row=row)
    return given_views(classification, np.searchsorted(prepared.rows, rows), min_class_size=p.min_class_size)


def _references(seeds: NDArray[np.int64], classification: Classification, p: ClassavgParameters) -> NDArray[np.int64]:
    """Return which of the views the partition aligns to: all, or where there are many a covering set of them."""
    if len(seeds) <= MOST_REFERENCES:
        return np.arange(len(seeds))
    place = {int(seed): at for at, seed in enumerate(seeds)}
    count = default_count(len(classification.quality))
    covering = choose_views(classification, count, min_class_size=p.min_class_size, among=seeds)
    return np.array([place[int(seed)] for seed in covering], np.int64)


def _finish(p: ClassavgParameters, found: ClassavgResult, run: RunDirectory) -> int:
    signal, status = found.classification.signal, 0
    if not signal.signal:
        run.warn(f"{NO_SIGNAL}: neighbours do not agree in what did not choose them (z = {signal.z:.1f}, "
                 f"share {signal.share:.3f})")  # fmt: skip
        status = 0 if p.allow_no_signal else NO_SIGNAL_EXIT
    counts = {
        "read": len(found.prepared.particles),
        "classified": len(found.prepared.rows),
        "skipped": len(found.prepared.particles) - len(found.prepared.rows),
        "views": len(found.views),
        "memberships": len(found.views.memberships),
        "classes": len(found.partition),
        "rounds": found.classification.rounds,
        "signal": {"z": round(signal.z, 2), "share": round(signal.share, 4), "found": signal.signal},
    } | say_what_was_seen(run, found.prepared.plan.images, found.prepared.look)
    with run.stage("write"):
        nodes = [*write_views(found.averages, found.views, run), *write_model(found.partition, run)]
        files = VIEW_FILES | MODEL_FILES
        classification = found.classification
        graph = graph_of_lists(
            classification.neighbours, classification.distance, found.prepared, metric_in_words(p),
            weight=classification.weight,
        )  # fmt: skip
        write_graph(run.staged("graph.npz"), graph)
        files["graph.npz"] = "the neighbours of every particle: distance, weight and pose"
        files |= write_skipped(run, found.prepared.particles, found.prepared.look)
    found = replace(found, averages=found.averages.without_halves())
    with run.stage("report"):
        write_report(p, found, run, counts, files)
    stages = ", ".join(f"{name} {value:.1f}" for name, value in run.timings_s.items())
    run.log.info("seconds by stage: %s", stages)
    run.commit(counts=counts, relion_nodes=nodes, exit_status=status)
    return status


def _sizes(views: ViewMembers) -> str:
    sizes = np.bincount(views.memberships.class_index, minlength=len(views))
    return f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
