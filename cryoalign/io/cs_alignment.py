"""Which of the alignments in a .cs file counts, and what it says: pose, shift, class and half set of each particle.

A file may hold several: of a 3D refinement (alignments3D), of several 3D classes (alignments3D_multi, before v4.5
alignments_class_0, 1 ...), of a 2D classification (alignments2D). The first of these that has poses counts, of several
classes the most probable one of each particle: so does csparc2star.py of pyem, with which people export.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.cs_file import CsColumns

_MULTI = "alignments3D_multi"
_ONE_OF_MANY = re.compile(r"alignments_class_(\d+)/class_posterior")
_LARGEST_CLASS = 2**31 - 2
_LARGEST_ANGLE = 1e4
_LARGEST_SHIFT = 1e6
_COARSEST = 64.0
"""How many times coarser or finer than the images an alignment may be."""


@dataclass(frozen=True, eq=False)
class CsAlignment:
    """What one alignment says of n particles.

    Parameters
    ----------
    name
        Such as alignments3D.
    pose
        Radians: the angle in the plane (n,), or a rotation vector (n, 3); None where it has none.
    shift_angstrom
        (n, 2); None where it has none.
    class_number
        From 1, (n,); None where it has none.
    used
        Names of the fields that these came from.
    """

    name: str
    pose: NDArray[np.float64] | None
    shift_angstrom: NDArray[np.float64] | None
    class_number: NDArray[np.int64] | None
    used: set[str] = field(default_factory=set)


def read_alignment(columns: CsColumns, pixel_size_angstrom: NDArray[np.float64] | None) -> CsAlignment | None:
    """Return the alignment that counts; None where there is none.

    Parameters
    ----------
    columns
        The file.
    pixel_size_angstrom
        Of the images, (n,), for shifts without a pixel size of their own.

    Raises
    ------
    InputError
        If a pixel size of the alignment is not above 0 or cannot be one of the same particles, shifts have none at all,
        or a field is not what it must be.
    """
    source = _source(columns)
    if source is None:
        return None
    shape = () if source.name == "alignments2D" else (3,)
    pose = source.take("pose", lambda some, name: some.numbers(name, shape, most=_LARGEST_ANGLE))
    shift = source.take("shift", lambda some, name: some.numbers(name, (2,), most=_LARGEST_SHIFT))
    size = source.take("psize_A", CsColumns.positive)
    number = source.take("class", lambda some, name: some.counts(name, most=_LARGEST_CLASS))
    if number is None and len(source.of_class) > 1:
        number = source.best
    if shift is not None:
        if size is None:
            size = pixel_size_angstrom
        elif pixel_size_angstrom is not None:
            _refuse_other_scale(columns, source.name, size, pixel_size_angstrom)
        if size is None:
            raise InputError(f"has shifts but no pixel size ({source.name}/psize_A)", path=columns.path)
        shift = shift * size[:, None]
    return CsAlignment(source.name, pose, shift, None if number is None else number + 1, source.used)


def read_split(columns: CsColumns, alignment: CsAlignment | None) -> tuple[NDArray[np.int64] | None, set[str]]:
    """Return the half set of each particle, 1 or 2, (n,), and the fields it came from.

    None where all particles are in one, which is what files say that were never split, or it is none of 0 and 1.
    """
    first = [] if alignment is None else [f"{alignment.name}/split"]
    for name in [*first, "alignments3D/split", f"{_MULTI}/split", "alignments_class_0/split", "alignments2D/split"]:
        split = columns.counts(name, most=2**32 - 1)
        if split is not None:
            known = np.unique(split).tolist()
            if known == [0, 1]:
                return split + 1, {name}
    return None, set()


def euler_angles(rotation_vector: NDArray[np.float64]) -> tuple[NDArray, NDArray, NDArray]:
    """Return RELION's rot, tilt and psi in degrees, each (n,), of rotation vectors in radians, (n, 3).

    The rotation by the vector (Rodrigues) is Rz(rot) Ry(tilt) Rz(psi). With its quaternion (w, x, y, z):
    (rot + psi) / 2 is the angle of (w, z), (rot - psi) / 2 that of (y, -x), and tan(tilt / 2) the ratio of their
    lengths. Where the tilt is 0 or 180, rot is 0, as RELION has it.
    """
    angle = np.linalg.norm(rotation_vector, axis=1)
    w = np.cos(angle / 2)
    x, y, z = (rotation_vector * (0.5 * np.sinc(angle / 2 / np.pi))[:, None]).T
    across, along = np.hypot(x, y), np.hypot(w, z)
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(-x, y)
    flat = np.minimum(across, along) < 1e-7
    half_difference = np.where(across < 1e-7, half_sum * -1.0, half_difference)
    half_sum = np.where(along < 1e-7, -half_difference, half_sum)
    rot = np.where(flat, 0.0, half_sum + half_difference)
    found = np.degrees([rot, 2 * np.arctan2(across, along), half_sum - half_difference])
    return _wrapped(found[0]), found[1], _wrapped(found[2])


def _wrapped(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring angles into (-180, 180]."""
    return 180.0 - (180.0 - degrees) % 360.0


