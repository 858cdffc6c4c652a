"""What ``align`` writes: particles.star, aligned.star, averages, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

import cryoalign
from cryoalign.alignment.to_references import match_geometry, origin_change
from cryoalign.core.poses import Poses
from cryoalign.core.resample import resample
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.io.stack_writer import write_stack
from cryoalign.io.star import write_star
from cryoalign.jobs.align_merge import MergedAlignment
from cryoalign.jobs.align_part import FLAGS, REASONS
from cryoalign.jobs.align_plan import AlignPlan
from cryoalign.jobs.rundir import RunDirectory
from cryoalign.report.align import write_align_report
from cryoalign.report.align_data import AlignReportData

EXAMPLES = 8
"""Particles shown raw and aligned in the report."""


def stack_names(plan: AlignPlan, stem: str) -> list[str]:
    """Name the stacks of each geometry: the stem alone where there is one."""
    if len(plan.geometries) == 1:
        return [f"{stem}.mrcs"]
    return [f"{stem}_{i + 1}_{g.box}px.mrcs" for i, g in enumerate(plan.geometries)]


def write_align_outputs(
    plan: AlignPlan, aligned: MergedAlignment, run: RunDirectory, argv: Sequence[str], counts: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Write all result files and return RELION's output nodes."""
    particles = plan.particles
    good = np.flatnonzero(aligned.good)
    updated = particles.take(good).with_columns(_columns(plan, aligned, good))
    for text in write_particles(run.staged("particles.star"), updated):
        run.warn(text)
    nodes = [("particles.star", "particles")]
    files = {"particles.star": "the input's rows with their new poses, classes and scores"}
    if len(good) < len(particles):
        left_out = np.flatnonzero(~aligned.good)
        reasons = [REASONS[int(code)] for code in aligned.skipped[left_out]]
        write_particles(run.staged("skipped.star"), particles.take(left_out).with_columns({"cryoalignReason": reasons}))
        files["skipped.star"] = "rows left out, with the reason"
    if plan.parameters.write_stack:
        _write_aligned_star(plan, aligned, run, updated, good)
        files["aligned.mrcs, aligned.star"] = "the particles after their poses, resampled once"
        nodes.append(("aligned.star", "particles"))
        if plan.parameters.mirror and aligned.poses.mirror[good].any():
            run.warn("rlnIsFlip is set on mirrored particles; RELION does not apply it: flipped.star serves RELION")
        if plan.parameters.mirror:
            _write_flipped_star(plan, aligned, run, updated, good)
            files["flipped.mrcs, flipped.star"] = "the raw particles with the mirrored ones flipped, for RELION"
    _write_averages(plan, aligned, run)
    nodes.append(("averages.star", "references2d"))
    files["averages.mrcs, averages.star"] = "the plain mean of each class"
    files |= {
        "report.html, montage.png": "this report, and references beside averages",
        "run.json, run.log": "parameters, versions, inputs, counts, timings; the log",
    }
    with run.stage("report"):
        _write_report(plan, aligned, run, argv, counts, good, files)
    return nodes


def _columns(plan: AlignPlan, aligned: MergedAlignment, good: NDArray[np.int64]) -> dict[str, object]:
    pixel = plan.particles.pixel_size_angstrom[good]
    columns: dict[str, object] = {}
    if "rlnClassNumber" in plan.particles.particles:
        columns["cryoalignClassNumberInput"] = plan.particles.particles["rlnClassNumber"].iloc[good].tolist()
    columns |= {
        "rlnAnglePsi": aligned.poses.psi[good],
        "rlnOriginXAngst": aligned.poses.dx[good] * pixel,
        "rlnOriginYAngst": aligned.poses.dy[good] * pixel,
        "rlnClassNumber": aligned.reference[good] + 1,
    }
    if plan.parameters.mirror or "rlnIsFlip" in plan.particles.particles:
        # An old 1 beside a pose that was found without mirrors would contradict it.
        columns["rlnIsFlip"] = aligned.poses.mirror[good].astype(np.int64)
    return columns | {
        "cryoalignScore": aligned.score[good],
        "cryoalignScoreMargin": aligned.margin[good],
        "cryoalignPsiError": aligned.psi_error_deg[good],
        "cryoalignShiftError": aligned.shift_error_px[good] * pixel,
        "cryoalignFlag": aligned.flag[good],
    }


