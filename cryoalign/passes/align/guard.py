"""The guard against model bias within an alignment: which particles it looks at, and with which references.

Images are aligned once more on low rings alone, and judged on the rings above (:mod:`cryoalign.averaging.guard`). The
references must be independent of the particles: the ones given by the user in the first round, and where halves are
refined apart the averages of the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.alignment.to_references import ReferenceAligner
from cryoalign.averaging.ctf_sums import multiply_by_ctf
from cryoalign.averaging.guard import (
    BAND_RING,
    GAP,
    faded,
    held_out_products,
    judge,
    judge_classes,
    judge_cross_fitted,
    judged_references,
)
from cryoalign.averaging.verdict import Verdict
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.filters import apply_ring_gain, bandpass, match_geometry, radial_average, ring_counts
from cryoalign.core.masks import soft_disc
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.pose_errors import reference_noise_power
from cryoalign.core.search.search import SearchPlan, plan_search
from cryoalign.core.tiles import TILE
from cryoalign.passes.align.plan import masked_references
from cryoalign.passes.align.planned import AlignPlan, Geometry

GUARDED, GUARDED_PER_CLASS, MOST_GUARDED = 2048, 128, 16_384
"""Particles that the guard looks at: so many for few classes, more for many, at most. Whole tiles, evenly spread."""
COLUMNS = {"guard_u": np.float64, "guard_energy": np.float64, "guard_scale": np.float64, "guard_reference": np.int32}
"""What the guard knows of a row; guard_reference is -1 where it did not look."""


@dataclass(frozen=True, eq=False)
class GuardPlan:
    """What the guard needs besides the plan.

    Parameters
    ----------
    sampled
        Tiles of positions that are looked at, (tiles,).
    references, judged
        For each geometry: what particles of each arm are aligned to and judged by, (arms, m, box, box).
    searches
        For each geometry and arm, the search on low rings.
    clean_share
        For each geometry: the share of each reference's power in the judged band that is not noise, (arms, m).
    cross_fitted
        Whether the references are averages of the other half.
    """

    sampled: NDArray[np.bool_]
    references: tuple[NDArray[np.float32], ...]
    judged: tuple[NDArray[np.float32], ...]
    searches: tuple[tuple[SearchPlan, ...], ...]
    clean_share: tuple[NDArray[np.float64], ...]
    cross_fitted: bool

    @property
    def first_ring(self) -> int:
        """First ring that is judged."""
        return BAND_RING + GAP + 1


def plan_guard(plan: AlignPlan, references: NDArray[np.float32], *, cross_fitted: bool) -> GuardPlan:
    """Prepare the guard.

    Parameters
    ----------
    plan
        The plan of this round.
    references
        For the particles of each half, or of all, (1 or 2, m, box, box) at the references' box and pixel size.
    cross_fitted
        Whether they are the averages of the other half.
    """
    tiles = -(-len(plan.order) // TILE)
    looked_at = min(max(GUARDED, GUARDED_PER_CLASS * len(plan.references)), MOST_GUARDED)
    sampled = np.zeros(tiles, bool)
    sampled[evenly_spread(looked_at // TILE, tiles)] = True
    masked, judged, searches, clean = [], [], [], []
    for g in plan.geometries:
        arms = np.stack([masked_references(plan, g, arm) for arm in references])
        matched = [match_geometry(arm, plan.reference_pixel_size, g.box, g.pixel_size_angstrom) for arm in references]
        fine = [_judged(plan, g, arm) for arm in matched]
        # Averages of the other half are filtered so that their power is already what real particles would give.
        shares = np.ones(arms.shape[:2])
        if not cross_fitted:
            shares = np.stack([_clean_share(plan, g, *both) for both in zip(matched, fine, strict=True)])
        clean.append(shares)
        judged.append(np.stack(fine))
        settings = replace(g.search.settings, full_rings=BAND_RING, coarse_rings=BAND_RING)
        masked.append(arms)
        searches.append(tuple(plan_search(arm, g.noise_power, settings) for arm in arms))
    return GuardPlan(sampled, tuple(masked), tuple(judged), tuple(searches), tuple(clean), cross_fitted)


def _judged(plan: AlignPlan, g: Geometry, matched: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the fine detail of references at this geometry as the search sees it: in the user's band, masked."""
    s = plan.settings
    if s.lowpass is not None or s.highpass is not None:
        matched = apply_ring_gain(matched, bandpass(g.box, g.pixel_size_angstrom, s.lowpass, s.highpass))
    return judged_references(matched, g.mask_diameter_px)


