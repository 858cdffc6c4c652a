"""The plan of an alignment: everything that is decided before the first particle is aligned.

Pure: the same table, references and parameters give the same plan, so that a resumed run, a task of a job array and
any number of threads work on the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import Aligner, ReferenceAligner, mask_references
from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain, bandpass, match_geometry
from cryoalign.core.limits import SAME_PIXEL
from cryoalign.core.masks import centre_offsets
from cryoalign.core.search.pose_errors import reference_noise_power
from cryoalign.core.search.search import SearchSettings, plan_search
from cryoalign.core.search.weigh import ctf_coefficients
from cryoalign.passes.align.planned import AlignPlan, Geometry
from cryoalign.passes.align.settings import AlignSettings
from cryoalign.passes.halves import refuse_empty_half
from cryoalign.passes.images import ImageGroup, ParticleImages
from cryoalign.passes.noise import flat_noise_power, ring_power_of
from cryoalign.runs.parameters import settings_from

INITIAL_RINGS = 8
"""With halves, given references are used to this ring only: so little detail cannot pass for resolution."""
NOISY_REFERENCE = 0.05
"""Share of the variance outside the mask above which references are said to carry noise."""


def plan_align(
    settings: AlignSettings,
    images: ParticleImages,
    references: NDArray[np.float32],
    reference_pixel_size: float,
    *,
    warn: Callable[[str], None],
    origin: NDArray[np.float64] | None = None,
    path: Path | None = None,
    class_numbers: NDArray[np.int64] | None = None,
) -> AlignPlan:
    """Decide everything.

    Parameters
    ----------
    settings, images
        What was asked for, and the particles.
    references
        Shape (m, box, box).
    reference_pixel_size
        In A.
    warn
        Called with one sentence for each thing the user should know.
    origin
        Round which shifts are searched, in pixels, (n, 2); None = the input origins.
    path
        Of the references, for messages.
    class_numbers
        Of the references, (m,), ascending; None = 1, 2, 3 and so on.

    Raises
    ------
    InputError
        Where references and particles do not fit, or a needed column is missing.
    """
    images = images.for_settings(settings)
    particles, ctf = images.particles, images.ctf
    if settings.halves:
        refuse_empty_half(particles, images.half)
    _check_reference_geometry(settings, images, references, reference_pixel_size, path)
    poses = particles.poses(with_psi=False)
    prior = particles.psi_prior() if settings.local is not None else None
    if settings.local is not None and prior is None:
        what = "--local needs rlnAnglePsiPrior or rlnAnglePsi in the particles"
        raise InputError(what, path=particles.path, hint="-999 stands for an angle that is not known")
    share = _noise_share(references, images.mask_diameter_angstrom / reference_pixel_size)
    if share > NOISY_REFERENCE and settings.lowpass is None:
        warn(
            f"the references carry noise: their variance outside the mask is {100 * share:.0f} % of that inside; "
            "--lowpass at their resolution keeps particles from being aligned to it"
        )
    coefficients = None if ctf is None else np.zeros((len(images), 9), np.float32)
    field_of_view = references.shape[-1] * reference_pixel_size
    geometries, all_masked = [], []
    for g, group in enumerate(images.groups):
        box, pixel = group.box, group.pixel_size_angstrom
        group.background()
        here, ctf_power = images.ctf_of(group.rows), None
        if here is not None and coefficients is not None:
            coefficients[group.rows] = ctf_coefficients(here, box, pixel)
            ctf_power = ring_power_of(here, box, pixel)
        true_noise = images.noise[g].before_ctf(here, box, pixel)
        noise = true_noise if settings.whiten else flat_noise_power(true_noise)
        masked = _masked(settings, references, reference_pixel_size, group)
        max_shift = settings.max_shift_in(box, pixel)
        search = plan_search(
            masked, noise, SearchSettings(
                max_shift_px=max_shift, radius_px=min(group.mask_diameter_px / 2 + 2.5, box / 2),
                mirror=settings.mirror, fast=settings.fast,
                full_rings=initial_ring(settings, box, pixel, field_of_view) if settings.halves else None,
            ), ctf_power, true_noise_power=true_noise,
            reference_noise=_own_noise(settings, references, reference_pixel_size, group),
        )  # fmt: skip
        all_masked.append(masked[None])
        geometries.append(
            settings_from(
                Geometry, group, max_shift_px=max_shift, noise_power=noise, true_noise_power=true_noise,
                noise_names=images.noise[g].names, searches=(search,),
                sum_scale=images.sum_scale(g),
            )
        )  # fmt: skip
    plan = AlignPlan(
        images=images, settings=settings, geometries=tuple(geometries), coefficients=coefficients,
        origin=np.stack([poses.dx, poses.dy], axis=1) if origin is None else origin, psi_prior=prior,
        references=references, reference_pixel_size=reference_pixel_size,
        order=np.argsort(images.half, kind="stable") if settings.halves else np.arange(len(images)),
        class_numbers=np.arange(len(references)) + 1 if class_numbers is None else class_numbers,
    )  # fmt: skip
    if settings.measured:
        from cryoalign.passes.align.measured import warn_of_noise, with_measure

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


def initial_ring(settings: AlignSettings, box: int, pixel: float, field_of_view: float) -> int:
    """Return the last ring on which halves align to the references that were given.

    Parameters
    ----------
    settings
        May say it in A.
    box, pixel
        Where rings are counted; pixel size in A.
    field_of_view
        Box of the references in A, which decides where nothing was said.
    """
    coarsest = settings.initial_lowpass or field_of_view / INITIAL_RINGS
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
            own = _own_noise(plan.settings, arm, plan.reference_pixel_size, g)
            search = plan_search(
                masked, g.noise_power, settings, true_noise_power=g.true_noise_power, reference_noise=own
            )
            searches.append(search)
        geometries.append(replace(g, searches=tuple(searches)))
        all_masked.append(np.stack(arms))
        all_last.append(None if last is None else int(last.max()))
    plan = replace(plan, geometries=tuple(geometries))
    if not plan.settings.measured:
        return plan
    from cryoalign.passes.align.measured import with_measure

    return with_measure(plan, all_masked, all_last)


def masked_references(plan: AlignPlan, g: Geometry, references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring references to a geometry, filtered and masked as the search takes them, (m, box, box)."""
    return _masked(plan.settings, references, plan.reference_pixel_size, g)


