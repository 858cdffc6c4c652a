"""What ``average`` tells its report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import ClassSums
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.passes.average.part import add_tile, member_tiles
from cryoalign.passes.average.passes import AverageResult
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.average_files import class_scores
from cryoalign.passes.bad_rows import LOOK
from cryoalign.passes.growth import growth_curve
from cryoalign.passes.halves import SHARED_RESOLUTION, parted_by
from cryoalign.report.average_page import AverageReportData, build_average_page, draw_average_montage
from cryoalign.report.classes import Classes, HalfSets
from cryoalign.report.run_facts import RunFacts, given_options
from cryoalign.runs.rundir import RunDirectory


def write_report(
    p: AverageParameters, found: AverageResult, run: RunDirectory, counts: Mapping[str, int], files: Mapping[str, str]
) -> None:
    """Write report.html and montage.png."""
    plan = found.plan
    scores = class_scores(plan.members.score, np.where(found.sums.good, plan.members.class_index, -1), plan.n_classes)
    facts = RunFacts.of(
        run, "Class averages", parameters=_parameters_as_words(p, plan), counts=counts, files=files,
        notes=_notes(plan), sheet="averages side by side",
    )  # fmt: skip
    data = AverageReportData(
        classes=Classes(
            averages=found.averages, numbers=plan.members.class_numbers, pixel_size_angstrom=plan.out_pixel_size,
            mask_diameter_angstrom=plan.mask_diameter_angstrom, kind=plan.kind_of_average, halves=_halves(found),
        ),
        variance=found.variance, growth=_growth(found, p.threads), score_mean=scores.get("cryoalignScoreMean"),
        scale=None if found.intensities is None else found.intensities.scales[found.sums.good],
        # The content moved the other way.
        moved_angstrom=None if found.moved_px is None else -found.moved_px * plan.out_pixel_size,
    )  # fmt: skip
    run.write("report.html", build_average_page(facts, data))
    run.write("montage.png", draw_average_montage(facts, data))


def _halves(found: AverageResult) -> HalfSets:
    plan, shared = found.plan, None
    if 0 < plan.shared_ring < plan.out_box // 2:
        of_rows = plan.particles.numbers(SHARED_RESOLUTION)
        shared = plan.members.shared_angstrom or (None if of_rows is None else float(of_rows.min()))
    counts = found.sums.counts.sum(axis=0)
    return HalfSets(counts=counts, rule=parted_by(plan.particles), shared_resolution_angstrom=shared)


def _growth(found: AverageResult, threads: int) -> GrowthCurve | None:
    """Grow the largest class from some of its members; robust means are no sums, and do not grow member by member."""
    plan, members = found.plan, found.plan.members
    if plan.settings.robust is not None:
        return None

    def add(sums: ClassSums, rows: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
        for tile in member_tiles(plan, rows, np.zeros(len(rows), LOOK)):
            add_tile(plan, tile, cells, sums)

    return growth_curve(
        found.averages, members.class_numbers, np.where(found.sums.good, members.class_index, -1),
        plan.half[members.particle], plan.geometry_of[members.particle], plan.sum_settings, add,
        mask_diameter_px=plan.mask_diameter_px, threads=threads,
    )  # fmt: skip


def _parameters_as_words(p: AverageParameters, plan: AveragePlan) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    words = {
        "classes from": "all in one" if p.one_class else p.by or "rlnClassNumber",
        "CTF": {"wiener": "weighted", "flip": "phases corrected", "plain": "left alone"}[p.treatment]
        if plan.ctf is not None
        else "not corrected",
        "--mask-diameter": f"{plan.mask_diameter_angstrom:.1f} A",
        "--interpolation": p.interpolation,
        "--edge": p.resolved_edge,
        "--normalize": "yes" if p.normalize else "no",
        "seed": str(p.seed),
    }
    words |= given_options(p, "members", "weights", "robust", "sigma_clip", "ssnr", "limit")
    if p.classes is not None:
        words["--classes"] = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in p.classes)
    return words | given_options(p, "scale", "recenter", "variance")


def _notes(plan: AveragePlan) -> list[str]:
    if plan.shared_ring < plan.out_box // 2:
        return []
    return [
        "Halves were aligned to the same references, so their FRC tells how alike they are made, and no resolution is "
        "given: align with --halves first, or give --independent-halves where halves were aligned apart."
    ]
