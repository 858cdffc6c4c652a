"""From one round of ``align`` to the next: averages become references.

In halves, each half's averages come from its own particles, and are used on the rings that the FRC of the halves
allows (:mod:`cryoalign.alignment.marching`). Without halves nothing says how fine an average may be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.marching import GAP, bring_together, march
from cryoalign.averaging.class_averages import ClassAverages, finish_averages, half_references
from cryoalign.averaging.cross_fit import cross_fit_references
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.masks import soft_disc
from cryoalign.core.poses import wrap_degrees
from cryoalign.passes.align.merge import MergedAlignment
from cryoalign.passes.align.plan import initial_ring, with_references
from cryoalign.passes.align.planned import AlignPlan

REFERENCE_LOWPASS_ANGSTROM = 20.0
"""Averages that become references carry noise; without independent halves nothing finer is trusted."""


@dataclass(frozen=True, eq=False)
class HalfState:
    """What halves align to.

    Parameters
    ----------
    references
        Of each half, not masked, (2, m, box, box).
    rings
        Last ring of each class that is used, (m,).
    cross_fit
        What the guard compares the particles of the other half with, (2, m, box, box).
    """

    references: NDArray[np.float32]
    rings: NDArray[np.int64]
    cross_fit: NDArray[np.float32]

    @classmethod
    def of(cls, plan: AlignPlan) -> HalfState:
        """Return the state of the first round: the given references, on low rings."""
        both = np.stack([plan.references] * 2)
        return cls(both, np.full(len(plan.references), given_ring(plan), np.int64), both)


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


def next_references(plan: AlignPlan, aligned: MergedAlignment) -> NDArray[np.float32]:
    """Make references for all particles: averages, low-passed; empty classes keep theirs. Shape (1, m, box, box)."""
    gain = bandpass(plan.references.shape[-1], plan.reference_pixel_size, REFERENCE_LOWPASS_ANGSTROM)
    averages = apply_ring_gain(averages_of(plan, aligned).averages, gain)
    filled = aligned.counts.sum(axis=1) > 0
    return np.where(filled[:, None, None], averages, plan.references)[None].astype(np.float32)


def next_halves(plan: AlignPlan, aligned: MergedAlignment, state: HalfState) -> HalfState:
    """Make references of each half from that half's particles alone; an empty half keeps the ones it had."""
    averages = averages_of(plan, aligned)
    diameter = reference_mask_px(plan)
    found = half_references(
        aligned.totals, aligned.power, aligned.counts, averages.ssnr_per_image, mask_diameter_px=diameter
    )
    mask = soft_disc(found.shape[-1], diameter)
    found[1] = bring_together(found[0] * mask, found[1], state.rings, diameter / 2 + 2.5)
    filled = (aligned.counts > 0).T[:, :, None, None]
    rings = np.array(
        [ring if frc is None else march(frc.frc, ring) for frc, ring in zip(averages.frc, state.rings, strict=True)]
    )
    return HalfState(
        np.where(filled, found, state.references).astype(np.float32),
        rings.astype(np.int64),
        cross_fit_references(aligned.totals, aligned.power, aligned.counts, diameter),
    )
