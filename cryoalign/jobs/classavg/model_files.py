"""RELION's files about a partition: run_data.star, run_model.star and run_classes.mrcs.

Subset selection finds one of the first two by the name of the other and shows the third.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cryoalign.averaging.frc import NO_RESOLUTION_ANGSTROM
from cryoalign.io.columns import text_table
from cryoalign.io.magnification import stored_poses
from cryoalign.io.particles import write_particles
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.io.stack_writer import write_stack
from cryoalign.io.star import write_star
from cryoalign.jobs.classavg.partition import Partition
from cryoalign.passes.halves import SHARED_RESOLUTION
from cryoalign.runs.markers import NodeKind
from cryoalign.runs.rundir import RunDirectory

MODEL_FILES = {
    "run_data.star": "the input's rows, each in one class, with poses without mirrors",
    "run_model.star, run_classes.mrcs": "the averages of exactly those rows, for RELION's subset selection",
}
"""What `write_model` writes, for the list of files in a report."""


def write_model(partition: Partition, run: RunDirectory) -> list[tuple[str, NodeKind]]:
    """Write the three files and return RELION's output nodes."""
    _write_data(partition, run)
    _write_classes(partition, run)
    return [("run_data.star", "particles")]


def _write_data(partition: Partition, run: RunDirectory) -> None:
    particles = partition.found.plan.particles.take(partition.rows)
    pixel = particles.pixel_size_angstrom
    columns: dict[str, ArrayLike] = {}
    if "rlnClassNumber" in particles.particles:
        columns["cryoalignClassNumberInput"] = particles.particles["rlnClassNumber"].tolist()
    poses = stored_poses(particles, partition.poses)
    columns |= {
        "rlnAnglePsi": poses.psi,
        "rlnOriginXAngst": poses.dx * pixel,
        "rlnOriginYAngst": poses.dy * pixel,
        "rlnClassNumber": partition.class_of + 1,
    }
    if "rlnIsFlip" in particles.particles:
        # An old 1 beside a pose that was found without mirrors would contradict it.
        columns["rlnIsFlip"] = np.zeros(len(particles), np.int64)
    shared = partition.found.plan.members.shared_angstrom
    if shared is not None:
        half = partition.found.plan.half[partition.rows].astype(np.int64) + 1
        columns |= {"rlnRandomSubset": half, SHARED_RESOLUTION: np.full(len(half), shared)}
    columns |= {
        "cryoalignScore": partition.score,
        "cryoalignScoreMargin": partition.margin,
        "cryoalignPsiError": partition.psi_error_deg,
        "cryoalignShiftError": partition.shift_error_px * pixel,
    }
    for text in write_particles(run.staged("run_data.star"), particles.with_columns(columns)):
        run.warn(text)


def _write_classes(partition: Partition, run: RunDirectory) -> None:
    plan, averages = partition.found.plan, partition.found.averages
    pixel = plan.out_pixel_size
    write_stack(run.staged("run_classes.mrcs"), averages.averages, pixel)
    m = len(partition)
    stack = name_from_here(run.path / "run_classes.mrcs")
    resolution = [NO_RESOLUTION_ANGSTROM if frc is None else frc.resolution_angstrom for frc in averages.frc]
    error_pixel = plan.particles.pixel_size_angstrom[partition.rows]
    classes: dict[str, ArrayLike] = {
        "rlnReferenceImage": [image_name(i, stack) for i in range(m)],
        "rlnClassDistribution": averages.counts / averages.counts.sum(),
        "rlnAccuracyRotations": _medians(partition, partition.psi_error_deg),
        "rlnAccuracyTranslationsAngst": _medians(partition, partition.shift_error_px * error_pixel),
        "rlnEstimatedResolution": np.asarray(resolution, np.float64),
        "cryoalignClassNumber": np.arange(1, m + 1),
        "cryoalignView": partition.view + 1,
        "cryoalignViewMirrored": partition.mirrored.astype(np.int64),
        "cryoalignCount": averages.counts,
        "cryoalignQuality": averages.quality,
    }
    general = {
        "rlnReferenceDimensionality": "2",
        "rlnDataDimensionality": "2",
        "rlnOriginalImageSize": str(plan.out_box),
        "rlnPixelSize": f"{pixel:.6f}",
        "rlnNrClasses": str(m),
    }
    write_star(run.staged("run_model.star"), {"model_general": general, "model_classes": text_table(classes)})


def _medians(partition: Partition, values: ArrayLike) -> np.ndarray:
    series = pd.Series(np.asarray(values)).groupby(partition.class_of).median()
    return np.asarray(series.reindex(range(len(partition)), fill_value=0.0), np.float64)
