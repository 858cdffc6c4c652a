"""The plan of ``align``: everything that is decided before the first particle is aligned.

Pure: the same table, references and parameters give the same plan, so that a resumed run, a task of a job array and
any number of threads work on the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.by_measure import MeasureAligner
from cryoalign.alignment.to_references import ReferenceAligner, mask_references
from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.masks import background_region, centre_offsets
from cryoalign.core.match_geometry import match_geometry
from cryoalign.core.search.pose_errors import reference_noise_power
from cryoalign.core.search.search import SearchSettings, plan_search
from cryoalign.core.search.weigh import ctf_coefficients
from cryoalign.core.tiles import TILE
from cryoalign.io.ctf_columns import NO_CTF, read_ctf
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.align.measured import warn_of_noise, with_measure
from cryoalign.passes.align.planned import AlignPlan, Geometry
from cryoalign.passes.halves import half_sets
from cryoalign.passes.noise import (
    flat_noise_power,
    group_noise_power,
    noise_groups,
    ring_power_of,
    undo_premultiplication,
)
from cryoalign.passes.pixel_scale import sum_scale

INITIAL_RINGS = 8
"""With halves, given references are used to this ring only: so little detail cannot pass for resolution."""
NOISY_REFERENCE = 0.05
"""Share of the variance outside the mask above which references are said to carry noise."""


def plan_align(
    parameters: AlignParameters,
    particles: ParticleSet,
    references: NDArray[np.float32],
    reference_pixel_size: float,
    *,
    scratch: Path,
    warn: Callable[[str], None],
) -> AlignPlan:
    """Decide everything.

    Parameters
    ----------
    parameters, particles
        What the user asked for, and the table.
    references
        Shape (m, box, box).
    reference_pixel_size
        In A.
    scratch
        Where compressed stacks may be unpacked.
    warn
        Called with one sentence for each thing the user should know.

    Raises
    ------
    InputError
        Where references and particles do not fit, or a needed column is missing.
    """
    n = len(particles)
    groups = particles.groups_by_box()
    half = half_sets(particles)
    field_of_view = references.shape[-1] * reference_pixel_size
    _check_reference_geometry(parameters, groups, references, reference_pixel_size)
    ctf = read_ctf(particles) if parameters.ctf else None
    if parameters.ctf and ctf is None:
        said = next((text for text in particles.warnings if text.startswith(NO_CTF)), "")
        warn(f"the CTF is not corrected: {said.removeprefix(NO_CTF) or 'the metadata do not allow it'}")
    poses = particles.poses()
    prior = particles.psi_prior() if parameters.local is not None else None
    if parameters.local is not None and prior is None:
        raise InputError("--local needs rlnAnglePsiPrior or rlnAnglePsi in the particles", path=particles.path)
    geometry_of, place_in = np.zeros(n, np.int64), np.zeros(n, np.int64)
    noise_group = np.zeros(n, np.int64)
    coefficients = None if ctf is None else np.zeros((n, 9), np.float32)
    first_pixel = groups[0].pixel_size_angstrom
    mask_angstrom = parameters.mask_diameter or 0.8 * groups[0].box * first_pixel
    share = _noise_share(references, mask_angstrom / reference_pixel_size)
    if share > NOISY_REFERENCE and parameters.lowpass is None:
        warn(
            f"the references carry noise: their variance outside the mask is {100 * share:.0f} % of that inside; "
            "--lowpass at their resolution keeps particles from being aligned to it"
        )
    geometries, all_masked = [], []
    for g, (box, pixel, rows) in enumerate(groups):
        geometry_of[rows], place_in[rows] = g, np.arange(len(rows))
        if box % 2:
            warn(f"the box of {box} px is odd: RELION refines even boxes only")
        mask_px = mask_angstrom / pixel
        background_region(box, mask_px)
        source = StackSource(particles.take(rows), invert=parameters.invert, scratch_dir=scratch)
        members, names = noise_groups(parameters.noise_group, particles, rows)
        true_noise = group_noise_power(source, members, mask_px)
        noise = true_noise if parameters.whiten else flat_noise_power(true_noise)
        for index, group in enumerate(members):
            noise_group[rows[group]] = index
        ctf_power = None
        if ctf is not None and coefficients is not None:
            here = ctf.take(rows)
            coefficients[rows] = ctf_coefficients(here, box, pixel)
            ctf_power = ring_power_of(here, box, pixel)
            noise, true_noise = (undo_premultiplication(v, here, members, box, pixel) for v in (noise, true_noise))
        max_shift = parameters.max_shift_px
        if parameters.max_shift is not None:
            max_shift = parameters.max_shift / pixel
        max_shift = box / 12 if max_shift is None else max_shift
        masked = _masked(parameters, references, reference_pixel_size, box, pixel, mask_px)
        settings = SearchSettings(
            max_shift_px=max_shift, radius_px=min(mask_px / 2 + 2.5, box / 2), mirror=parameters.mirror,
            fast=parameters.fast,
            full_rings=initial_ring(parameters, box, pixel, field_of_view) if parameters.in_halves else None,
        )  # fmt: skip
        search = plan_search(
            masked, noise, settings, ctf_power, true_noise_power=true_noise,
            reference_noise=_own_noise(parameters, references, reference_pixel_size, box, pixel, mask_px),
        )  # fmt: skip
        all_masked.append(masked[None])
        scale = sum_scale(source, normalized=parameters.normalize)
        geometries.append(
            Geometry(box, pixel, rows, source, mask_px, max_shift, noise, true_noise, names, (search,), scale)
        )
    plan = AlignPlan(
        parameters, particles, tuple(geometries), geometry_of, place_in, noise_group, ctf, coefficients,
        np.stack([poses.dx, poses.dy], axis=1), prior, references, reference_pixel_size, half,
        np.argsort(half, kind="stable") if parameters.in_halves else np.arange(n),
    )  # fmt: skip
    if parameters.measured:
        plan = with_measure(plan, all_masked, [g.search.settings.full_rings for g in geometries])
        warn_of_noise(plan, warn)
    return plan


def _noise_share(references: NDArray[np.float32], mask_px: float) -> float:
    """Median over the references of the variance outside the mask, relative to that inside; 0 where nothing is left."""
    radius = np.hypot(*centre_offsets(references.shape[-1]))
    outside, inside = radius > mask_px / 2 + 2.5, radius < mask_px / 2 - 2.5
    if outside.sum() < 16 or inside.sum() < 16:
        return 0.0
    return float(np.median(references[:, outside].var(axis=1) / references[:, inside].var(axis=1)))


def initial_ring(parameters: AlignParameters, box: int, pixel: float, field_of_view: float) -> int:
    """Return the last ring on which halves align to the references that were given.

    Parameters
    ----------
    parameters
        May say it in A.
    box, pixel
        Where rings are counted; pixel size in A.
    field_of_view
        Box of the references in A, which decides where nothing was said.
    """
    coarsest = parameters.initial_lowpass or field_of_view / INITIAL_RINGS
    return int(np.clip(np.floor(box * pixel / coarsest + 1e-6), 4, (box - 1) // 2))


def with_references(
    plan: AlignPlan, references: NDArray[np.float32], rings: NDArray[np.int64] | None = None
) -> AlignPlan:
    """Return the plan of another round.

    Parameters
    ----------
    plan
        The plan of the round before.
    references
        New references for each half, or for all particles, at the box and pixel size of the ones given;
        (1 or 2, m, box, box).
    rings
        Last ring of each class that may be used, at the references' box and pixel size, (m,); None = all.
    """
    geometries, all_masked, all_last = [], [], []
    for g in plan.geometries:
        settings = replace(g.search.settings, full_rings=g.search.layout.n_rings)
        last = None
        if rings is not None:
            # Rings are a field of view long: the same resolution is another ring in another box.
            ratio = g.box * g.pixel_size_angstrom / (references.shape[-1] * plan.reference_pixel_size)
            last = np.minimum(np.floor(rings * ratio + 1e-6), (g.box - 1) // 2).astype(np.int64)
            settings = replace(settings, full_rings=int(last.max()))
        searches, arms = [], []
        for arm in references:
            masked = masked_references(plan, g, arm)
            if last is not None:
                masked = apply_ring_gain(masked, np.arange(g.box // 2 + 1) <= last[:, None])
            arms.append(masked)
            own = _own_noise(
                plan.parameters, arm, plan.reference_pixel_size, g.box, g.pixel_size_angstrom, g.mask_diameter_px
            )
            search = plan_search(
                masked, g.noise_power, settings, true_noise_power=g.true_noise_power, reference_noise=own
            )
            searches.append(search)
        geometries.append(replace(g, searches=tuple(searches)))
        all_masked.append(np.stack(arms))
        all_last.append(None if last is None else int(last.max()))
    return with_measure(replace(plan, geometries=tuple(geometries)), all_masked, all_last)


def masked_references(plan: AlignPlan, g: Geometry, references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring references to a geometry, filtered and masked as the search takes them, (m, box, box)."""
    return _masked(
        plan.parameters, references, plan.reference_pixel_size, g.box, g.pixel_size_angstrom, g.mask_diameter_px
    )


