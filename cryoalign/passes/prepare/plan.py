"""How particles are made comparable: everything that is decided before the first one is read for it.

A prepared image is whitened by the noise outside the particles' mask, the CTF's sign is undone, and it is cropped in
Fourier space to a few dozen pixels, in which noise has variance 1 per pixel. Pure: the same table and parameters give
the same plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region
from cryoalign.core.noise import whitening_gain
from cryoalign.io.ctf_columns import NO_CTF, read_ctf
from cryoalign.io.particle_set import BoxGroup
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource
from cryoalign.passes.noise import flat_noise_power, group_noise_power, noise_groups, undo_premultiplication
from cryoalign.passes.prepare.settings import ComparisonParameters

SOFT_EDGE_PX = 5.0
_SAME = 0.003
"""Fields of view that agree to this share are taken as one."""


@dataclass(frozen=True, eq=False)
class PreparedGeometry:
    """Particles of one box and pixel size.

    Parameters
    ----------
    rows, source
        0-based rows of the particle table, and their images in that order.
    background
        Pixels outside the mask, bool (box, box).
    gain
        Whitening gain per ring of each noise group, (groups, box // 2 + 1).
    frame
        Side in pixels of the field of view that is kept.
    """

    box: int
    pixel_size_angstrom: float
    rows: NDArray[np.int64]
    source: StackSource
    background: NDArray[np.bool_]
    gain: NDArray[np.float64]
    frame: int


@dataclass(frozen=True, eq=False)
class PreparePlan:
    """What the part function needs.

    Parameters
    ----------
    geometry_of, place_in, noise_group
        Geometry of each row, its place in that geometry's rows, and its noise group there; shape (n,).
    ctf
        Of each row; None where it is not used.
    box
        Side of the prepared images in pixels.
    raw_box, raw_pixel_size
        The geometry that most particles have; poses and shifts are in its pixels.
    mask_diameter_angstrom
        Of the particle.
    """

    parameters: ComparisonParameters
    particles: ParticleSet
    geometries: tuple[PreparedGeometry, ...]
    geometry_of: NDArray[np.int64]
    place_in: NDArray[np.int64]
    noise_group: NDArray[np.int64]
    ctf: CtfParameters | None
    box: int
    raw_box: int
    raw_pixel_size: float
    mask_diameter_angstrom: float

    @property
    def pixel_size_angstrom(self) -> float:
        """Pixel size of the prepared images in A."""
        return self.raw_pixel_size * self.raw_box / self.box

    @property
    def raw_per_prepared(self) -> float:
        """Raw pixels in one pixel of the prepared images."""
        return self.raw_box / self.box

    @property
    def radius_px(self) -> float | None:
        """Radius of the disc that is compared, in prepared pixels: of a mask that was given, with half its soft edge.

        None, the largest that fits, where no mask was given.
        """
        if self.parameters.mask_diameter is None:
            return None
        edge = 0.5 * SOFT_EDGE_PX / self.raw_per_prepared
        return min(0.5 * self.mask_diameter_angstrom / self.pixel_size_angstrom + edge, 0.5 * (self.box - 1))


def plan_preparation(
    parameters: ComparisonParameters, particles: ParticleSet, *, scratch: Path, warn: Callable[[str], None]
) -> PreparePlan:
    """Decide how particles are prepared, and measure their noise.

    Parameters
    ----------
    parameters, particles
        What the user asked for, and the table.
    scratch
        Where compressed stacks may be unpacked.
    warn
        Called with one sentence for each thing the user should know.

    Raises
    ------
    InputError
        Where a mask leaves no background, or particles of several geometries cannot be brought to one.
    """
    p, n = parameters, len(particles)
    ctf = read_ctf(particles) if p.ctf else None
    if p.ctf and ctf is None and particles.dialect != "references":  # averages have none
        said = next((text for text in particles.warnings if text.startswith(NO_CTF)), "")
        warn(f"the CTF is not corrected: {said.removeprefix(NO_CTF) or 'the metadata do not allow it'}")
    groups = particles.groups_by_box()
    most = max(groups, key=lambda group: len(group.rows))
    box = min(p.downsample, most.box)
    mask_angstrom = p.mask_diameter or 0.8 * most.box * most.pixel_size_angstrom
    background_region(most.box, mask_angstrom / most.pixel_size_angstrom)
    geometry_of, place_in, noise_group = (np.zeros(n, np.int64) for _ in range(3))
    geometries = []
    for g, group in enumerate(groups):
        rows = group.rows
        geometry_of[rows], place_in[rows] = g, np.arange(len(rows))
        frame = _frame(particles, group, most, box, mask_angstrom)
        source = StackSource(particles.take(rows), invert=p.invert, scratch_dir=scratch)
        members, _ = noise_groups(p.noise_group, particles, rows)
        for index, member in enumerate(members):
            noise_group[rows[member]] = index
        mask_px = mask_angstrom / group.pixel_size_angstrom
        background = background_region(group.box, mask_px)
        noise = group_noise_power(source, members, mask_px)
        if ctf is not None:
            noise = undo_premultiplication(noise, ctf.take(rows), members, group.box, group.pixel_size_angstrom)
        gain = whitening_gain(noise if p.whiten else flat_noise_power(noise))
        geometries.append(PreparedGeometry(group.box, group.pixel_size_angstrom, rows, source, background, gain, frame))
    if len(groups) > 1:
        warn(
            f"particles of {len(groups)} geometries are compared at {most.box} px and {most.pixel_size_angstrom:g} A, "
            "which most of them have"
        )
    return PreparePlan(
        p, particles, tuple(geometries), geometry_of, place_in, noise_group, ctf, box, most.box,
        most.pixel_size_angstrom, mask_angstrom,
    )  # fmt: skip


def _frame(particles: ParticleSet, group: BoxGroup, most: BoxGroup, box: int, mask_angstrom: float) -> int:
    """Return the pixels of a geometry that show what the images of most particles show."""
    field = most.box * most.pixel_size_angstrom
    here = group.box * group.pixel_size_angstrom
    frame = group.box if abs(here / field - 1) < _SAME else round(field / group.pixel_size_angstrom)
    path, row = particles.where(int(group.rows[0]))
    what = f"images of {group.box} px at {group.pixel_size_angstrom:g} A"
    if here < mask_angstrom:
        raise InputError(
            f"{what} are smaller than the particle's mask", path=path, row=row, value=f"{mask_angstrom:g} A",
            hint="give a smaller --mask-diameter, or extract these particles with a larger box",
        )  # fmt: skip
    if frame < box:
        finest = int(field / group.pixel_size_angstrom)
        raise InputError(
            f"{what} are too coarse to be compared at {field / box:.3g} A", path=path, row=row,
            hint=f"give --downsample {finest} or less",
        )  # fmt: skip
    return frame