def _names_in_stacks(plan: AlignPlan, run: RunDirectory, stem: str, good: NDArray[np.int64]) -> list[str]:
    stacks = [name_from_here(run.path / name) for name in stack_names(plan, stem)]
    return [image_name(int(plan.place_in[row]), stacks[int(plan.geometry_of[row])]) for row in good]


def _write_aligned_star(plan, aligned, run, updated: ParticleSet, good) -> None:  # type: ignore[no-untyped-def]
    zeros = np.zeros(len(good))
    columns: dict[str, object] = {
        "rlnImageName": _names_in_stacks(plan, run, "aligned", good),
        "rlnOriginalParticleName": plan.particles.take(good).image_names(),
        "rlnAnglePsi": zeros,
        "rlnOriginXAngst": zeros,
        "rlnOriginYAngst": zeros,
    }
    angle = updated.numbers("rlnDefocusAngle")
    if angle is not None:
        turned = np.where(aligned.poses.mirror[good], 180.0 - angle, angle) + aligned.poses.psi[good]
        columns["rlnDefocusAngle"] = np.mod(turned, 180.0)
    write_particles(run.staged("aligned.star"), updated.with_columns(columns, drop=["rlnIsFlip", "rlnAnglePsiPrior"]))


def _write_flipped_star(plan, aligned, run, updated: ParticleSet, good) -> None:  # type: ignore[no-untyped-def]
    columns: dict[str, object] = {
        "rlnImageName": _names_in_stacks(plan, run, "flipped", good),
        "rlnOriginalParticleName": plan.particles.take(good).image_names(),
    }
    angle = updated.numbers("rlnDefocusAngle")
    if angle is not None:
        columns["rlnDefocusAngle"] = np.where(aligned.poses.mirror[good], np.mod(180.0 - angle, 180.0), angle)
    write_particles(run.staged("flipped.star"), updated.with_columns(columns, drop=["rlnIsFlip"]))


def _write_averages(plan: AlignPlan, aligned: MergedAlignment, run: RunDirectory) -> None:
    present = np.flatnonzero(aligned.counts > 0)
    write_stack(run.staged("averages.mrcs"), aligned.averages[present], plan.reference_pixel_size)
    stack = name_from_here(run.path / "averages.mrcs")
    total = int(aligned.counts.sum())
    good = aligned.good
    score = np.bincount(aligned.reference[good], aligned.score[good], minlength=len(plan.references))
    table = pd.DataFrame(
        {
            "rlnReferenceImage": [image_name(i, stack) for i in range(len(present))],
            "rlnClassNumber": [str(c + 1) for c in present],
            "rlnClassDistribution": [f"{aligned.counts[c] / total:.6f}" for c in present],
            "cryoalignCount": [str(int(aligned.counts[c])) for c in present],
            "cryoalignScoreMean": [f"{score[c] / aligned.counts[c]:.6f}" for c in present],
            "rlnImagePixelSize": [f"{plan.reference_pixel_size:.6f}" for _ in present],
        }
    )
    write_star(run.staged("averages.star"), {"averages": table})


