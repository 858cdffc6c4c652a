"""What ``average`` tells its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

import cryoalign
from cryoalign.averaging.class_sums import ClassSums
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.jobs.quality import frc_curves, halves_in_words
from cryoalign.passes.average.part import add_tile, member_tiles
from cryoalign.passes.average.passes import AverageResult
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.average_files import class_scores
from cryoalign.passes.growth import growth_curve
from cryoalign.passes.halves import SHARED_RESOLUTION
from cryoalign.report.average import AverageReportData, write_average_report
from cryoalign.report.quality_data import HalfSets
from cryoalign.run.rundir import RunDirectory


def write_report(
    p: AverageParameters, found: AverageResult, run: RunDirectory, argv: Sequence[str], counts: Mapping[str, int],
    files: Mapping[str, str],
) -> None:  # fmt: skip
    """Write report.html and montage.png."""
    plan, averages = found.plan, found.averages
    present = [int(c) for c in np.flatnonzero(averages.counts)]
    number = {c: int(plan.members.class_numbers[c]) for c in present}
    classes = np.where(found.sums.good, plan.members.class_index, -1)
    scores = class_scores(plan.members.score, classes, plan.n_classes).get("cryoalignScoreMean")
    moved = None if found.moved_px is None else -found.moved_px * plan.out_pixel_size
    data = AverageReportData(
        title="Class averages",
        command_line=" ".join(["cryoalign", *argv]),
        version=cryoalign.__version__,
        pixel_size_angstrom=plan.out_pixel_size,
        mask_diameter_angstrom=plan.mask_diameter_angstrom,
        averages={number[c]: averages.averages[c] for c in present},
        members={number[c]: int(averages.counts[c]) for c in present},
        parameters=_parameters_as_words(p, plan),
        counts=dict(counts),
        warnings=list(run.warnings),
        timings_s=dict(run.timings_s),
        kind_of_average=plan.kind_of_average,
        variance={} if found.variance is None else {number[c]: found.variance[c] for c in present},
        frc=frc_curves(averages, plan.members.class_numbers),
        halves=_halves(found),
        growth=_growth(found),
        quality={number[c]: float(averages.quality[c]) for c in present},
        score_mean={} if scores is None else {number[c]: float(scores[c]) for c in present},
        scale=None if found.intensities is None else found.intensities.scales[found.sums.good],
        recentre_angstrom={}
        if moved is None
        else {number[c]: (float(moved[c, 0]), float(moved[c, 1])) for c in present},
        files=files,
        notes=_notes(plan),
    )
    write_average_report(run.staged("report.html"), run.staged("montage.png"), data)


def _halves(found: AverageResult) -> HalfSets:
    plan = found.plan
    first, second = (int(v) for v in found.sums.counts.sum(axis=0))
    if not 0 < plan.shared_ring < plan.out_box // 2:
        return halves_in_words(plan.particles, (first, second), None)
    if plan.members.shared_angstrom is not None:
        return halves_in_words(plan.particles, (first, second), plan.members.shared_angstrom)
    shared = plan.particles.numbers(SHARED_RESOLUTION)
    return halves_in_words(plan.particles, (first, second), None if shared is None else float(shared.min()))


def _growth(found: AverageResult) -> GrowthCurve | None:
    """Grow the largest class from some of its members; robust means are no sums, and do not grow member by member."""
    plan, members = found.plan, found.plan.members
    if plan.settings.robust is not None:
        return None

    def add(sums: ClassSums, rows: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
        for tile in member_tiles(plan, rows, np.zeros(len(rows), np.int8)):
            add_tile(plan, tile, cells, sums)

    return growth_curve(
        found.averages, members.class_numbers, np.where(found.sums.good, members.class_index, -1),
        plan.half[members.particle], plan.geometry_of[members.particle], plan.sum_settings, add,
        mask_diameter_px=plan.mask_diameter_px,
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
    for name in ("members", "weights", "robust", "sigma_clip", "ssnr", "limit"):
        if (value := getattr(p, name)) is not None:
            words[f"--{name.replace('_', '-')}"] = f"{value:g}" if isinstance(value, float) else str(value)
    if p.classes is not None:
        words["--classes"] = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in p.classes)
    for name in ("scale", "recenter", "variance"):
        if getattr(p, name):
            words[f"--{name}"] = "yes"
    return words


def _notes(plan: AveragePlan) -> list[str]:
    if plan.shared_ring < plan.out_box // 2:
        return []
    return [
        "Halves were aligned to the same references, so their FRC tells how alike they are made, and no resolution is "
        "given: align with --halves first, or give --independent-halves where halves were aligned apart."
    ]
