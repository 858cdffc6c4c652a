"""The images that are compared: of a stack, a STAR file or a .cs file, or one of them, ``N@FILE``."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.ctf_sums import apply_ctf
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.limits import SAME_GEOMETRY
from cryoalign.core.poses import Poses
from cryoalign.core.source import ArraySource
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.mrc import read_mrc_header, unpacked, volume_error
from cryoalign.io.particles import read_particles
from cryoalign.io.paths import image_name
from cryoalign.io.references import listed_references, read_references
from cryoalign.io.stacks import StackSource, bad_images, read_images
from cryoalign.io.star import read_star
from cryoalign.jobs.compare.named import named_image
from cryoalign.passes.normalised import NormalisedSource
from cryoalign.passes.settings import MASK_SHARE

CORRECTED = "phases corrected"
"""What is said of images whose CTF's signs were undone."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one box and pixel size.

    Attributes
    ----------
    path
        The file that was named.
    pixels
        Float32 (n, L, L).
    names
        Of each image, as RELION names it.
    pixel_size_angstrom
        None where nothing says it.
    warnings
        What reading noticed.
    ctf
        Of each image; None where nothing says it.
    table_poses
        Poses of the table that lists the particles; None where there is no such table.
    class_number
        rlnClassNumber, int64 (n,); None where there is none.
    is_particles
        Whether they are particles of a table.
    """

    path: Path
    pixels: NDArray[np.float32]
    names: list[str]
    pixel_size_angstrom: float | None
    warnings: tuple[str, ...] = ()
    ctf: CtfParameters | None = None
    table_poses: Poses | None = None
    class_number: NDArray[np.int64] | None = None
    is_particles: bool = False

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    @property
    def box(self) -> int:
        """Side of the images in pixels."""
        return int(self.pixels.shape[-1])

    @property
    def poses(self) -> Poses:
        """Return the poses that the images came with; without a table they count as they lie."""
        return Poses.identity(len(self)) if self.table_poses is None else self.table_poses


def read_image_set(
    text: str, *, datadir: Path | None = None, angpix: float | None = None, apply_mag_matrix: bool = False,
    normalize: bool = False, mask_diameter: float | None = None, with_poses: bool = True,
) -> ImageSet:  # fmt: skip
    """Read the images of FILE, or image N of it, counted from 1, where ``text`` is N@FILE.

    With ``apply_mag_matrix`` particles are corrected for anisotropic magnification as their optics table has it, with
    ``normalize`` their backgrounds are taken off, outside the mask diameter in A (None = 0.8 of the box). Pictures of a
    stack or a table of references stay as they are. Without ``with_poses`` nobody asks for the poses of its table.

    Raises
    ------
    InputError
        If the file is missing or unusable, there is no such image, or an image is constant or has NaN.
    """
    number, path = named_image(text)
    name = path.name.lower()
    if name.endswith(".star") and any("rlnReferenceImage" in block for block in read_star(path).blocks.values()):
        found = _of_references(path, number, datadir, angpix)
    elif name.endswith((".cs", ".star")):
        found = _of_particles(path, number, datadir, angpix, apply_mag_matrix, with_poses)
    else:
        found = _of_stack(path, number)
    for index, reason in bad_images(found.pixels):
        raise InputError(f"image is unusable: {reason}", path=path, value=found.names[index])
    if normalize and found.is_particles:
        size = found.pixel_size_angstrom if angpix is None else angpix
        diameter_px = MASK_SHARE * found.box if mask_diameter is None or size is None else mask_diameter / size
        found = replace(
            found, pixels=NormalisedSource(ArraySource(found.pixels), diameter_px).read(np.arange(len(found)))
        )
    return found if angpix is None else replace(found, pixel_size_angstrom=float(angpix))


def phases_flipped(images: ImageSet) -> tuple[ImageSet, str]:
    """Undo the signs of the CTF where it is known and the pixels still have them; also say in words what was done."""
    if images.ctf is None:
        return images, "not known"
    corrected = images.ctf.phase_flipped | images.ctf.premultiplied
    if corrected.all():
        return images, "phases were corrected before"
    assert images.pixel_size_angstrom is not None
    pixels = apply_ctf(images.pixels, images.ctf, images.pixel_size_angstrom, "flip")
    return replace(images, pixels=pixels), CORRECTED


def _row(path: Path, number: int | None, count: int) -> NDArray[np.int64]:
    """Return the 0-based rows that are wanted of so many."""
    if number is None:
        return np.arange(count)
    if number > count:
        raise InputError(f"there is no such image: the file has {count}", path=path, value=number)
    return np.array([number - 1])


def _of_stack(path: Path, number: int | None) -> ImageSet:
    header = read_mrc_header(path)
    if number is None and header.looks_like_volume:
        raise volume_error(header)
    if header.nx != header.ny:
        raise InputError("images are not square", path=path, value=f"{header.nx} x {header.ny}")
    rows = _row(path, number, header.count)
    with tempfile.TemporaryDirectory(prefix="cryoalign-") as scratch:
        pixels = read_images(header, unpacked(header, Path(scratch)), int(rows[0]), int(rows[-1]) + 1)
    # Programs that do not know the voxel size write 1.
    size = None if header.voxel_size_angstrom == 1.0 else header.voxel_size_angstrom
    return ImageSet(path, pixels, [image_name(row, str(path)) for row in rows.tolist()], size, header.oddities)


def _of_references(path: Path, number: int | None, datadir: Path | None, angpix: float | None) -> ImageSet:
    pixels, size = read_references(path, datadir=datadir, angpix=angpix)
    rows = _row(path, number, len(pixels))
    listed = listed_references(read_star(path))
    assert listed is not None  # or they would have been read as particles
    return ImageSet(path, pixels[rows], [listed[0][row] for row in rows.tolist()], size)


def _of_particles(
    path: Path, number: int | None, datadir: Path | None, angpix: float | None, apply_mag_matrix: bool,
    with_poses: bool,
) -> ImageSet:  # fmt: skip
    particles = read_particles([path], datadir=datadir, angpix=angpix, apply_mag_matrix=apply_mag_matrix)
    warnings = tuple(particles.warnings)
    particles = particles.take(_row(path, number, len(particles)))
    ctf = read_ctf(particles)  # averages and projections have none, which is nothing to warn of
    sizes = np.unique(particles.pixel_size_angstrom)
    if sizes[-1] > sizes[0] * (1 + SAME_GEOMETRY):
        listed = ", ".join(f"{size:g}" for size in sizes)
        raise InputError(
            "images of several pixel sizes", path=path, value=listed, hint="compare them one after another"
        )
    pixels = StackSource(particles).read(np.arange(len(particles)))
    names, classes = list(particles.image_names()), particles.whole_numbers("rlnClassNumber")
    poses = particles.poses() if with_poses else None
    return ImageSet(path, pixels, names, float(sizes[0]), warnings, ctf, poses, classes, True)
