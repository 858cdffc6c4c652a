"""What ``classavg`` tells its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cryoalign.jobs.classavg.parameters import ClassavgParameters
from cryoalign.jobs.classavg.result import ClassavgResult
from cryoalign.passes.halves import parted_by
from cryoalign.passes.prepare.compared import UNITS
from cryoalign.report.classavg_data import ClassavgReportData
from cryoalign.report.classavg_page import build_classavg_page, draw_view_montage
from cryoalign.report.classes import RELION_CLASSES, VIEWS, Classes, HalfSets
from cryoalign.report.run_facts import RunFacts, given_options
from cryoalign.runs.rundir import RunDirectory


def write_report(
    p: ClassavgParameters, found: ClassavgResult, run: RunDirectory, counts: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    """Write report.html and montage.png."""
    plan = found.averages.plan
    kept = found.averages.sums.good
    members = plan.members.take(kept)
    facts = RunFacts.of(
        run, "Class averages of views", parameters=_parameters_as_words(p, found), counts=counts, files=files,
        sheet="the views side by side",
    )  # fmt: skip
    halves = HalfSets(
        counts=found.averages.sums.counts.sum(axis=0), rule=parted_by(plan.particles),
        shared_resolution_angstrom=plan.members.shared_angstrom,
    )  # fmt: skip
    views = Classes(
        averages=found.averages.averages, numbers=plan.members.class_numbers, pixel_size_angstrom=plan.out_pixel_size,
        mask_diameter_angstrom=plan.mask_diameter_angstrom, kind=plan.kind_of_average, halves=halves, naming=VIEWS,
    )  # fmt: skip
    data = ClassavgReportData(
        classification=found.classification, prepared_pixel_angstrom=found.prepared.plan.pixel_size_angstrom,
        views=views, seeds=found.seeds, spread_deg=found.views.spread_deg,
        classes=replace(
            views, averages=found.partition.found.averages, numbers=np.arange(len(found.partition)) + 1, halves=None,
            naming=RELION_CLASSES,
        ),
        algorithm=p.algorithm, mirrors=p.mirror, view=members.class_index + 1, poses=members.poses,
        distance=found.views.distance[kept], distance_unit=UNITS[p.score],
        viewing_angle_deg=_viewing_angles(found, found.seeds[members.class_index], members.particle),
    )  # fmt: skip
    # The sheet first, and let go of before figures are drawn: neither is small.
    run.write("montage.png", draw_view_montage(facts, data))
    run.write("report.html", build_classavg_page(facts, data))


def _viewing_angles(found: ClassavgResult, middle: np.ndarray, particle: np.ndarray) -> np.ndarray | None:
    """Return the angle between the views of each member and the image in the middle; None where none is known."""
    classification, rows = found.classification, found.prepared.rows
    member = np.searchsorted(rows, particle)
    place = classification.neighbours.index[middle] == member[:, None]
    angle = np.where(place, classification.viewing_angle_deg[middle], 0.0).sum(axis=1)
    return angle if np.isfinite(angle).all() else None


def _parameters_as_words(p: ClassavgParameters, found: ClassavgResult) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    plan = found.prepared.plan
    sd = found.classification.shift_sd_px * plan.raw_per_prepared
    words = {
        "-k": str(found.classification.neighbours.k),
        "views": "every particle's" if p.every_particle else p.rows or f"{len(found.views)} that cover the others",
        "--algorithm": p.algorithm,
        "--score": p.score,
        "--downsample": f"{plan.box} px",
        "--mask-diameter": f"{plan.mask_diameter_angstrom:.1f} A",
        "CTF": "corrected" if plan.ctf is not None else "not corrected",
        "whitening": "on" if p.whiten else "off",
        "mirrors": "searched" if p.mirror else "not searched",
        "shifts": f"searched, deviation {sd:.2f} px" if sd > 0 else "not searched",
    }
    words |= given_options(
        p, "graph", "k_max", "candidates", "ssnr", "limit", "reweight", "recenter", "plain", "phase_flip"
    )
    if p.min_class_size > 1:
        words["--min-class-size"] = str(p.min_class_size)
    return words
