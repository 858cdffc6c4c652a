"""The plan of ``align``: everything that is decided before the first particle is aligned.

Pure: the same table, references and parameters give the same plan, so that a resumed run, a task of a job array and
any number of threads work on the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import ReferenceAligner, TileInputs, mask_references, match_geometry
from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region, background_statistics, centre_offsets
from cryoalign.core.noise import estimate_noise_power
from cryoalign.core.search import SearchPlan, SearchSettings, plan_search
from cryoalign.core.tiles import TILE
from cryoalign.core.weigh import ctf_coefficients
from cryoalign.io.ctf_columns import NO_CTF
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource, bad_images
from cryoalign.jobs.align_parameters import AlignParameters

NOISE_ROWS = 2000
"""Images from which a noise spectrum is estimated, at most, for each group."""
NOISY_REFERENCE = 0.05
"""Share of the variance outside the mask above which references are said to carry noise."""
_CLEAN = 1e-3
"""Noise is taken to be at least this share of the images' mean power: cleaner data would divide by nothing."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Particles of one box and pixel size, with the references brought to it.

    Parameters
    ----------
    rows
        0-based rows of the particle table.
    source
        Their images, in the order of ``rows``.
    noise_power, noise_names
        Noise power per ring of each noise group, (groups, box // 2 + 1), and what the groups are called.
    search
        The search plan.
    sum_scale
        Fixed-point scale of the sums.
    """

    box: int
    pixel_size_angstrom: float
    rows: NDArray[np.int64]
    source: StackSource
    mask_diameter_px: float
    max_shift_px: float
    noise_power: NDArray[np.float64]
    noise_names: list[str]
    search: SearchPlan
    sum_scale: float


@dataclass(frozen=True, eq=False)
class AlignPlan:
    """What the part function needs.

    Parameters
    ----------
    geometry_of, place_in
        Geometry of each row, and its place in that geometry's rows; shape (n,).
    noise_group
        Noise group of each row within its geometry, shape (n,).
    ctf, coefficients
        CTF of each row, and as the search takes it, (n, 9); None where the CTF is not used.
    origin
        Input origin in pixels, round which is searched, (n, 2).
    references
        At their own box and pixel size, unmasked, (m, box, box).
    """

    parameters: AlignParameters
    particles: ParticleSet
    geometries: tuple[Geometry, ...]
    geometry_of: NDArray[np.int64]
    place_in: NDArray[np.int64]
    noise_group: NDArray[np.int64]
    ctf: CtfParameters | None
    coefficients: NDArray[np.float32] | None
    origin: NDArray[np.float64]
    psi_prior: NDArray[np.float64] | None
    references: NDArray[np.float32]
    reference_pixel_size: float

    def tile_inputs(self, rows: NDArray[np.int64], valid: NDArray[np.bool_]) -> TileInputs:
        """Gather what is known of some rows."""
        p = self.parameters
        return TileInputs(
            valid=valid,
            group=self.noise_group[rows],
            coefficients=None if self.coefficients is None else self.coefficients[rows],
            intact_first_peak=p.ctf_intact_first_peak,
            origin=self.origin[rows],
            psi_prior=None if self.psi_prior is None else self.psi_prior[rows],
            local_deg=p.local,
            local_flip=p.local_flip,
        )


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
    _check_reference_geometry(parameters, groups, references, reference_pixel_size)
    ctf = particles.ctf() if parameters.ctf else None
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
    geometries = []
    for g, (box, pixel, rows) in enumerate(groups):
        geometry_of[rows], place_in[rows] = g, np.arange(len(rows))
        if box % 2:
            warn(f"the box of {box} px is odd: RELION refines even boxes only")
        mask_px = mask_angstrom / pixel
        background_region(box, mask_px)
        source = StackSource(particles.take(rows), invert=parameters.invert, scratch_dir=scratch)
        members, names = _noise_groups(parameters, particles, rows)
        noise, deviation = _noise_power(parameters, source, members, mask_px)
        for index, group in enumerate(members):
            noise_group[rows[group]] = index
        ctf_power = None
        if ctf is not None and coefficients is not None:
            here = ctf.take(rows)
            coefficients[rows] = ctf_coefficients(here, box, pixel)
            ctf_power = _ring_power_of(here, box, pixel)
            noise = _undo_premultiplication(noise, here, members, box, pixel)
        max_shift = parameters.max_shift_px
        if parameters.max_shift is not None:
            max_shift = parameters.max_shift / pixel
        max_shift = box / 12 if max_shift is None else max_shift
        masked = _masked(parameters, references, reference_pixel_size, box, pixel, mask_px)
        settings = SearchSettings(
            max_shift_px=max_shift, radius_px=min(mask_px / 2 + 2.5, box / 2), mirror=parameters.mirror,
            fast=parameters.fast,
        )  # fmt: skip
        search = plan_search(masked, noise, settings, ctf_power)
        geometries.append(
            Geometry(box, pixel, rows, source, mask_px, max_shift, noise, names, search, fixed_point_scale(deviation))
        )
    return AlignPlan(
        parameters, particles, tuple(geometries), geometry_of, place_in, noise_group, ctf, coefficients,
        np.stack([poses.dx, poses.dy], axis=1), prior, references, reference_pixel_size,
    )  # fmt: skip


def _noise_share(references: NDArray[np.float32], mask_px: float) -> float:
    """Median over the references of the variance outside the mask, relative to that inside; 0 where nothing is left."""
    radius = np.hypot(*centre_offsets(references.shape[-1]))
    outside, inside = radius > mask_px / 2 + 2.5, radius < mask_px / 2 - 2.5
    if outside.sum() < 16 or inside.sum() < 16:
        return 0.0
    return float(np.median(references[:, outside].var(axis=1) / references[:, inside].var(axis=1)))


def with_references(plan: AlignPlan, references: NDArray[np.float32]) -> AlignPlan:
    """Return the plan of the next iteration: other references at the same box and pixel size."""
    p = plan.parameters
    geometries = []
    for g in plan.geometries:
        masked = _masked(p, references, plan.reference_pixel_size, g.box, g.pixel_size_angstrom, g.mask_diameter_px)
        search = plan_search(masked, g.noise_power, replace(g.search.settings, full_rings=g.search.layout.n_rings))
        geometries.append(replace(g, search=search))
    return replace(plan, geometries=tuple(geometries), references=references)


def _masked(
    parameters: AlignParameters, references: NDArray, pixel_from: float, box: int, pixel: float, mask_px: float
) -> NDArray[np.float32]:
    matched = match_geometry(references, pixel_from, box, pixel)
    return mask_references(
        matched, mask_px, pixel_size_angstrom=pixel, lowpass_angstrom=parameters.lowpass,
        highpass_angstrom=parameters.highpass,
    )  # fmt: skip


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


def _noise_groups(
    parameters: AlignParameters, particles: ParticleSet, rows: NDArray[np.int64]
) -> tuple[list[NDArray[np.int64]], list[str]]:
    """Positions within ``rows`` of each noise group, and the groups' names."""
    if parameters.noise_group == "micrograph":
        names = particles.micrograph_names()
        if names is None:
            raise InputError("--noise-group micrograph needs rlnMicrographName", path=particles.path)
        labels = np.asarray(names, dtype=object)[rows]
    else:
        labels = particles.optics_index[rows]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    members = [np.flatnonzero(inverse == i) for i in range(len(first))]
    if parameters.noise_group == "micrograph":
        return members, [str(labels[f]) for f in first]
    if particles.optics is not None and "rlnOpticsGroupName" in particles.optics:
        return members, [str(particles.optics["rlnOpticsGroupName"].iloc[int(labels[f])]) for f in first]
    return members, [f"optics group {int(labels[f]) + 1}" for f in first]


def _noise_power(
    parameters: AlignParameters, source: StackSource, members: list[NDArray[np.int64]], mask_px: float
) -> tuple[NDArray[np.float64], float]:
    """Noise power of each group, and the deviation of the pixels."""
    good_members, power = [], []
    everywhere = np.ones((source.box, source.box), bool)
    for group in members:
        count = min(len(group), NOISE_ROWS)
        rows = group[np.arange(count) * len(group) // count]
        good = np.ones(count, bool)
        for start in range(0, count, TILE):
            images = source.read(rows[start : start + TILE])
            for index, _ in bad_images(images):
                good[start + index] = False
            _, deviation = background_statistics(images[good[start : start + TILE]], everywhere)
            power += list(deviation**2)
        good_members.append(rows[good])
    if not power:
        raise InputError("no usable image among the particles")
    mean_power = float(np.mean(power))
    box = source.box
    noise = np.empty((len(members), box // 2 + 1))
    for index, group in enumerate(good_members):
        try:
            noise[index] = estimate_noise_power(source, [group], mask_px, max_rows=NOISE_ROWS)[0]
        except InputError:
            # Nothing outside the mask: noiseless projections, or particles that were masked before.
            noise[index] = 0.0
    noise = np.maximum(noise, _CLEAN * mean_power)
    if not parameters.whiten:
        noise[:] = noise[:, 1:].mean(axis=1, keepdims=True)
    return noise, float(np.sqrt(mean_power))


def _ring_power_of(ctf: CtfParameters, box: int, pixel: float) -> NDArray[np.float64]:
    """Ring averages of C^2 over evenly chosen particles and eight directions, shape (box // 2 + 1,)."""
    from cryoalign.core.ctf import ctf_values

    count = min(len(ctf.voltage_kv), 500)
    chosen = ctf.take(np.arange(count) * len(ctf.voltage_kv) // count)
    ring = np.arange(box // 2 + 1) / (box * pixel)
    angle = np.arange(8) * np.pi / 8
    values = ctf_values(chosen, np.outer(np.cos(angle), ring).ravel(), np.outer(np.sin(angle), ring).ravel())
    return np.asarray((values**2).mean(axis=0).reshape(8, -1).mean(axis=0))


def _undo_premultiplication(
    noise: NDArray[np.float64], ctf: CtfParameters, members: list[NDArray[np.int64]], box: int, pixel: float
) -> NDArray[np.float64]:
    """Data multiplied by their CTF hold noise of power C^2 sigma^2: return sigma^2."""
    noise = noise.copy()
    for index, group in enumerate(members):
        if ctf.premultiplied[group].any():
            noise[index] /= np.maximum(_ring_power_of(ctf.take(group), box, pixel), 1e-3)
    return noise


def aligners(plan: AlignPlan) -> list[ReferenceAligner]:
    """Return one aligner for each geometry: the buffers of one thread."""
    return [ReferenceAligner(g.search) for g in plan.geometries]


def thread_bytes(plan: AlignPlan) -> int:
    """Estimate the memory of one thread in bytes: buffers of a tile, sums of a part, and what is under way."""
    total = 0
    for g in plan.geometries:
        coarse, m = g.search.coarse, len(plan.references)
        cells = coarse.n_cells * TILE * 8
        planes = 2 * coarse.n_angles * TILE * coarse.chunk * 4
        polar = 2 * TILE * g.search.layout.n_points * 4
        pixels = g.box**2 * (2 * 8 * m + 6 * 4 * TILE)
        total += cells + planes + polar + pixels
    return total


def inverted_contrast(plan: AlignPlan) -> bool:
    """Tell whether a sample of the particles fits the negative of the references clearly better.

    Both signs are searched for up to two tiles of each geometry; the difference must be three standard errors.
    """
    difference: list[float] = []
    for g in plan.geometries:
        count = min(len(g.rows), 2 * TILE)
        rows = g.rows[np.arange(count) * len(g.rows) // count]
        aligner = ReferenceAligner(g.search)
        for start in range(0, count, TILE):
            here = rows[start : start + TILE]
            images = g.source.read(plan.place_in[here])
            valid = np.ones(len(here), bool)
            for index, _ in bad_images(images):
                valid[index] = False
            images[~valid] = 0.0
            inputs = plan.tile_inputs(here, valid)
            direct, negative = aligner.align(images, inputs), aligner.align(-images, inputs)
            difference += list((negative.score - direct.score)[valid])
    if len(difference) < 3:
        return False
    error = float(np.std(difference)) / np.sqrt(len(difference))
    return float(np.mean(difference)) > max(3 * error, 0.02)