def _masked(settings: AlignSettings, references: NDArray, pixel_from: float, g: ImageGroup) -> NDArray[np.float32]:
    matched = match_geometry(references, pixel_from, g.box, g.pixel_size_angstrom)
    return mask_references(
        matched, g.mask_diameter_px, pixel_size_angstrom=g.pixel_size_angstrom, lowpass_angstrom=settings.lowpass,
        highpass_angstrom=settings.highpass,
    )  # fmt: skip


def _own_noise(settings: AlignSettings, references: NDArray, pixel_from: float, g: ImageGroup) -> NDArray[np.float64]:
    """Noise power of the references themselves, filtered as they are, (m, box // 2 + 1)."""
    gain = bandpass(g.box, g.pixel_size_angstrom, settings.lowpass, settings.highpass)
    matched = match_geometry(references, pixel_from, g.box, g.pixel_size_angstrom)
    return reference_noise_power(matched, g.mask_diameter_px) * gain**2


def _check_reference_geometry(
    settings: AlignSettings, images: ParticleImages, references: NDArray, pixel_size: float, path: Path | None
) -> None:
    box = references.shape[-1]
    if settings.resize_reference:
        return
    if not any(g.box == box and abs(g.pixel_size_angstrom / pixel_size - 1) < SAME_PIXEL for g in images.groups):
        found = " and ".join(sorted({f"{g.box} px at {g.pixel_size_angstrom:g} A" for g in images.groups}))
        raise InputError(
            f"the references have a box of {box} px at {pixel_size:g} A, the particles {found}",
            path=path,
            hint="--resize-reference resamples the references for the particles",
        )


def aligners(plan: AlignPlan) -> list[list[Aligner]]:
    """Return the aligners of each geometry, one for each search plan: the buffers of one worker."""
    if plan.settings.measured:
        from cryoalign.alignment.by_measure import MeasureAligner

        return [[MeasureAligner(measured) for measured in g.measures] for g in plan.geometries]
    return [[ReferenceAligner(search) for search in g.searches] for g in plan.geometries]
