"""What ``classavg`` tells its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import cryoalign
from cryoalign.jobs.classavg.parameters import ClassavgParameters
from cryoalign.jobs.classavg.result import ClassavgResult
from cryoalign.jobs.quality import frc_curves, halves_in_words
from cryoalign.passes.prepare.compared import UNITS
from cryoalign.report.classavg import ClassavgReportData, SignalSummary, ViewMembers, write_classavg_report
from cryoalign.run.rundir import RunDirectory


def write_report(
    p: ClassavgParameters,
    found: ClassavgResult,
    run: RunDirectory,
    argv: Sequence[str],
    counts: Mapping[str, Any],
    files: Mapping[str, str],
) -> None:
    """Write report.html and montage.png."""
    plan, averages = found.averages.plan, found.averages.averages
    classification, partition = found.classification, found.partition
    numbers = [int(number) for number in plan.members.class_numbers]
    present = [c for c in range(len(numbers)) if averages.counts[c] > 0]
    kept = found.averages.sums.good
    members = plan.members.take(kept)
    middle = found.seeds[members.class_index]
    first, second = (int(v) for v in found.averages.sums.counts.sum(axis=0))
    classes = partition.found.averages
    shared = plan.members.shared_angstrom
    searched = classification.shift_sd_px > 0
    prepared_pixel = found.prepared.plan.pixel_size_angstrom
    data = ClassavgReportData(
        title="Class averages of views",
        command_line=" ".join(["cryoalign", *argv]),
        version=cryoalign.__version__,
        pixel_size_angstrom=plan.out_pixel_size,
        mask_diameter_angstrom=plan.mask_diameter_angstrom,
        particles=len(found.prepared.rows),
        views={numbers[c]: averages.averages[c] for c in present},
        view_members={numbers[c]: int(averages.counts[c]) for c in present},
        algorithm=p.algorithm,
        rounds=classification.rounds,
        k=classification.neighbours.k,
        signal=SignalSummary(
            z=classification.signal.z, share=classification.signal.share, signal=classification.signal.signal
        ),
        members=ViewMembers(
            view=members.class_index + 1,
            distance=found.views.distance[kept],
            angle_deg=members.poses.psi,
            mirror=members.poses.mirror if p.mirror else None,
            viewing_angle_deg=_viewing_angles(found, middle, members.particle),
        ),
        distance_unit=UNITS[p.score],
        view_rows={numbers[c]: int(found.seeds[c]) for c in present},
        view_quality={numbers[c]: float(averages.quality[c]) for c in present},
        frc=frc_curves(averages, numbers),
        halves=halves_in_words(plan.particles, (first, second), shared),
        kind_of_average=plan.kind_of_average,
        classes={c + 1: classes.averages[c] for c in range(len(partition))},
        class_members={c + 1: int(classes.counts[c]) for c in range(len(partition))},
        class_frc=frc_curves(classes, range(1, len(partition) + 1)),
        embedding=classification.embedding,
        centre_angstrom=classification.centre_px * prepared_pixel if searched else None,
        shift_sd_angstrom=classification.shift_sd_px * prepared_pixel if searched else None,
        quality=classification.quality,
        parameters=_parameters_as_words(p, found),
        counts={name: value for name, value in counts.items() if not isinstance(value, Mapping)},
        warnings=list(run.warnings),
        timings_s=dict(run.timings_s),
        files=files
        | {
            "report.html, montage.png": "this report, and the views side by side",
            "run.json, run.log": "parameters, versions, inputs, counts, timings; the log",
        },
    )
    # Small matrix products draw hundreds of pictures: more threads only wait for each other.
    with threadpool_limits(1, user_api="blas"):
        write_classavg_report(run.staged("report.html"), run.staged("montage.png"), data)


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
    for name in ("graph", "k_max", "candidates", "ssnr", "limit"):
        if (value := getattr(p, name)) is not None:
            words[f"--{name.replace('_', '-')}"] = f"{value:g}" if isinstance(value, float) else str(value)
    for name in ("reweight", "recenter", "plain", "phase_flip"):
        if getattr(p, name):
            words[f"--{name.replace('_', '-')}"] = "yes"
    if p.min_class_size > 1:
        words["--min-class-size"] = str(p.min_class_size)
    return words