def _masked(
    parameters: AlignParameters, references: NDArray, pixel_from: float, box: int, pixel: float, mask_px: float
) -> NDArray[np.float32]:
    matched = match_geometry(references, pixel_from, box, pixel)
    return mask_references(
        matched, mask_px, pixel_size_angstrom=pixel, lowpass_angstrom=parameters.lowpass,
        highpass_angstrom=parameters.highpass,
    )  # fmt: skip


def _own_noise(
    parameters: AlignParameters, references: NDArray, pixel_from: float, box: int, pixel: float, mask_px: float
) -> NDArray[np.float64]:
    """Noise power of the references themselves, filtered as they are, (m, box // 2 + 1)."""
    gain = bandpass(box, pixel, parameters.lowpass, parameters.highpass)
    return reference_noise_power(match_geometry(references, pixel_from, box, pixel), mask_px) * gain**2


def _check_reference_geometry(parameters, groups, references, pixel_size):  # type: ignore[no-untyped-def]
    box = references.shape[-1]
    if parameters.resize_reference:
        return
    if not any(g.box == box and abs(g.pixel_size_angstrom / pixel_size - 1) < 0.02 for g in groups):
        found = " and ".join(sorted({f"{g.box} px at {g.pixel_size_angstrom:g} A" for g in groups}))
        raise InputError(
            f"the references have a box of {box} px at {pixel_size:g} A, the particles {found}",
            path=parameters.reference,
            hint="--resize-reference brings the references to the particles",
        )


def aligners(plan: AlignPlan) -> list[list[ReferenceAligner | MeasureAligner]]:
    """Return the aligners of each geometry, one for each search plan: the buffers of one thread."""
    if plan.parameters.measured:
        return [[MeasureAligner(measured) for measured in g.measures] for g in plan.geometries]
    return [[ReferenceAligner(search) for search in g.searches] for g in plan.geometries]


def thread_bytes(plan: AlignPlan) -> int:
    """Estimate the memory of one thread in bytes: buffers of a tile, sums of a part, and what is under way."""
    total = 0
    for g in plan.geometries:
        coarse, m = g.search.coarse, len(plan.references)
        cells = coarse.n_cells * TILE * 8
        planes = 2 * coarse.n_angles * TILE * coarse.chunk * 4
        polar = 2 * TILE * g.search.layout.n_points * 4
        # Two cells a class, each with sums of pixels and of C^2 in 8 bytes, and the same again while a part is packed.
        pixels = g.box**2 * (2 * 2 * 12 * m + 6 * 4 * TILE)
        total += cells + planes + polar + pixels
    return total
