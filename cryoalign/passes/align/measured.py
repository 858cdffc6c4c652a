"""``align --metric``: from a plan to the references and limits of another measure than the search core's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.by_measure import MeasurePlan, comparable, known_of_groups, plan_by_measure
from cryoalign.alignment.to_references import ReferenceAligner
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.search.search import SearchPlan
from cryoalign.core.tiles import TILE
from cryoalign.metrics.measure import SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.passes.align.planned import AlignPlan, Geometry
from cryoalign.passes.noise import ring_power_of

_SAMPLE = 256
"""Images of each noise group whose spectrum is measured, at most."""


def with_measure(plan: AlignPlan, masked: list[NDArray[np.float32]], rings: list[int | None]) -> AlignPlan:
    """Return a plan of one round with the measure that was asked for.

    Parameters
    ----------
    plan
        With its searches.
    masked
        Masked references of each geometry and arm, (arms, m, box, box).
    rings
        Last ring of each geometry that may be used; None = all.
    """
    geometries = []
    for g, arms, last in zip(plan.geometries, masked, rings, strict=True):
        gain = _gain(plan, g, last)
        noise = g.noise_power if gain is None else g.noise_power * gain**2
        strength = _ctf_strength(plan, g)
        if _premultiplied(plan, g):
            noise = noise * strength
        # References are masked inside the radius in which images are compared.
        radius = g.mask_diameter_px / 2
        known = known_of_groups(_samples(plan, g, gain), noise, radius)
        measures = []
        for search, arm in zip(g.searches, arms, strict=True):
            scaled = apply_ring_gain(arm, strength) * np.float32(_intensity(plan, g, search))
            measures.append(
                plan_by_measure(
                    measure(plan.settings.metric), scaled, known,
                    SearchLimits(g.max_shift_px, mirror=plan.settings.mirror), gain, g.pixel_size_angstrom,
                )
            )  # fmt: skip
        geometries.append(replace(g, measures=tuple(measures)))
    return replace(plan, geometries=tuple(geometries))


def warn_of_noise(plan: AlignPlan, warn: Callable[[str], None]) -> None:
    """Say where the measure loses, if the particles are as noisy as that."""
    first: MeasurePlan = plan.geometries[0].measures[0]
    known = [one for g in plan.geometries for one in g.measures[0].known]
    snr = [one.snr for one in known if one.snr is not None]
    said = first.measure.warning_in_noise(float(np.median(snr)) if snr else None)
    if said is not None:
        warn(said)


def _gain(plan: AlignPlan, g: Geometry, last: int | None) -> NDArray[np.float64] | None:
    s = plan.settings
    if s.lowpass is None and s.highpass is None and last is None:
        return None
    gain = bandpass(g.box, g.pixel_size_angstrom, s.lowpass, s.highpass)
    return gain if last is None else gain * (np.arange(g.box // 2 + 1) <= last)


def _premultiplied(plan: AlignPlan, g: Geometry) -> bool:
    return plan.ctf is not None and bool(plan.ctf.premultiplied[g.rows].all())


def _ctf_strength(plan: AlignPlan, g: Geometry) -> NDArray[np.float64]:
    """Return the mean strength of the CTF in the images per ring, (box // 2 + 1,)."""
    if plan.ctf is None:
        return np.ones(g.box // 2 + 1)
    power = ring_power_of(plan.ctf.take(g.rows), g.box, g.pixel_size_angstrom)
    return power if _premultiplied(plan, g) else np.sqrt(power)


def _samples(plan: AlignPlan, g: Geometry, gain: NDArray[np.float64] | None) -> list[NDArray[np.float32]]:
    """Return some images of each noise group as they are compared."""
    groups, outside = plan.images.noise_group_of[g.rows], g.background()
    samples = []
    for group in range(len(g.noise_power)):
        places = np.flatnonzero(groups == group)
        images, kept = g.good_images(places[evenly_spread(_SAMPLE, len(places))])
        samples.append(
            comparable(
                images, plan.images.ctf_of(g.rows[kept]), gain, outside=outside,
                pixel_size_angstrom=g.pixel_size_angstrom, intact_first_peak=plan.settings.ctf_intact_first_peak,
            ) if len(kept) else images
        )  # fmt: skip
    return samples


def _intensity(plan: AlignPlan, g: Geometry, search: SearchPlan) -> float:
    """Return the median intensity of some images relative to their references, by the search core; 1 if unknown."""
    images, kept = g.good_images(evenly_spread(TILE, len(g.rows)))
    found = ReferenceAligner(search).align(images, plan.tile_inputs(g.rows[kept], np.ones(len(kept), bool)))
    fitted = found.scale[(found.score > 0) & (found.scale > 0)]
    return float(np.median(fitted)) if len(fitted) else 1.0
