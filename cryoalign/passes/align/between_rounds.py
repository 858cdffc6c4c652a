"""Between two rounds of an alignment: its averages, what halves share, and by how much particles moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cryoalign.alignment.halves import GAP
from cryoalign.alignment.strategy import References, Round
from cryoalign.averaging.class_averages import ClassAverages, finish_averages
from cryoalign.core.poses import wrap_degrees
from cryoalign.passes.align.merge import MergedAlignment
from cryoalign.passes.align.plan import initial_ring, with_references
from cryoalign.passes.align.planned import AlignPlan


def with_start(plan: AlignPlan, aligned: MergedAlignment) -> AlignPlan:
    """Return the plan with averages of all particles as the references that the rounds start from, on low rings."""
    averages = averages_of(plan, aligned).averages
    filled = aligned.counts.sum(axis=1) > 0
    references = np.where(filled[:, None, None], averages, plan.references).astype(np.float32)
    rings = np.full(len(references), given_ring(plan), np.int64)
    return with_references(replace(plan, references=references), references[None], rings)


def median_change_deg(before: MergedAlignment, after: MergedAlignment) -> float:
    """Return by how much angles changed, in degrees; 180 for particles that changed their class."""
    both = before.good & after.good
    change = np.abs(wrap_degrees(after.poses.psi - before.poses.psi))
    # A class as a whole is free to turn.
    for c in np.unique(after.reference[both]):
        here = both & (after.reference == c) & (before.reference == c)
        if here.any():
            turn = np.angle(np.exp(1j * np.deg2rad(after.poses.psi - before.poses.psi))[here].sum(), deg=True)
            change[here] = np.abs(wrap_degrees(after.poses.psi - before.poses.psi - turn))[here]
    change[before.reference != after.reference] = 180.0
    return float(np.median(change[both]))


def averages_of(plan: AlignPlan, aligned: MergedAlignment) -> ClassAverages:
    """Return the averages with their halves and FRC; independent beyond the band of the references that were given."""
    return finish_averages(
        aligned.totals, aligned.power, aligned.counts, mask_diameter_px=reference_mask_px(plan),
        pixel_size_angstrom=plan.reference_pixel_size, treatment="wiener", shared_ring=shared_ring(plan),
    )  # fmt: skip


def given_ring(plan: AlignPlan) -> int:
    """Return the last ring, at the references' geometry, on which halves align to the references that were given."""
    box, pixel = plan.references.shape[-1], plan.reference_pixel_size
    return initial_ring(plan.settings, box, pixel, box * pixel)


def shared_ring(plan: AlignPlan) -> int:
    """Return the last ring, at the references' geometry, on which the halves' alignment owes to the same references."""
    if not plan.settings.halves:
        return plan.references.shape[-1] // 2
    return given_ring(plan) + GAP


def reference_mask_px(plan: AlignPlan) -> float:
    """Return the diameter of the mask in pixels of the references."""
    first = plan.geometries[0]
    return first.mask_diameter_px * first.pixel_size_angstrom / plan.reference_pixel_size


def round_of(plan: AlignPlan, aligned: MergedAlignment, used: References) -> Round:
    """Return what a round found as a strategy sees it; ``used`` are the references that it aligned to."""
    return Round(
        given=plan.references, used=used, totals=aligned.totals, power=aligned.power, counts=aligned.counts,
        averages=averages_of(plan, aligned), poses=aligned.poses, reference=aligned.reference, good=aligned.good,
        mask_diameter_px=reference_mask_px(plan), pixel_size_angstrom=plan.reference_pixel_size,
    )  # fmt: skip
