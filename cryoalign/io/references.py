"""Reference images: a stack, a single image, or a STAR list of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import PIXEL_SIZES_ANGSTROM
from cryoalign.io.mrc import no_image_error, read_mrc_header, unpacked, volume_error
from cryoalign.io.optics import PIXEL_SIZE
from cryoalign.io.paths import resolve_stacks, search_folders, split_image_names
from cryoalign.io.stacks import bad_images, read_images
from cryoalign.io.star import StarFile, read_star

REFERENCE = "rlnReferenceImage"
_NAMES = (REFERENCE, "rlnImageName")
DISTRIBUTION = "rlnClassDistribution"


def read_references(
    path: Path | str, *, datadir: Path | None = None, angpix: float | None = None, default_angpix: float | None = None,
    blank: bool = False,
) -> tuple[NDArray[np.float32], float]:  # fmt: skip
    """Read reference images.

    Parameters
    ----------
    path
        An .mrc or .mrcs file of one or many images, or a STAR file that lists them as rlnReferenceImage or
        rlnImageName (``000001@averages.mrcs``), in its order.
    datadir
        Folder in which relative names of a STAR file are looked up first.
    angpix
        Pixel size in A; wins over everything the files say.
    default_angpix
        Pixel size in A where the files say nothing (a voxel size of 0, NaN or 1.0 says nothing).
    blank
        Let images that show nothing (constant ones, and any of a class without members) stand: they are returned as
        zeros.

    Returns
    -------
    tuple
        Images, float32 of shape (M, L, L), and their pixel size in A.

    Raises
    ------
    InputError
        If a file is missing or unusable, boxes differ, an image is constant or has NaN, or there is no pixel size.
    """
    path = Path(path)
    if path.name.lower().endswith(".star"):
        star = read_star(path)
        names = _listed(star)
        pixel = _pixel_size_of_star(star)
    else:
        star, names, pixel = None, [f"{path}"], None
    images, voxel = _load(path, names, datadir, listed=star is not None)
    empty = _without_members(star)
    for index, reason in bad_images(images):
        if not blank or not (reason.startswith("constant") or index in empty):
            raise InputError(f"reference is unusable: {reason}", path=path, row=index + 1)
        images[index] = 0.0
    for size in (angpix, pixel, None if voxel == 1.0 else voxel, default_angpix):
        if size is not None:
            return images, float(size)
    raise InputError("references have no pixel size", path=path, value=voxel, hint="write one into the header")


def _load(path: Path, names: list[str], datadir: Path | None, *, listed: bool) -> tuple[NDArray, float | None]:
    if not listed:
        header = read_mrc_header(path)
        if header.looks_like_volume:
            raise volume_error(header)
        wanted = [(0, frame) for frame in range(header.count)]
        headers = [header]
    else:
        split = split_image_names(names, path=path)
        headers = [
            read_mrc_header(file)
            for file in resolve_stacks(split.stacks, search_folders(path, datadir=datadir), path=path)
        ]
        wanted = list(zip(split.stack_index.tolist(), split.frame.tolist(), strict=True))
        for row, (stack, frame) in enumerate(wanted, 1):
            if (error := no_image_error(headers[stack], names[row - 1], frame, path, row)) is not None:
                raise error
    boxes = {(header.nx, header.ny) for header in headers}
    if len(boxes) > 1 or len(set(next(iter(boxes)))) > 1:
        shown = ", ".join(f"{nx} x {ny}" for nx, ny in sorted(boxes))
        raise InputError("references must be square and of one size", path=path, value=shown)
    with tempfile.TemporaryDirectory(prefix="cryoalign-") as scratch:
        files = [unpacked(header, Path(scratch)) for header in headers]
        images = [
            read_images(headers[stack], files[stack], max(frame, 0), max(frame, 0) + 1)[0] for stack, frame in wanted
        ]
    voxels = {header.voxel_size_angstrom for header in headers}
    return np.stack(images), next(iter(voxels)) if len(voxels) == 1 else None


def _without_members(star: StarFile | None) -> set[int]:
    """Return the rows of a list of references whose class is said to have no members."""
    block = None if star is None else star.block_with(REFERENCE)
    if star is None or block is None or DISTRIBUTION not in star.blocks[block]:
        return set()
    share = pd.to_numeric(star.table(block)[DISTRIBUTION], errors="coerce").to_numpy()
    return set(np.flatnonzero(share == 0).tolist())


def _listed(star: StarFile) -> list[str]:
    name, label = next(((name, label) for label in _NAMES if (name := star.block_with(label)) is not None), ("", ""))
    if not name:
        raise InputError(f"no table with {' or '.join(_NAMES)}", path=star.path)
    return [str(cell) for cell in star.filled(name)[label]]


def listed_references(star: StarFile) -> tuple[list[str], float | None] | None:
    """Return the names of listed references (class averages, as of model.star), and their pixel size in A if stated.

    None where no table has rlnReferenceImage and rows.
    """
    for name, block in star.blocks.items():
        if REFERENCE in block and len(block[REFERENCE]):
            return list(star.table(name)[REFERENCE]), _pixel_size_of_star(star)
    return None


def _pixel_size_of_star(star: StarFile) -> float | None:
    """Return the pixel size that an optics, general or reference table states, if it is one."""
    for label in (PIXEL_SIZE, "rlnPixelSize"):
        cells = {cell for name, block in star.blocks.items() if label in block for cell in star.table(name)[label]}
        if not cells:
            continue
        try:
            sizes = {float(cell) for cell in cells}
        except ValueError:
            raise InputError(f"{label} is not a number", path=star.path, value=sorted(cells)[0]) from None
        low, high = PIXEL_SIZES_ANGSTROM
        if len(sizes) > 1 or not all(low <= size <= high for size in sizes):
            what = f"{label} of references must be one number from {low:g} to {high:g} A"
            raise InputError(what, path=star.path, value=", ".join(f"{size:g}" for size in sorted(sizes)[:5]))
        return sizes.pop()
    return None