def _write_report(plan, aligned, run, argv, counts, good, files) -> None:  # type: ignore[no-untyped-def]
    p = plan.parameters
    geometry = plan.geometries[0]
    raw, after, names = _examples(plan, aligned, good)
    change = origin_change(aligned.poses, plan.origin)[good] * plan.particles.pixel_size_angstrom[good, None]
    length = max(g.search.layout.box // 2 + 1 for g in plan.geometries)
    noise = [np.pad(row, (0, length - len(row)), mode="edge") for g in plan.geometries for row in g.noise_power]
    data = AlignReportData(
        title="Alignment to references",
        command_line=" ".join(["cryoalign", *argv]),
        version=cryoalign.__version__,
        parameters=_parameters_as_words(plan),
        counts=dict(counts),
        warnings=list(run.warnings),
        timings_s=dict(run.timings_s),
        pixel_size_angstrom=plan.reference_pixel_size,
        mask_diameter_angstrom=geometry.mask_diameter_px * geometry.pixel_size_angstrom,
        references=plan.references,
        averages={int(c) + 1: aligned.averages[c] for c in np.flatnonzero(aligned.counts)},
        scores=aligned.score[good],
        score_margin=aligned.margin[good],
        psi_deg=aligned.poses.psi[good],
        shift_angstrom=change,
        psi_error_deg=_where_known(aligned.psi_error_deg[good], 180.0),
        shift_error_angstrom=_where_known(aligned.shift_error_px[good], plan.particles.box[good])
        * plan.particles.pixel_size_angstrom[good],
        class_number=aligned.reference[good] + 1,
        flags=aligned.flag[good],
        flag_meanings=FLAGS,
        mirror=aligned.poses.mirror[good] if p.mirror else None,
        max_shift_angstrom=max(g.max_shift_px * g.pixel_size_angstrom for g in plan.geometries),
        local_search_deg=p.local,
        example_raw=raw,
        example_aligned=after,
        example_names=names,
        noise_power=np.asarray(noise) if len(noise) <= 12 else None,
        noise_group_names=[n for g in plan.geometries for n in g.noise_names] if len(noise) <= 12 else [],
        noise_pixel_size_angstrom=(
            [g.pixel_size_angstrom * g.box / (2 * (length - 1)) for g in plan.geometries for _ in g.noise_names]
            if len(noise) <= 12
            else []
        ),
        files=files,
        notes=[
            "Averages are plain means of the aligned particles, without CTF correction; no resolution is given, since "
            "an average aligned to one reference has no independent halves.",
        ],
    )
    write_align_report(run.staged("report.html"), run.staged("montage.png"), data)


def _where_known(error: NDArray[np.float64], unknown: ArrayLike) -> NDArray[np.float64]:
    """Replace the value that stands for an unknown error by NaN, which charts leave out."""
    return np.where(error < unknown, error, np.nan)


def _examples(plan: AlignPlan, aligned: MergedAlignment, good: NDArray[np.int64]):  # type: ignore[no-untyped-def]
    """Some particles evenly spread over the table, raw and aligned, at the references' geometry."""
    rows = good[np.unique(np.linspace(0, len(good) - 1, min(EXAMPLES, len(good))).astype(np.int64))]
    raw, after = [], []
    box, pixel = plan.references.shape[-1], plan.reference_pixel_size
    for row in rows:
        g = plan.geometries[int(plan.geometry_of[row])]
        image = g.source.read(plan.place_in[row : row + 1])
        poses: Poses = aligned.poses.take([row])
        turned = resample(image, poses, interpolation=plan.parameters.interpolation, edge=plan.parameters.resolved_edge)
        raw.append(match_geometry(image, g.pixel_size_angstrom, box, pixel)[0])
        after.append(match_geometry(turned, g.pixel_size_angstrom, box, pixel)[0])
    names = plan.particles.take(rows).image_names()
    return np.asarray(raw), np.asarray(after), [f"{name.split('@')[0]}@{Path(name).name}" for name in names]


def _parameters_as_words(plan: AlignPlan) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    p, g = plan.parameters, plan.geometries[0]
    words = {
        "--reference": str(p.reference),
        "--mask-diameter": f"{g.mask_diameter_px * g.pixel_size_angstrom:.1f} A",
        "--max-shift": f"{g.max_shift_px * g.pixel_size_angstrom:.1f} A ({g.max_shift_px:.2f} px)",
        "CTF": "corrected" if plan.ctf is not None else "not corrected",
        "whitening": "on" if p.whiten else "off",
        "psi search": "full circle" if p.local is None else f"within {p.local:g} deg of the input",
        "mirrors": "searched" if p.mirror else "not searched",
        "--interpolation": p.interpolation,
        "--edge": p.resolved_edge,
        "--iterations": str(p.iterations),
        "rings in the score": f"{g.search.layout.n_rings} of {g.box // 2} "
        f"({g.box * g.pixel_size_angstrom / g.search.layout.n_rings:.1f} A)",
        "seed": str(p.seed),
    }
    for name in ("lowpass", "highpass", "limit"):
        if (value := getattr(p, name)) is not None:
            words[f"--{name}"] = f"{value:g}" + (" A" if name != "limit" else "")
    return words
