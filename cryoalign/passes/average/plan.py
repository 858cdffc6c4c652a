"""The plan of averages: everything that is decided before the first particle is added.

Pure: the same tables and parameters give the same plan, so that a resumed run, a task of a job array and any number
of threads work on the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import SumSettings
from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.core.tiles import TILE
from cryoalign.io.particles import ParticleSet
from cryoalign.passes.average.members import Memberships
from cryoalign.passes.average.settings import AverageSettings
from cryoalign.passes.halves import SHARED_RESOLUTION, given_subset
from cryoalign.passes.images import ImageGroup, ImagePlan, ParticleImages
from cryoalign.runs.parts import PartRange, rows_of_part

SUMS_BYTES = 256 * 2**20
"""Sums of all classes larger than this are not kept at once: memberships are sorted by blocks of classes instead."""
BLOCK_BYTES = 8 * 2**20
"""Sums of a block of classes; where particles are in many classes, sums larger than this are made in blocks too."""
_MEMORY_SHARE = 8
"""With --memory, the sums of one thread may take one part in so many of it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePlan(ImagePlan):
    """What the part functions need.

    Parameters
    ----------
    settings
        How members are averaged.
    members
        The memberships, with their classes.
    sum_scale
        Fixed-point scale of the sums of each geometry.
    out_box, out_pixel_size
        Of the averages: the geometry that most memberships have, where no other was asked for.
    order
        The membership at each position of the work: by particle, or by block of classes and then particle.
    classes_per_block
        Classes of a block; all of them where the work is ordered by particle.
    shared_ring
        Rings up to this one are no independent evidence: box // 2 where nothing is.
    scales
        Intensity of each membership, where it was estimated.
    """

    settings: AverageSettings
    members: Memberships
    sum_scale: tuple[float, ...]
    out_box: int
    out_pixel_size: float
    order: NDArray[np.int64]
    classes_per_block: int
    shared_ring: int
    scales: NDArray[np.float64] | None = None

    @property
    def geometries(self) -> tuple[ImageGroup, ...]:
        """Particles of each box and pixel size."""
        return self.images.groups

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
        """Memberships of a part."""
        return rows_of_part(self.settings.block_size, self.classes_per_block)

    def members_of(self, part: PartRange) -> NDArray[np.int64]:
        """Return the memberships of a part."""
        return self.order[part.start : part.stop]

    @property
    def thread_bytes(self) -> int:
        """Memory of one worker in bytes, estimated: tiles and the sums of a part, twice while they are packed."""
        tiles = 12 * 4 * TILE * max(self.out_box, *(g.box for g in self.geometries)) ** 2
        # A part may hold the end of one block and the beginning of the next.
        classes = min(self.n_classes, 2 * self.classes_per_block)
        return tiles + 2 * sums_bytes(classes, self.out_box, len(self.geometries))

    def sum_settings(self, g: int) -> SumSettings:
        """Return how the particles of a geometry are summed: two cells for each class."""
        s, group = self.settings, self.geometries[g]
        return SumSettings(
            box=group.box, pixel_size_angstrom=group.pixel_size_angstrom, out_box=self.out_box,
            out_pixel_size_angstrom=self.out_pixel_size, n_cells=2 * self.n_classes, scale=self.sum_scale[g],
            treatment=s.treatment, interpolation=s.interpolation, edge=s.resolved_edge,
            intact_first_peak=s.ctf_intact_first_peak,
        )  # fmt: skip

    @property
    def kind_of_average(self) -> str:
        """What an average is, in words."""
        s = self.settings
        mean = {None: "mean", "median": "median", "winsorised": "winsorised mean", "sigma-clip": "sigma-clipped mean"}
        words = mean[s.robust]
        if s.treatment == "plain":
            return words if s.robust else "plain mean"
        if s.treatment == "flip":
            return f"phase-flipped {words}" if self.ctf is not None else f"{words} without CTF"
        kind = "CTF-weighted, Wiener-filtered" if self.ctf is not None else "Wiener-filtered"
        return f"{kind} {words}"

    def with_poses(self, poses: Poses) -> AveragePlan:
        """Return the same plan for other poses of the memberships."""
        return replace(self, members=replace(self.members, poses=poses))


