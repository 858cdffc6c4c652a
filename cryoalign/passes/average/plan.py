"""The plan of ``average``: everything that is decided before the first particle is added.

Pure: the same tables and parameters give the same plan, so that a resumed run, a task of a job array and any number
of threads work on the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import SumSettings
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region
from cryoalign.core.poses import Poses
from cryoalign.core.tiles import TILE
from cryoalign.io.ctf_columns import NO_CTF, read_ctf
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.passes.average.members import Memberships
from cryoalign.passes.halves import SHARED_RESOLUTION, half_sets
from cryoalign.passes.pixel_scale import sum_scale

SUMS_BYTES = 256 * 2**20
"""Sums of all classes larger than this are not kept at once: memberships are sorted by blocks of classes instead."""
BLOCK_BYTES = 8 * 2**20
"""Sums of a block of classes; where particles are in many classes, sums larger than this are made in blocks too."""
_MEMORY_SHARE = 8
"""With --memory, the sums of one thread may take one part in so many of it."""


@dataclass(frozen=True, eq=False)
class AverageGeometry:
    """Particles of one box and pixel size.

    Parameters
    ----------
    rows
        0-based rows of the particle table.
    source
        Their images, in the order of ``rows``.
    sum_scale
        Fixed-point scale of the sums.
    """

    box: int
    pixel_size_angstrom: float
    rows: NDArray[np.int64]
    source: StackSource
    mask_diameter_px: float
    sum_scale: float


@dataclass(frozen=True, eq=False)
class AveragePlan:
    """What the part functions need.

    Parameters
    ----------
    members
        The memberships, with their classes.
    geometry_of, place_in
        Geometry of each particle, and its place in that geometry's rows; shape (n,).
    half
        Half set of each particle, 0 or 1, (n,).
    ctf
        Of each particle; None where it is not used.
    out_box, out_pixel_size
        Of the averages: the geometry that most memberships have.
    mask_diameter_angstrom
        Of the particle.
    order
        The membership at each position of the work: by particle, or by block of classes and then particle.
    classes_per_block
        Classes of a block; all of them where the work is ordered by particle.
    shared_ring
        Rings up to this one are no independent evidence: box // 2 where nothing is.
    scales
        Intensity of each membership, where it was estimated.
    """

    parameters: AverageParameters
    particles: ParticleSet
    members: Memberships
    geometries: tuple[AverageGeometry, ...]
    geometry_of: NDArray[np.int64]
    place_in: NDArray[np.int64]
    half: NDArray[np.int8]
    ctf: CtfParameters | None
    out_box: int
    out_pixel_size: float
    mask_diameter_angstrom: float
    order: NDArray[np.int64]
    classes_per_block: int
    shared_ring: int
    scales: NDArray[np.float64] | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.members.class_numbers)

    @property
    def by_class(self) -> bool:
        """Whether the work is ordered by blocks of classes."""
        return self.classes_per_block < self.n_classes

    @property
    def mask_diameter_px(self) -> float:
        """Diameter of the mask in pixels of the averages."""
        return self.mask_diameter_angstrom / self.out_pixel_size

    @property
    def part_rows(self) -> int:
        """Memberships of a part: enough that its sums stay small beside its images."""
        p = self.parameters
        if p.block_size is not None:
            return p.block_size
        return max(512, -(-40 * self.classes_per_block // TILE) * TILE)

    def sum_settings(self, g: int) -> SumSettings:
        """Return how the particles of a geometry are summed: two cells for each class."""
        p, geometry = self.parameters, self.geometries[g]
        return SumSettings(
            box=geometry.box, pixel_size_angstrom=geometry.pixel_size_angstrom, out_box=self.out_box,
            out_pixel_size_angstrom=self.out_pixel_size, n_cells=2 * self.n_classes, scale=geometry.sum_scale,
            treatment=p.treatment, interpolation=p.interpolation, edge=p.resolved_edge,
            intact_first_peak=p.ctf_intact_first_peak,
            normalize_diameter_px=geometry.mask_diameter_px if p.normalize else None,
        )  # fmt: skip

    def with_poses(self, poses: Poses) -> AveragePlan:
        """Return the same plan for other poses of the memberships."""
        return replace(self, members=replace(self.members, poses=poses))


def plan_average(
    parameters: AverageParameters,
    particles: ParticleSet,
    members: Memberships,
    *,
    scratch: Path,
    warn: Callable[[str], None],
) -> AveragePlan:
    """Decide everything.

    Parameters
    ----------
    parameters, particles, members
        What the user asked for, the table, and who is averaged with whom.
    scratch
        Where compressed stacks may be unpacked.
    warn
        Called with one sentence for each thing the user should know.

    Raises
    ------
    InputError
        Where a needed column is missing, or a mask leaves no background.
    """
    n = len(particles)
    ctf = None if parameters.plain else read_ctf(particles)
    if not parameters.plain and ctf is None:
        said = next((text for text in particles.warnings if text.startswith(NO_CTF)), "")
        warn(f"the CTF is not corrected: {said.removeprefix(NO_CTF) or 'the metadata do not allow it'}")
    groups = particles.groups_by_box()
    geometry_of, place_in = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for g, group in enumerate(groups):
        geometry_of[group.rows], place_in[group.rows] = g, np.arange(len(group.rows))
    counts = np.bincount(geometry_of[members.particle], minlength=len(groups))
    most = groups[int(np.argmax(counts))]
    mask_angstrom = parameters.mask_diameter or 0.8 * most.box * most.pixel_size_angstrom
    background_region(most.box, mask_angstrom / most.pixel_size_angstrom)
    geometries = []
    for box, pixel, rows in groups:
        if box % 2:
            warn(f"the box of {box} px is odd: RELION refines even boxes only")
        if parameters.normalize:
            background_region(box, mask_angstrom / pixel)
        source = StackSource(particles.take(rows), invert=parameters.invert, scratch_dir=scratch)
        scale = sum_scale(source, normalized=parameters.normalize)
        geometries.append(AverageGeometry(box, pixel, rows, source, mask_angstrom / pixel, scale))
    if len(groups) > 1:
        warn(
            f"particles of {len(groups)} geometries are averaged at {most.box} px and {most.pixel_size_angstrom:g} A, "
            "which most of them have"
        )
    per_block = _classes_per_block(parameters, len(members.class_numbers), most.box, len(groups), len(members) > n)
    return AveragePlan(
        parameters, particles, members, tuple(geometries), geometry_of, place_in, half_sets(particles), ctf, most.box,
        most.pixel_size_angstrom, mask_angstrom, np.lexsort((members.particle, members.class_index // per_block)),
        per_block,
        _shared_ring(parameters, particles, members, most.box, most.pixel_size_angstrom, warn),
    )  # fmt: skip


def sums_bytes(n_classes: int, box: int, n_geometries: int = 1) -> int:
    """Return the memory of the sums of all classes: two cells each, pixels and Fourier weights in eight bytes."""
    return n_geometries * 2 * n_classes * 8 * box * (box + box // 2 + 1)


def _classes_per_block(
    parameters: AverageParameters, n_classes: int, box: int, n_geometries: int, repeated: bool
) -> int:
    """Return how many classes are summed together: all, or as many as a block holds."""
    budget = _budget(parameters)
    if sums_bytes(n_classes, box, n_geometries) <= (min(BLOCK_BYTES, budget) if repeated else budget):
        return max(n_classes, 1)
    return max(1, min(BLOCK_BYTES, budget) // sums_bytes(1, box, n_geometries))


def _budget(parameters: AverageParameters) -> int:
    """Return the bytes that the sums of one thread may take; the number of threads must not matter."""
    return SUMS_BYTES if parameters.memory is None else min(SUMS_BYTES, parameters.memory // _MEMORY_SHARE)


def _shared_ring(
    parameters: AverageParameters,
    particles: ParticleSet,
    members: Memberships,
    box: int,
    pixel: float,
    warn: Callable[[str], None],
) -> int:
    """Return the last ring on which the halves may agree because they saw the same reference."""
    has_subset = "rlnRandomSubset" in particles.particles
    if parameters.independent_halves:
        if not has_subset:
            raise InputError(
                "--independent-halves needs rlnRandomSubset", path=particles.path,
                hint="halves that were aligned together are not independent",
            )  # fmt: skip
        return 0
    if members.shared_angstrom is not None:
        return _ring_of(members.shared_angstrom, box, pixel)
    shared = particles.numbers(SHARED_RESOLUTION)
    if shared is None:
        return box // 2
    if not has_subset:
        warn(f"{SHARED_RESOLUTION} without rlnRandomSubset says nothing: no resolution is given")
        return box // 2
    if not (shared > 0).all():
        row = int(np.flatnonzero(~(shared > 0))[0])
        what = f"{SHARED_RESOLUTION} is no resolution in A"
        raise particles.located(InputError(what, row=row + 1, value=float(shared[row])))
    return _ring_of(float(shared.min()), box, pixel)


def _ring_of(resolution_angstrom: float, box: int, pixel: float) -> int:
    return min(box // 2, int(np.ceil(box * pixel / resolution_angstrom - 1e-3)))
