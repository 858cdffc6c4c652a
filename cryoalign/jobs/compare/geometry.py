"""Two sets of images brought to one box and pixel size, and which image of one is compared with which of the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.filters import match_geometry
from cryoalign.core.limits import SAME_PIXEL
from cryoalign.core.masks import background_region
from cryoalign.jobs.compare.images import ImageSet
from cryoalign.jobs.compare.parameters import CompareParameters
from cryoalign.metrics.measure import SearchLimits

_SMALLEST_RADIUS_PX = 4.0


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images, 0-based rows int64 (P,), those of one image of B together.

    Attributes
    ----------
    a, b
        Rows.
    every
        True where each image of A meets each of B; else each of B meets one of A.
    words
        How they were paired, for the log.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    every: bool
    words: str

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.a)


@dataclass(frozen=True, eq=False)
class Setting:
    """What holds for all pairs.

    Attributes
    ----------
    box, pixel_size_angstrom
        Of both sets; the pixel size is that of A where they differ and the scale is searched.
    mask_radius_px
        Of the disc that is compared.
    limits
        Poses that are searched.
    scale_centre
        What the images of B are magnified by if the pixel sizes are right: 1 where these are the same.
    """

    box: int
    pixel_size_angstrom: float
    mask_radius_px: float
    limits: SearchLimits
    scale_centre: float


def choose_pairs(n_a: int, n_b: int, *, all_pairs: bool) -> Pairs:
    """Pair images: every one with every one, one with all, or row by row.

    Raises
    ------
    InputError
        If the sets have different sizes, neither has one image, and it was not asked for all pairs.
    """
    if all_pairs or n_a == 1 or n_b == 1:
        words = f"each of {n_a} of A with each of {n_b} of B"
        if not (all_pairs and n_a > 1 and n_b > 1):
            words = f"the image of A with each of {n_b} of B" if n_a == 1 else f"each of {n_a} of A with the image of B"
        words = "one image with another" if n_a == n_b == 1 else words
        return Pairs(np.tile(np.arange(n_a), n_b), np.repeat(np.arange(n_b), n_a), True, words)
    if n_a != n_b:
        raise InputError(
            f"{n_a} images in A and {n_b} in B cannot be paired row by row",
            hint="--all-pairs compares each with each, --by-class each with its class; N@FILE names one image",
        )
    rows = np.arange(n_a)
    return Pairs(rows, rows, False, f"row by row, {n_a} of A with {n_a} of B")


def pairs_by_class(a: ImageSet, b: ImageSet) -> Pairs:
    """Pair each image of B with the image of A that its rlnClassNumber counts.

    Raises
    ------
    InputError
        If B has no classes, or one that is not in A.
    """
    if b.class_number is None:
        raise InputError("--by-class: B has no rlnClassNumber", path=b.path)
    beyond = np.flatnonzero((b.class_number < 1) | (b.class_number > len(a)))
    if len(beyond):
        raise InputError(
            f"rlnClassNumber is none of 1 to {len(a)}, the images of A", path=b.path, value=b.names[beyond[0]]
        )
    words = f"each of {len(b)} of B with its class of {len(a)} of A"
    return Pairs(b.class_number - 1, np.arange(len(b)), False, words)


def brought_together(p: CompareParameters, a: ImageSet, b: ImageSet) -> tuple[ImageSet, ImageSet, list[str]]:
    """Give both sets a pixel size and one box; returns what is to be said about it too.

    Raises
    ------
    InputError
        If boxes or pixel sizes differ, and nothing was asked for that makes sense of it.
    """
    said = []
    known = [size for size in (a.pixel_size_angstrom, b.pixel_size_angstrom) if size is not None]
    if len(known) < 2:
        size = known[0] if known else 1.0
        if not known:
            said.append("no file says a pixel size: 1 A is taken, so that lengths in A are pixels; --angpix sets it")
        a, b = replace(a, pixel_size_angstrom=size), replace(b, pixel_size_angstrom=size)
    size_a, size_b = a.pixel_size_angstrom, b.pixel_size_angstrom
    assert size_a is not None and size_b is not None
    if p.resize_reference and (a.box != b.box or size_a != size_b):
        pixels = match_geometry(a.pixels, size_a, b.box, size_b)
        a = replace(a, pixels=pixels, pixel_size_angstrom=size_b)
    same = abs(size_a / size_b - 1) < SAME_PIXEL or p.scale or p.resize_reference
    if a.box != b.box or not same:
        hint = "--resize-reference brings A to the box and the pixel size of B"
        if a.box == b.box:
            hint += "; --scale searches the scale"
        raise InputError(
            f"A has a box of {a.box} px at {size_a:g} A, B one of {b.box} px at {size_b:g} A", path=a.path, hint=hint
        )
    if p.invert:
        b = replace(b, pixels=-b.pixels)
    return a, b, said


def setting_of(p: CompareParameters, a: ImageSet, b: ImageSet) -> Setting:
    """Turn lengths into pixels of A.

    Raises
    ------
    InputError
        If the mask does not fit the box, or shifts go beyond it.
    """
    pixel, box = a.pixel_size_angstrom, a.box
    assert pixel is not None and b.pixel_size_angstrom is not None
    radius = 0.4 * box if p.mask_diameter is None else 0.5 * p.mask_diameter / pixel
    if 2 * radius > box:
        raise InputError(f"--mask-diameter is larger than the box of {box * pixel:g} A", value=p.mask_diameter)
    if radius < _SMALLEST_RADIUS_PX:
        mask = f"a mask of {2 * radius:.3g} px" if p.mask_diameter is None else f"--mask-diameter {p.mask_diameter:g}"
        what = f"{mask} is smaller than {2 * _SMALLEST_RADIUS_PX:g} pixels, of which too little can be seen"
        raise InputError(what, path=b.path, hint="compare larger images, or more of them with --mask-diameter")
    background_region(box, 2 * radius)  # refuses a mask that leaves nothing
    shift = box / 12 if p.max_shift_px is None else p.max_shift_px
    shift = shift if p.max_shift is None else p.max_shift / pixel
    if shift > box / 2:
        raise InputError(
            f"shifts of more than half the box of {box} px", value=shift, hint="give a smaller --max-shift"
        )
    ratio = b.pixel_size_angstrom / pixel
    centre = ratio if p.scale and abs(ratio - 1) >= 1e-4 else 1.0
    return Setting(box, pixel, float(radius), SearchLimits(max_shift_px=float(shift), mirror=p.mirror), centre)
