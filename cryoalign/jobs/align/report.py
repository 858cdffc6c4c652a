"""The report of ``align``: what the page is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import cryoalign
from cryoalign.alignment.to_references import origin_change
from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.class_sums import ClassSums
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.match_geometry import match_geometry
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.jobs.align.null_test import NullTest
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.jobs.quality import frc_curves, halves_in_words
from cryoalign.passes.align.between_rounds import given_ring, reference_mask_px, shared_ring
from cryoalign.passes.align.merge import MergedAlignment
from cryoalign.passes.align.part import FLAGS
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.align.verdict import Verdict
from cryoalign.passes.growth import growth_curve
from cryoalign.report.align import write_align_report
from cryoalign.report.align_data import AlignReportData
from cryoalign.report.quality_data import ClassGuard, GuardSummary, HalfSets, NullTestSummary
from cryoalign.run.rundir import RunDirectory

EXAMPLES, NULL_CLASSES = 8, 6
"""Particles shown raw and aligned in the report, and classes of the null test."""


def write_report(  # type: ignore[no-untyped-def]
    p: AlignParameters,
    plan: AlignPlan,
    aligned: MergedAlignment,
    averages: ClassAverages,
    run: RunDirectory,
    argv: Sequence[str],
    counts: Mapping[str, Any],
    good: NDArray[np.int64],
    files: Mapping[str, str],
    verdicts: Sequence[Verdict],
    null: NullTest | None = None,
) -> None:
    """Write report.html and montage.png."""
    geometry = plan.geometries[0]
    references, filtered_to = _references_as_searched(plan)
    raw, after, names = _examples(plan, aligned, good)
    change = origin_change(aligned.poses, plan.origin)[good] * plan.particles.pixel_size_angstrom[good, None]
    length = max(g.search.layout.box // 2 + 1 for g in plan.geometries)
    noise = [np.pad(row, (0, length - len(row)), mode="edge") for g in plan.geometries for row in g.noise_power]
    data = AlignReportData(
        title=p.way.title,
        command_line=" ".join(["cryoalign", *argv]),
        version=cryoalign.__version__,
        parameters=_parameters_as_words(p, plan),
        counts={name: value for name, value in counts.items() if name != "guard"},
        warnings=list(run.warnings),
        timings_s=dict(run.timings_s),
        pixel_size_angstrom=plan.reference_pixel_size,
        mask_diameter_angstrom=geometry.mask_diameter_px * geometry.pixel_size_angstrom,
        references=references,
        references_filtered_to_angstrom=filtered_to,
        averages={int(c) + 1: averages.averages[c] for c in np.flatnonzero(averages.counts)},
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
        averages_kind="Wiener-filtered average",
        resolution_angstrom={int(c) + 1: f.resolution_angstrom for c, f in enumerate(averages.frc) if f is not None},
        frc=frc_curves(averages, np.arange(len(averages.frc)) + 1),
        quality={int(c) + 1: float(averages.quality[c]) for c in np.flatnonzero(averages.counts)},
        halves=_half_sets(plan, good),
        growth=_growth(plan, aligned, averages),
        guard=_guard(plan, verdicts[-1]) if verdicts else None,
        null_test=None if null is None else _null_test(plan, averages, null),
        notes=_notes(p),
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
        turned = resample(image, poses, interpolation=plan.settings.interpolation, edge=plan.settings.resolved_edge)
        raw.append(match_geometry(image, g.pixel_size_angstrom, box, pixel)[0])
        after.append(match_geometry(turned, g.pixel_size_angstrom, box, pixel)[0])
    names = plan.particles.take(rows).image_names()
    return np.asarray(raw), np.asarray(after), [f"{name.split('@')[0]}@{Path(name).name}" for name in names]


def _parameters_as_words(p: AlignParameters, plan: AlignPlan) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    g = plan.geometries[0]
    words = {
        **({"--strategy": p.strategy} if p.reference is None else {"--reference": str(p.reference)}),
        "--mask-diameter": f"{g.mask_diameter_px * g.pixel_size_angstrom:.1f} A",
        "--max-shift": f"{g.max_shift_px * g.pixel_size_angstrom:.1f} A ({g.max_shift_px:.2f} px)",
        "CTF": "corrected" if plan.ctf is not None else "not corrected",
        **({"--metric": p.metric} if p.measured else {}),
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


def _references_as_searched(plan: AlignPlan) -> tuple[NDArray[np.float32], float | None]:
    """Return what was aligned to in the first round, and the resolution in A to which it was filtered, if it was."""
    p, box, pixel = plan.settings, plan.references.shape[-1], plan.reference_pixel_size
    references, filtered_to = plan.references, p.lowpass
    if p.lowpass is not None or p.highpass is not None:
        references = apply_ring_gain(references, bandpass(box, pixel, p.lowpass, p.highpass))
    if p.halves:
        ring = given_ring(plan)
        references = apply_ring_gain(references, np.arange(box // 2 + 1) <= ring)
        filtered_to = max(filtered_to or 0.0, box * pixel / ring)
    return references, filtered_to


def _null_test(plan: AlignPlan, averages: ClassAverages, null: NullTest) -> NullTestSummary:
    shown = np.flatnonzero(null.members)
    shown = np.sort(shown[np.argsort(-null.members[shown], kind="stable")][:NULL_CLASSES])
    return NullTestSummary(
        class_numbers=[int(c) + 1 for c in shown], references=plan.references[shown],
        noise_averages=null.averages[shown], real_averages=averages.averages[shown],
        members=[int(n) for n in null.members[shown]], counts=null.counts,
        noise_correlation=null.noise_correlation.tolist(), real_correlation=null.real_correlation.tolist(),
        curve_class=null.curve_class,
    )  # fmt: skip


def _half_sets(plan: AlignPlan, good: NDArray[np.int64]) -> HalfSets:
    half = plan.half[good]
    shared = None
    if plan.settings.halves:
        shared = plan.references.shape[-1] * plan.reference_pixel_size / shared_ring(plan)
    return halves_in_words(plan.particles, (int((half == 0).sum()), int((half == 1).sum())), shared)


def _growth(plan: AlignPlan, aligned: MergedAlignment, averages: ClassAverages) -> GrowthCurve | None:
    def add(sums: ClassSums, rows: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
        source = plan.geometries[int(plan.geometry_of[rows[0]])].source
        sums.add(source.read(plan.place_in[rows]), aligned.poses.take(rows), cells, plan.images.ctf_of(rows))

    return growth_curve(
        averages, np.arange(len(plan.references)) + 1, np.where(aligned.good, aligned.reference, -1), plan.half,
        plan.geometry_of, plan.sum_settings, add, mask_diameter_px=reference_mask_px(plan),
    )  # fmt: skip


def _guard(plan: AlignPlan, verdict: Verdict) -> GuardSummary:
    v = verdict.overall
    return GuardSummary(
        z=v.z, share=v.share, share_error=v.share_error, intensity=v.intensity, n=v.n, verdict=v.verdict,
        aligned_to_angstrom=verdict.aligned_to_angstrom, judged_from_angstrom=verdict.judged_from_angstrom,
        judged_to_angstrom=2 * plan.reference_pixel_size, cross_fitted=verdict.cross_fitted, inverted=verdict.inverted,
        expected_z=v.expected_z if np.isfinite(v.expected_z) else None,
        classes=[
            ClassGuard(number=number, z=one.z, share=one.share, n=one.n, verdict=one.verdict)
            for number, one in verdict.classes.items()
        ],
        u=verdict.u,
    )  # fmt: skip


def _notes(p: AlignParameters) -> list[str]:
    notes = ["Averages are Wiener-filtered with the signal-to-noise ratio that the halves show; the halves are not."]
    if p.way.note:
        notes.append(p.way.note)
    if p.halves:
        notes.append(
            "Each half was aligned to averages of its own particles from the second round on; detail finer than the "
            "band of the first references is independent, and only there a resolution is read."
        )
    else:
        notes.append(
            "Both halves were aligned to the same references: their correlation is no resolution; --halves gives one."
        )
    return notes
