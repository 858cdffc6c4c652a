"""What ``align`` writes: particles.star, aligned.star, averages, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.einstein import NullTest
from cryoalign.averaging.verdict import Verdict
from cryoalign.io.magnification import as_corrected, stored_poses
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.jobs.align.null_test import NULL_TEST_FILES, write_null_test
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.jobs.align.report import write_report
from cryoalign.passes.align.between_rounds import averages_of, shared_ring
from cryoalign.passes.align.merge import MergedAlignment
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.average_files import AVERAGE_FILES, class_scores, write_average_files
from cryoalign.passes.bad_rows import write_skipped
from cryoalign.passes.halves import SHARED_RESOLUTION
from cryoalign.runs.markers import NodeKind
from cryoalign.runs.rundir import RunDirectory


def stack_names(plan: AlignPlan, stem: str) -> list[str]:
    """Name the stacks of each geometry: the stem alone where there is one."""
    if len(plan.geometries) == 1:
        return [f"{stem}.mrcs"]
    return [f"{stem}_{i + 1}_{g.box}px.mrcs" for i, g in enumerate(plan.geometries)]


def write_align_outputs(
    p: AlignParameters,
    plan: AlignPlan,
    aligned: MergedAlignment,
    run: RunDirectory,
    counts: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    null: NullTest | None,
) -> list[tuple[str, NodeKind]]:
    """Write all result files and return RELION's output nodes."""
    particles = plan.particles
    good = np.flatnonzero(aligned.good)
    # What another run wrote of another measure is no longer true.
    stale = ("cryoalignPsiError", "cryoalignShiftError") if plan.settings.measured else ("cryoalignMetricValue",)
    updated = particles.take(good).with_columns(_columns(plan, aligned, good), drop=stale)
    for text in write_particles(run.staged("particles.star"), updated):
        run.warn(text)
    nodes: list[tuple[str, NodeKind]] = [("particles.star", "particles")]
    files = {"particles.star": "the input's rows with their new poses, classes and scores"}
    files |= write_skipped(run, particles, aligned.look)
    if p.write_stack:
        _write_aligned_star(plan, aligned, run, updated, good)
        files["aligned.mrcs, aligned.star"] = "the particles after their poses, resampled once"
        nodes.append(("aligned.star", "particles"))
        if plan.settings.mirror and aligned.poses.mirror[good].any():
            run.warn("rlnIsFlip is set on mirrored particles; RELION does not apply it: flipped.star serves RELION")
        if plan.settings.mirror:
            _write_flipped_star(plan, aligned, run, updated, good)
            files["flipped.mrcs, flipped.star"] = "the raw particles with the mirrored ones flipped, for RELION"
    averages = averages_of(plan, aligned)
    m = len(plan.references)
    write_average_files(
        run, averages, class_numbers=plan.class_numbers, pixel_size_angstrom=plan.reference_pixel_size,
        # Of the scores as the file holds them, so that `average` finds the same.
        extra_columns=class_scores(updated.numbers("cryoalignScore"), aligned.reference[good].astype(np.int64), m),
    )  # fmt: skip
    nodes.append(("averages.star", "references2d"))
    files |= AVERAGE_FILES
    if null is not None:
        write_null_test(null, run, plan.class_numbers, plan.reference_pixel_size)
        files |= NULL_TEST_FILES
    with run.stage("report"):
        write_report(p, plan, aligned, averages, run, counts, files, verdicts, null)
    return nodes


