"""The report of ``align``: what the page is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import origin_change
from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.class_sums import ClassSums
from cryoalign.averaging.einstein import NullTest
from cryoalign.averaging.growth import GrowthCurve
from cryoalign.averaging.verdict import Verdict
from cryoalign.core.filters import apply_ring_gain, bandpass, match_geometry
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.align.between_rounds import given_ring, reference_mask_px, shared_ring
from cryoalign.passes.align.merge import MergedAlignment
from cryoalign.passes.align.part import FLAGS
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.growth import growth_curve
from cryoalign.passes.halves import parted_by
from cryoalign.report.align_data import AlignReportData
from cryoalign.report.align_page import build_align_page, draw_align_montage
from cryoalign.report.classes import Classes, HalfSets
from cryoalign.report.run_facts import RunFacts, given_options
from cryoalign.runs.rundir import RunDirectory

EXAMPLES, MOST_SPECTRA = 8, 12
"""Particles shown raw and aligned in the report, and spectra of noise that can be told apart in a picture."""


def write_report(
    p: AlignParameters,
    plan: AlignPlan,
    aligned: MergedAlignment,
    averages: ClassAverages,
    run: RunDirectory,
    counts: Mapping[str, Any],
    files: Mapping[str, str],
    verdicts: Sequence[Verdict],
    null: NullTest | None = None,
) -> None:
    """Write report.html and montage.png."""
    good = np.flatnonzero(aligned.good)
    pixel, geometry = plan.particles.pixel_size_angstrom[good], plan.geometries[0]
    references, filtered_to = _references_as_searched(plan)
    facts = RunFacts.of(
        run, p.way.title, parameters=_parameters_as_words(p, plan), counts=counts, files=files, notes=_notes(p),
        sheet="references beside averages",
    )  # fmt: skip
    noise = [
        (name, power, g.box * g.pixel_size_angstrom)
        for g in plan.geometries
        for name, power in zip(g.noise_names, g.noise_power, strict=True)
    ]
    data = AlignReportData(
        classes=Classes(
            averages=averages, numbers=plan.class_numbers, pixel_size_angstrom=plan.reference_pixel_size,
            mask_diameter_angstrom=geometry.mask_diameter_px * geometry.pixel_size_angstrom,
            kind="Wiener-filtered average", halves=_half_sets(plan, aligned),
        ),
        references=references, references_filtered_to_angstrom=filtered_to,
        poses=aligned.poses.take(good), reference=aligned.reference[good],
        score=aligned.score[good], margin=aligned.margin[good],
        shift_angstrom=origin_change(aligned.poses, plan.origin)[good] * pixel[:, None],
        psi_error_deg=_where_known(aligned.psi_error_deg[good], 180.0),
        shift_error_angstrom=_where_known(aligned.shift_error_px[good], plan.particles.box[good]) * pixel,
        flag=aligned.flag[good], flag_meanings=FLAGS, mirrors=p.mirror,
        max_shift_angstrom=max(g.max_shift_px * g.pixel_size_angstrom for g in plan.geometries),
        local_search_deg=p.local, growth=_growth(plan, aligned, averages, p.threads),
        guard=verdicts[-1] if verdicts else None, null_test=null,
        noise=noise if len(noise) <= MOST_SPECTRA else (), **_examples(plan, aligned, good),
    )  # fmt: skip
    run.write("report.html", build_align_page(facts, data))
    run.write("montage.png", draw_align_montage(facts, data))


def _where_known(error: NDArray[np.float64], unknown: float | NDArray) -> NDArray[np.float64]:
    """Replace the value that stands for an unknown error by NaN, which charts leave out."""
    return np.where(error < unknown, error, np.nan)


def _examples(plan: AlignPlan, aligned: MergedAlignment, good: NDArray[np.int64]) -> dict[str, Any]:
    """Return some particles evenly spread over the table, raw and aligned, at the references' geometry."""
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
    names = [f"{name.split('@')[0]}@{Path(name).name}" for name in plan.particles.take(rows).image_names()]
    return {"example_raw": np.asarray(raw), "example_aligned": np.asarray(after), "example_names": names}


def _parameters_as_words(p: AlignParameters, plan: AlignPlan) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    g = plan.geometries[0]
    return {
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
        **given_options(p, "lowpass", "highpass", unit=" A"),
        **given_options(p, "limit"),
    }


def _references_as_searched(plan: AlignPlan) -> tuple[NDArray[np.float32], float | None]:
    """Return what was aligned to in the first round, and the resolution in A to which it was filtered, if it was."""
    p, box, pixel = plan.settings, plan.references.shape[-1], plan.reference_pixel_size
    references, filtered_to = plan.references, p.lowpass
    if p.lowpass is not None or p.highpass is not None:
        references = apply_ring_gain(references, bandpass(box, pixel, p.lowpass, p.highpass))
    if p.halves:
        ring = given_ring(plan)
        references = apply_ring_gain(references, (np.arange(box // 2 + 1) <= ring).astype(np.float64))
        filtered_to = max(filtered_to or 0.0, box * pixel / ring)
    return references, filtered_to


def _half_sets(plan: AlignPlan, aligned: MergedAlignment) -> HalfSets:
    shared = plan.references.shape[-1] * plan.reference_pixel_size / shared_ring(plan) if plan.settings.halves else None
    rule = parted_by(plan.particles)
    return HalfSets(counts=aligned.counts.sum(axis=0), rule=rule, shared_resolution_angstrom=shared)


def _growth(plan: AlignPlan, aligned: MergedAlignment, averages: ClassAverages, threads: int) -> GrowthCurve | None:
    def add(sums: ClassSums, rows: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
        source = plan.geometries[int(plan.geometry_of[rows[0]])].source
        sums.add(source.read(plan.place_in[rows]), aligned.poses.take(rows), cells, plan.images.ctf_of(rows))

    return growth_curve(
        averages, plan.class_numbers, np.where(aligned.good, aligned.reference, -1), plan.half,
        plan.geometry_of, plan.sum_settings, add, mask_diameter_px=reference_mask_px(plan), threads=threads,
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
