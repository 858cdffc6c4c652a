"""A table of memberships: image, class and pose in each row, with names that must be found among the particles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.io.columns import angles, numbers, text_column, text_series, whole_numbers
from cryoalign.io.image_index import TWICE, ImageIndex
from cryoalign.io.magnification import corrected_poses
from cryoalign.io.particle_set import BEYOND_BOX, BEYOND_HINT, beyond_box
from cryoalign.io.particles import ParticleSet
from cryoalign.io.star import StarFile, read_star, write_star
from cryoalign.io.star_check import scan_star

CLASS, IMAGE, WEIGHT = "rlnClassNumber", "rlnImageName", "cryoalignWeight"


@dataclass(frozen=True, eq=False)
class MemberTable:
    """A table of memberships.

    Parameters
    ----------
    file, block, table
        The file, the block that holds the memberships, and its cells as text.
    poses, stored_poses, pixel_size_angstrom
        Pose of every row, in pixels of its particle as it is read and as it is stored, and that pixel size in A,
        (rows,); set once the particles are known.
    """

    file: StarFile
    block: str
    table: pd.DataFrame
    poses: Poses = field(default_factory=lambda: Poses.identity(0))
    stored_poses: Poses = field(default_factory=lambda: Poses.identity(0))
    pixel_size_angstrom: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def error(self, what: str, row: int, value: object = None, hint: str | None = None) -> InputError:
        """Return an error about a 0-based row, which names its line in the file."""
        blocks = {block.name: block for block in scan_star(self.file.path).blocks}
        line = blocks[self.block].row_lines[row]
        return InputError(what, path=self.file.path, line=line, value=value, hint=hint)

    def column(self, label: str, convert: Callable[..., NDArray]) -> NDArray | None:
        """Return a column as numbers, None where there is none; errors name the line."""
        if label not in self.table:
            return None
        try:
            return convert(self.table[label], label)
        except InputError as error:
            raise self.error(error.what, (error.row or 1) - 1, error.value, error.hint) from None

    def write(self, path: Path, columns: dict[str, ArrayLike], kept: NDArray[np.bool_]) -> None:
        """Write the file again: columns replaced or added, then some rows only; everything else as it was."""
        table = self.table.copy(deep=False)
        for label, values in columns.items():
            table[label] = text_series(text_column(label, values), table.index)
        if "rlnOriginXAngst" in columns:
            table = table.drop(columns=[label for label in ("rlnOriginX", "rlnOriginY") if label in table])
        write_star(path, {**self.file.blocks, self.block: table[kept]})


def read_member_table(path: Path, particles: ParticleSet, needed: list[str]) -> tuple[MemberTable, NDArray[np.int64]]:
    """Read a table of memberships and find its images.

    Parameters
    ----------
    path, particles
        The table, and the particles that it speaks of.
    needed
        Columns that it must have besides name and angle.

    Returns
    -------
    table, particle
        The table, with the pose of each row, and the 0-based particle row of each.

    Raises
    ------
    InputError
        Where a column is missing or holds what cannot be meant, or a name is not among the particles; names the line.
    """
    table = _open(path, [IMAGE, "rlnAnglePsi", *needed])
    particle = _rows_of_names(table, particles)
    pixel = particles.pixel_size_angstrom[particle]
    stored = _poses(table, pixel, particles.box[particle])
    read = corrected_poses(particles, stored, particle)
    return replace(table, poses=read, stored_poses=stored, pixel_size_angstrom=pixel), particle


def _open(path: Path, needed: list[str]) -> MemberTable:
    star = read_star(path)
    for name, block in star.blocks.items():
        if IMAGE in block and name != "optics":
            table = star.table(name)
            missing = [label for label in needed if label not in table]
            if missing:
                raise InputError(
                    f"memberships need {', '.join(missing)}", path=path, line=star.lines[name],
                    hint=f"data_{name} has {', '.join(str(c) for c in table)}",
                )  # fmt: skip
            return MemberTable(star, name, star.filled(name))
    raise InputError(f"no table with {IMAGE}", path=path)


def _rows_of_names(members: MemberTable, particles: ParticleSet) -> NDArray[np.int64]:
    """Return the particle row of each membership."""
    names = members.table[IMAGE].tolist()
    index = ImageIndex(particles.image_names())
    try:
        rows = index.rows_of(names)
    except InputError as error:
        raise members.error(error.what, (error.row or 1) - 1, error.value, error.hint) from None
    for at in np.flatnonzero(rows < 0)[:1].tolist():
        if rows[at] == TWICE:
            raise members.error("this image is among the particles more than once", at, names[at])
        raise members.error(
            f"this image is not among the particles of {particles.path or 'the input'}", at, names[at],
            hint="give the particles from which the members were chosen",
        )  # fmt: skip
    return rows


def _poses(members: MemberTable, pixel: NDArray[np.float64], box: NDArray[np.integer]) -> Poses:
    psi = members.column("rlnAnglePsi", angles)
    assert psi is not None
    shifts = []
    for axis in "XY":
        label = f"rlnOrigin{axis}Angst"
        shift = members.column(label, numbers)
        if shift is not None:
            shift = shift / pixel
        elif (shift := members.column(label := f"rlnOrigin{axis}", numbers)) is None:
            shift = np.zeros(len(pixel))
        if (far := beyond_box(shift, box)) is not None:
            raise members.error(f"{label} {BEYOND_BOX}", far, members.table[label].iloc[far], BEYOND_HINT)
        shifts.append(shift)
    flip = members.column("rlnIsFlip", whole_numbers)
    if flip is not None and not np.isin(flip, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(flip, (0, 1)))[0])
        raise members.error("rlnIsFlip is none of 0, 1", row, int(flip[row]))
    return Poses(psi, shifts[0], shifts[1], flip)