def _clean_share(
    plan: AlignPlan, g: Geometry, matched: NDArray[np.float32], judged: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the share of each reference's judged power that is not its own noise, (m,).

    References are often averages. Their noise, as it shows outside the mask, is nothing that particles could hold.
    """
    through = float((soft_disc(g.box, g.mask_diameter_px) ** 2).mean())
    rings = slice(BAND_RING + GAP + 1, (g.box + 1) // 2)
    counts = ring_counts(g.box)[rings]
    gain = bandpass(g.box, g.pixel_size_angstrom, plan.settings.lowpass, plan.settings.highpass)[rings]
    own = reference_noise_power(matched, g.mask_diameter_px)[:, rings] * gain**2
    power = radial_average(np.abs(scipy.fft.rfft2(judged)) ** 2, g.box)[:, rings] / g.box**2
    share = 1.0 - np.divide(through * (own @ counts), power @ counts, out=np.ones(len(own)), where=power @ counts > 0)
    return np.maximum(share, 0.0)


class Guard:
    """One thread's guard."""

    def __init__(self, plan: AlignPlan, guard: GuardPlan) -> None:
        self.plan, self.guard = plan, guard
        self._aligners = [[ReferenceAligner(s) for s in searches] for searches in guard.searches]

    def looks_at(self, position: int) -> bool:
        """Tell whether the tile that begins at this position is sampled."""
        return bool(self.guard.sampled[position // TILE])

    def judge_tile(
        self, g: int, rows: NDArray[np.int64], valid: NDArray[np.bool_], images: NDArray[np.float32]
    ) -> list[tuple[NDArray[np.intp], dict[str, NDArray]]]:
        """Align a tile on low rings and multiply it with its references on high ones.

        Returns
        -------
        list
            For each arm with images here: their places in the tile, and the guard's columns of them.
        """
        plan, geometry = self.plan, self.plan.geometries[g]
        images = faded(images, geometry.mask_diameter_px)
        arms = plan.half[rows] if len(self._aligners[g]) > 1 else np.zeros(len(rows), np.int8)
        found = []
        for arm, aligner in enumerate(self._aligners[g]):
            here = valid & (arms == arm)
            if not here.any():
                continue
            result = aligner.align(images, plan.tile_inputs(rows, here))
            at = np.flatnonzero(here)
            ctf = plan.images.ctf_of(rows[at])
            weighted, power = multiply_by_ctf(images[at], ctf, geometry.pixel_size_angstrom)
            u, energy = held_out_products(
                resample(weighted, result.poses.take(at)),
                self.guard.references[g][arm],
                result.reference[at],
                power,
                geometry.noise_power[plan.images.noise_group_of[rows[at]]],
                self.guard.first_ring,
                result.scale[at],
                self.guard.judged[g][arm],
            )
            energy *= self.guard.clean_share[g][arm][result.reference[at]]
            columns = {"guard_u": u, "guard_energy": energy, "guard_scale": result.scale[at]}
            found.append((at, columns | {"guard_reference": result.reference[at]}))
        return found


def judge_run(
    plan: AlignPlan, columns: Mapping[str, NDArray], *, cross_fitted: bool, inverted: bool = False
) -> Verdict:
    """Judge the particles that the guard looked at.

    Parameters
    ----------
    plan
        The plan of the run.
    columns
        The guard's columns (``COLUMNS``), each (n,).
    cross_fitted
        Whether they come from averages of the other half.
    inverted
        Whether they come from the given references with inverted contrast.
    """
    at = np.flatnonzero(columns["guard_reference"] >= 0)
    u, energy, scale = (columns[f"guard_{name}"][at] for name in ("u", "energy", "scale"))
    reference = columns["guard_reference"][at]
    half = plan.half[at] if cross_fitted else None
    overall = judge(u, energy, scale) if half is None else judge_cross_fitted(u, energy, scale, half)
    every = judge_classes(u, energy, scale, reference, len(plan.references), half)
    field_of_view = plan.geometries[0].box * plan.geometries[0].pixel_size_angstrom
    return Verdict(
        overall,
        {int(plan.class_numbers[c]): verdict for c, verdict in enumerate(every) if verdict.n},
        cross_fitted,
        field_of_view / BAND_RING,
        field_of_view / (BAND_RING + GAP + 1),
        2 * plan.reference_pixel_size,
        u,
        inverted,
    )