def _columns(plan: AlignPlan, aligned: MergedAlignment, good: NDArray[np.int64]) -> dict[str, ArrayLike]:
    pixel = plan.particles.pixel_size_angstrom[good]
    columns: dict[str, ArrayLike] = {}
    if "rlnClassNumber" in plan.particles.particles:
        columns["cryoalignClassNumberInput"] = plan.particles.particles["rlnClassNumber"].iloc[good].tolist()
    poses = stored_poses(plan.particles, aligned.poses.take(good), good)
    columns |= {
        "rlnAnglePsi": poses.psi,
        "rlnOriginXAngst": poses.dx * pixel,
        "rlnOriginYAngst": poses.dy * pixel,
        "rlnClassNumber": plan.class_numbers[aligned.reference[good]],
    }
    if plan.settings.mirror or "rlnIsFlip" in plan.particles.particles:
        # An old 1 beside a pose that was found without mirrors would contradict it.
        columns["rlnIsFlip"] = aligned.poses.mirror[good].astype(np.int64)
    return columns | {
        **_half_columns(plan, good),
        "cryoalignScore": aligned.score[good],
        "cryoalignScoreMargin": aligned.margin[good],
        **_found_by(plan, aligned, good),
        "cryoalignFlag": aligned.flag[good],
    }


def _found_by(plan: AlignPlan, aligned: MergedAlignment, good: NDArray[np.int64]) -> dict[str, ArrayLike]:
    """Say how sure poses are, where the search core found them; else what the measure says of them."""
    if plan.settings.measured:
        return {"cryoalignMetricValue": aligned.value[good]}
    return {
        "cryoalignPsiError": aligned.psi_error_deg[good],
        "cryoalignShiftError": aligned.shift_error_px[good] * plan.particles.pixel_size_angstrom[good],
    }


def _half_columns(plan: AlignPlan, good: NDArray[np.int64]) -> dict[str, ArrayLike]:
    """Say which half a particle was refined in, and down to which resolution the halves share a reference."""
    if not plan.settings.halves:
        return {}
    shared = plan.references.shape[-1] * plan.reference_pixel_size / shared_ring(plan)
    return {"rlnRandomSubset": plan.half[good].astype(np.int64) + 1, SHARED_RESOLUTION: np.full(len(good), shared)}


def _images_in(plan: AlignPlan, run: RunDirectory, stem: str, good: NDArray[np.int64]) -> dict[str, ArrayLike]:
    """Say where images are in new stacks, and what they were called."""
    stacks = [name_from_here(run.path / name) for name in stack_names(plan, stem)]
    names = [image_name(int(plan.place_in[row]), stacks[int(plan.geometry_of[row])]) for row in good]
    return {"rlnImageName": names, "rlnOriginalParticleName": plan.particles.take(good).image_names()}


def _write_aligned_star(
    plan: AlignPlan, aligned: MergedAlignment, run: RunDirectory, updated: ParticleSet, good: NDArray[np.int64]
) -> None:
    zeros = np.zeros(len(good))
    columns = _images_in(plan, run, "aligned", good)
    columns |= {"rlnAnglePsi": zeros, "rlnOriginXAngst": zeros, "rlnOriginYAngst": zeros}
    angle = updated.numbers("rlnDefocusAngle")
    if angle is not None:
        turned = np.where(aligned.poses.mirror[good], 180.0 - angle, angle) + aligned.poses.psi[good]
        columns["rlnDefocusAngle"] = np.mod(turned, 180.0)
    table = as_corrected(updated).with_columns(columns, drop=["rlnIsFlip", "rlnAnglePsiPrior"])
    write_particles(run.staged("aligned.star"), table)


def _write_flipped_star(
    plan: AlignPlan, aligned: MergedAlignment, run: RunDirectory, updated: ParticleSet, good: NDArray[np.int64]
) -> None:
    columns = _images_in(plan, run, "flipped", good)
    if updated.magnification is not None:
        # The pixels are corrected ones, and so are the origins.
        pixel = updated.pixel_size_angstrom
        columns |= {
            "rlnOriginXAngst": aligned.poses.dx[good] * pixel,
            "rlnOriginYAngst": aligned.poses.dy[good] * pixel,
        }
    angle = updated.numbers("rlnDefocusAngle")
    if angle is not None:
        columns["rlnDefocusAngle"] = np.where(aligned.poses.mirror[good], np.mod(180.0 - angle, 180.0), angle)
    write_particles(run.staged("flipped.star"), as_corrected(updated).with_columns(columns, drop=["rlnIsFlip"]))
