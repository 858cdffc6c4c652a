"""What ``average`` writes besides the averages: tables that changed, variance maps, rows left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.poses import Poses
from cryoalign.io.magnification import stored_poses
from cryoalign.io.particles import write_particles
from cryoalign.io.stack_writer import write_stack
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.jobs.average.report import write_report
from cryoalign.passes.average.passes import AverageResult
from cryoalign.passes.average_files import AVERAGE_FILES, class_scores, write_average_files
from cryoalign.passes.bad_rows import write_skipped
from cryoalign.runs.markers import NodeKind
from cryoalign.runs.rundir import RunDirectory

SCALE = "cryoalignScale"


def write_average_outputs(
    p: AverageParameters, found: AverageResult, run: RunDirectory, counts: Mapping[str, int]
) -> list[tuple[str, NodeKind]]:
    """Write all result files and return RELION's output nodes."""
    plan = found.plan
    write_average_files(
        run, found.averages, class_numbers=plan.members.class_numbers, pixel_size_angstrom=plan.out_pixel_size,
        extra_columns=_class_columns(found),
    )  # fmt: skip
    files = dict(AVERAGE_FILES)
    nodes: list[tuple[str, NodeKind]] = [("averages.star", "references2d")]
    if found.variance is not None:
        present = found.averages.counts > 0
        write_stack(run.staged("variance_maps.mrcs"), found.variance[present], plan.out_pixel_size)
        files["variance_maps.mrcs"] = "variance of the members of each class round their average; 1 = noise"
    if found.moved_px is not None or found.intensities is not None:
        if plan.members.table is None:
            _write_particles(found, run)
            nodes.append(("particles.star", "particles"))
            files["particles.star"] = "the input's rows with new origins or intensities"
        else:
            _write_members(found, run)
            files["members.star"] = "the memberships with new origins or intensities"
    files |= write_skipped(run, plan.particles, found.look)
    with run.stage("report"):
        write_report(p, found, run, counts, files)
    return nodes


def _class_columns(found: AverageResult) -> dict[str, ArrayLike]:
    plan = found.plan
    columns: dict[str, ArrayLike] = {}
    if plan.members.class_names is not None:
        columns["cryoalignGroup"] = np.asarray(plan.members.class_names, dtype=object)
    classes = np.where(found.sums.good, plan.members.class_index, -1)
    columns |= class_scores(plan.members.score, classes, plan.n_classes)
    if found.moved_px is not None:
        # The content moved the other way.
        moved = -found.moved_px * plan.out_pixel_size + 0.0
        columns |= {"cryoalignMovedXAngst": moved[:, 0], "cryoalignMovedYAngst": moved[:, 1]}
    return columns


def _changed(found: AverageResult, poses: Poses, rows: NDArray[np.int64], pixel: NDArray) -> dict[str, ArrayLike]:
    """Return the changed columns of a table whose rows had these poses; ``rows`` are those of the memberships."""
    columns: dict[str, ArrayLike] = {}
    if found.moved_px is not None:
        dx, dy = poses.dx.copy(), poses.dy.copy()
        moved = stored_poses(found.plan.particles, found.plan.members.poses, found.plan.members.particle)
        dx[rows], dy[rows] = moved.dx, moved.dy
        columns |= {"rlnOriginXAngst": dx * pixel, "rlnOriginYAngst": dy * pixel}
    if found.intensities is not None:
        scale = np.ones(len(poses))
        scale[rows] = found.intensities.scales
        columns[SCALE] = scale
    return columns


def _write_particles(found: AverageResult, run: RunDirectory) -> None:
    particles, members = found.plan.particles, found.plan.members
    stored = stored_poses(particles, particles.poses())
    columns = _changed(found, stored, members.particle, particles.pixel_size_angstrom)
    kept = np.ones(len(particles), bool)
    kept[members.particle[~found.sums.good]] = False
    for text in write_particles(run.staged("particles.star"), particles.with_columns(columns).take(kept)):
        run.warn(text)


def _write_members(found: AverageResult, run: RunDirectory) -> None:
    members = found.plan.members
    table = members.table
    assert table is not None
    columns = _changed(found, table.stored_poses, members.table_row, table.pixel_size_angstrom)
    kept = np.ones(len(table.table), bool)
    kept[members.table_row[~found.sums.good]] = False
    table.write(run.staged("members.star"), columns, kept)