def _refuse_other_scale(
    columns: CsColumns, name: str, size: NDArray[np.float64], pixel_size: NDArray[np.float64]
) -> None:
    bad = np.flatnonzero((size > _COARSEST * pixel_size) | (size < pixel_size / _COARSEST))
    if bad.size:
        row = int(bad[0])
        raise InputError(
            f"{name}/psize_A contradicts blob/psize_A, which is {pixel_size[row]:g} A", path=columns.path, row=row + 1,
            value=float(f"{size[row]:.6g}"),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Source:
    """Where an alignment is read: of one class, or of each particle's most probable class (``best``, (n,))."""

    name: str
    of_class: list[tuple[CsColumns, str]]
    best: NDArray[np.int64]
    used: set[str] = field(default_factory=set)

    def take(self, what: str, read: Callable[[CsColumns, str], NDArray[Any] | None]) -> NDArray[Any] | None:
        """Return a field of each particle's class; None where there is none."""
        found = None
        for place, (columns, prefix) in enumerate(self.of_class):
            values = read(columns, f"{prefix}/{what}")
            if values is None:
                return None
            found = np.zeros_like(values) if found is None else found
            rows = self.best == place
            found[rows] = values[rows]
        self.used.update(f"{prefix}/{what}" for _, prefix in self.of_class)
        return found


def _source(columns: CsColumns) -> _Source | None:
    """Return the alignment that counts: the first that has poses, else the first that has shifts."""
    nothing = np.zeros(len(columns), np.int64)
    for what in ("pose", "shift"):
        if f"alignments3D/{what}" in columns:
            return _Source("alignments3D", [(columns, "alignments3D")], nothing)
        if f"{_MULTI}/{what}" in columns and f"{_MULTI}/class_posterior" in columns:
            return _most_probable(_MULTI, [(part, _MULTI) for part in _multi(columns)])
        classes = sorted(int(match[1]) for name in columns.columns if (match := _ONE_OF_MANY.fullmatch(name)))
        prefixes = [f"alignments_class_{k}" for k in classes]
        if prefixes and all(f"{prefix}/{what}" in columns for prefix in prefixes):
            return _most_probable("alignments_class", [(columns, prefix) for prefix in prefixes])
        if f"alignments2D/{what}" in columns:
            return _Source("alignments2D", [(columns, "alignments2D")], nothing)
    return None


def _multi(columns: CsColumns) -> list[CsColumns]:
    """Return the fields of each class of alignments3D_multi, which have an axis for the classes."""
    posterior = columns.columns[f"{_MULTI}/class_posterior"]
    if posterior.ndim != 2:
        raise InputError(f"{_MULTI}/class_posterior must have an axis for classes", path=columns.path,
                         value=f"{posterior.dtype} of shape {posterior.shape[1:]}")  # fmt: skip
    many = posterior.shape[1]
    fields = {name: values for name, values in columns.columns.items() if name.startswith(f"{_MULTI}/")}
    return [
        CsColumns(columns.path, {n: v[:, k] if v.ndim > 1 and v.shape[1] == many else v for n, v in fields.items()})
        for k in range(many)
    ]


def _most_probable(name: str, of_class: list[tuple[CsColumns, str]]) -> _Source:
    count = len(of_class[0][0])
    highest, best = np.full(count, -np.inf), np.zeros(count, np.int64)
    for place, (columns, prefix) in enumerate(of_class):
        posterior = columns.numbers(f"{prefix}/class_posterior")
        assert posterior is not None
        better = posterior > highest
        highest[better], best[better] = posterior[better], place
    return _Source(name, of_class, best, {f"{prefix}/class_posterior" for _, prefix in of_class})
