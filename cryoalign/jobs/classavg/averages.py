"""The averages of views: planned, added up and written by the same code as ``average --members members.star``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from cryoalign.jobs.classavg.members import ViewMembers, write_members
from cryoalign.passes.average.centring import centred
from cryoalign.passes.average.passes import AverageResult, Passes
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.average_files import AVERAGE_FILES, write_average_files
from cryoalign.runs.markers import NodeKind
from cryoalign.runs.rundir import RunDirectory

VIEW_FILES = AVERAGE_FILES | {"members.star": "who is averaged in which class, with which pose"}
"""What `write_views` writes, for the list of files in a report."""


def average_views(plan: AveragePlan, run: RunDirectory) -> AverageResult | None:
    """Add up and finish the averages, brought to the centre where the parameters say so.

    Returns
    -------
    AverageResult
        None where this task of a job array is not all of it.
    """
    passes = Passes(run)
    found = passes.averages(plan, "views")
    if found is not None and plan.settings.recenter:
        found = centred(found, passes)
    return found


def write_views(found: AverageResult, views: ViewMembers, run: RunDirectory) -> list[tuple[str, NodeKind]]:
    """Write averages, halves, averages.star, frc.star and members.star; return RELION's output nodes."""
    plan = found.plan
    names = plan.particles.image_names()
    columns: dict[str, ArrayLike] = {
        "cryoalignScore": views.score,
        "cryoalignViewSpread": views.spread_deg,
        "cryoalignSeedImage": np.asarray([names[row] for row in views.seeds.tolist()], dtype=object),
    }
    if found.moved_px is not None:
        # The content moved the other way.
        moved = -found.moved_px * plan.out_pixel_size + 0.0
        columns |= {"cryoalignMovedXAngst": moved[:, 0], "cryoalignMovedYAngst": moved[:, 1]}
    write_average_files(
        run, found.averages, class_numbers=plan.members.class_numbers, pixel_size_angstrom=plan.out_pixel_size,
        extra_columns=columns,
    )  # fmt: skip
    kept = replace(views, distance=views.distance[found.sums.good])
    write_members(run, kept, plan.members.take(found.sums.good), plan.particles, plan.half)
    return [("averages.star", "references2d")]