def plan_average(
    settings: AverageSettings,
    images: ParticleImages,
    members: Memberships,
    *,
    warn: Callable[[str], None],
    most: ImageGroup | None = None,
) -> AveragePlan:
    """Decide everything.

    Parameters
    ----------
    settings, images, members
        What was asked for, the particles, and who is averaged with whom.
    warn
        Called with one sentence for each thing the user should know.
    most
        The geometry of the averages; None = that which most members have, the first of equals.

    Raises
    ------
    InputError
        Where a needed column is missing, or a mask leaves no background.
    """
    images = images.for_settings(settings)
    groups = images.groups
    if most is None:
        most = groups[int(np.argmax(np.bincount(images.group_of[members.particle], minlength=len(groups))))]
    most.background()
    if len(groups) > 1:
        warn(
            f"particles of {len(groups)} geometries are averaged at {most.box} px and {most.pixel_size_angstrom:g} A, "
            "which most of them have"
        )
    repeated = len(members) > len(images)
    per_block = _classes_per_block(settings, len(members.class_numbers), most.box, len(groups), repeated)
    return AveragePlan(
        images=images, settings=settings, members=members,
        sum_scale=tuple(images.sum_scale(g) for g in range(len(groups))),
        out_box=most.box, out_pixel_size=most.pixel_size_angstrom,
        order=np.lexsort((members.particle, members.class_index // per_block)), classes_per_block=per_block,
        shared_ring=_shared_ring(settings, images.particles, members, most.box, most.pixel_size_angstrom, warn),
    )  # fmt: skip


def sums_bytes(n_classes: int, box: int, n_geometries: int = 1) -> int:
    """Return the memory of the sums of all classes: two cells each, pixels and Fourier weights in eight bytes."""
    return n_geometries * 2 * n_classes * 8 * box * (box + box // 2 + 1)


def _classes_per_block(settings: AverageSettings, n_classes: int, box: int, n_geometries: int, repeated: bool) -> int:
    """Return how many classes are summed together: all, or as many as a block holds."""
    budget = _budget(settings)
    if sums_bytes(n_classes, box, n_geometries) <= (min(BLOCK_BYTES, budget) if repeated else budget):
        return max(n_classes, 1)
    return max(1, min(BLOCK_BYTES, budget) // sums_bytes(1, box, n_geometries))


def _budget(settings: AverageSettings) -> int:
    """Return the bytes that the sums of one thread may take; the number of threads must not matter."""
    return SUMS_BYTES if settings.memory is None else min(SUMS_BYTES, settings.memory // _MEMORY_SHARE)


def _shared_ring(
    settings: AverageSettings,
    particles: ParticleSet,
    members: Memberships,
    box: int,
    pixel: float,
    warn: Callable[[str], None],
) -> int:
    """Return the last ring on which the halves may agree because they saw the same reference."""
    has_subset = given_subset(particles) is not None
    if settings.independent_halves:
        if not has_subset:
            raise InputError(
                "--independent-halves needs rlnRandomSubset, with particles in both halves and tubes whole",
                path=particles.path,
                hint="halves that were aligned together are not independent",
            )  # fmt: skip
        return 0
    if members.shared_angstrom is not None:
        return _ring_of(members.shared_angstrom, box, pixel)
    shared = particles.numbers(SHARED_RESOLUTION)
    if shared is None:
        return box // 2
    if not has_subset:
        warn(f"{SHARED_RESOLUTION} without halves of rlnRandomSubset says nothing: no resolution is given")
        return box // 2
    if not (shared > 0).all():
        row = int(np.flatnonzero(~(shared > 0))[0])
        what = f"{SHARED_RESOLUTION} is no resolution in A"
        raise particles.located(InputError(what, row=row + 1, value=float(shared[row])))
    return _ring_of(float(shared.min()), box, pixel)


def _ring_of(resolution_angstrom: float, box: int, pixel: float) -> int:
    return min(box // 2, int(np.ceil(box * pixel / resolution_angstrom - 1e-3)))
