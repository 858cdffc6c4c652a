"""How particles are made comparable: everything that is decided before the first one is read for it.

A prepared image is whitened by the noise outside the particles' mask, the CTF's sign is undone, and it is cropped in
Fourier space to a few dozen pixels, in which noise has variance 1 per pixel. Pure: the same table and parameters give
the same plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.noise import whitening_gain
from cryoalign.core.tiles import TILE
from cryoalign.passes.images import ImageGroup, ImagePlan, ParticleImages
from cryoalign.passes.noise import flat_noise_power
from cryoalign.passes.prepare.settings import ComparisonSettings
from cryoalign.runs.parameters import settings_from

SOFT_EDGE_PX = 5.0
_SAME = 0.003
"""Fields of view that agree to this share are taken as one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedGeometry(ImageGroup):
    """Particles of one box and pixel size.

    Parameters
    ----------
    outside
        Pixels outside the mask, bool (box, box).
    gain
        Whitening gain per ring of each noise group, (groups, box // 2 + 1).
    frame
        Side in pixels of the field of view that is kept.
    """

    outside: NDArray[np.bool_]
    gain: NDArray[np.float64]
    frame: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparePlan(ImagePlan):
    """What the part function needs.

    Parameters
    ----------
    settings
        How particles are compared.
    geometries
        Those of the images, with what prepares them.
    box
        Side of the prepared images in pixels.
    raw_box, raw_pixel_size
        The geometry that most particles have; poses and shifts are in its pixels.
    """

    settings: ComparisonSettings
    geometries: tuple[PreparedGeometry, ...]
    box: int
    raw_box: int
    raw_pixel_size: float

    @property
    def thread_bytes(self) -> int:
        """Memory of one worker in bytes, estimated: a tile of raw images, twice, with spectra, and the small ones."""
        return 4 * TILE * (4 * max(g.box for g in self.geometries) ** 2 + 8 * self.box**2)

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
        if self.settings.mask_diameter is None:
            return None
        edge = 0.5 * SOFT_EDGE_PX / self.raw_per_prepared
        return min(0.5 * self.mask_diameter_angstrom / self.pixel_size_angstrom + edge, 0.5 * (self.box - 1))


def plan_preparation(
    settings: ComparisonSettings, images: ParticleImages, *, warn: Callable[[str], None]
) -> PreparePlan:
    """Decide how particles are prepared, and measure their noise.

    Parameters
    ----------
    settings, images
        What was asked for, and the particles.
    warn
        Called with one sentence for each thing the user should know.

    Raises
    ------
    InputError
        Where a mask leaves no background, or particles of several geometries cannot be brought to one.
    """
    most = images.most
    box = min(settings.downsample, most.box)
    frames = [_frame(images, group, most, box) for group in images.groups]
    geometries = []
    for g, (group, frame) in enumerate(zip(images.groups, frames, strict=True)):
        noise = images.noise[g].before_ctf(images.ctf_of(group.rows), group.box, group.pixel_size_angstrom)
        gain = whitening_gain(noise if settings.whiten else flat_noise_power(noise))
        geometries.append(settings_from(PreparedGeometry, group, outside=group.background(), gain=gain, frame=frame))
    if len(images.groups) > 1:
        warn(
            f"particles of {len(images.groups)} geometries are compared at {most.box} px and "
            f"{most.pixel_size_angstrom:g} A, which most of them have"
        )
    return PreparePlan(
        images=images, settings=settings, geometries=tuple(geometries), box=box, raw_box=most.box,
        raw_pixel_size=most.pixel_size_angstrom,
    )  # fmt: skip


def _frame(images: ParticleImages, group: ImageGroup, most: ImageGroup, box: int) -> int:
    """Return the pixels of a geometry that show what the images of most particles show."""
    field = most.box * most.pixel_size_angstrom
    here = group.box * group.pixel_size_angstrom
    frame = group.box if abs(here / field - 1) < _SAME else round(field / group.pixel_size_angstrom)
    path, row = images.particles.where(int(group.rows[0]))
    what = f"images of {group.box} px at {group.pixel_size_angstrom:g} A"
    if here < images.mask_diameter_angstrom:
        raise InputError(
            f"{what} are smaller than the particle's mask", path=path, row=row,
            value=f"{images.mask_diameter_angstrom:g} A",
            hint="give a smaller --mask-diameter, or extract these particles with a larger box",
        )  # fmt: skip
    if frame < box:
        finest = int(field / group.pixel_size_angstrom)
        raise InputError(
            f"{what} are too coarse to be compared at {field / box:.3g} A", path=path, row=row,
            hint=f"give --downsample {finest} or less",
        )  # fmt: skip
    return frame
