"""The table of particles: every cell as it was written, and the numbers that methods ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import LARGEST_BOX, SAME_GEOMETRY
from cryoalign.core.magnification import corrected_poses
from cryoalign.core.poses import Poses
from cryoalign.core.refusals import refuse, told_as
from cryoalign.io.columns import angles, are_unknown, numbers, text_column, text_series, whole_numbers
from cryoalign.io.paths import split_image_names

if TYPE_CHECKING:
    from cryoalign.io.mrc import MrcHeader
    from cryoalign.io.star import Table

Number = TypeVar("Number", np.float64, np.int64)
IMAGE_NAME = "rlnImageName"
_PIXEL_ORIGINS = ("rlnOriginX", "rlnOriginY")
_ANGSTROM_ORIGINS = ("rlnOriginXAngst", "rlnOriginYAngst")
BEYOND_BOX, BEYOND_HINT = "lies outside of the image", "correct the row, or the pixel size that it was written for"


class BoxGroup(NamedTuple):
    """Rows that share box (pixels) and pixel size (A)."""

    box: int
    pixel_size_angstrom: float
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ParticleSet:
    """Particles and their optics.

    Attributes
    ----------
    path
        The file they came from; None where several were joined.
    particles
        All input columns in their order, cells as text.
    optics
        The optics table, cells as text; for dialects without one it is built from the particle columns.
    other_blocks
        Blocks of the file that are neither.
    dialect
        "3.1", "3.0" (one table: RELION 1.x to 3.0), "cs", "stack" or "references" (a list of class averages).
    warnings
        What the log must say about the input.
    stacks
        Files of the images.
    stack_index, frame
        Shape (n,): position in ``stacks`` and 0-based image in that file.
    optics_index
        Shape (n,): row of ``optics``.
    pixel_size_angstrom
        Shape (n,).
    box
        Shape (n,), pixels; 0 where stacks were not opened and the tables do not say.
    headers
        Headers of ``stacks``; None where they were not opened.
    sources, source_index, source_row
        Input files, and for each row which one and its 1-based row there: what errors speak of.
    block_names
        Names of the particle block and of the optics block in the file.
    magnification
        Shape (optics rows, 2, 2): what images are corrected by as they are read; None = they are read as stored.
    """

    path: Path | None
    particles: pd.DataFrame
    optics: pd.DataFrame
    other_blocks: dict[str, Table]
    dialect: str
    warnings: list[str]
    stacks: list[Path]
    stack_index: NDArray[np.int32]
    frame: NDArray[np.int64]
    optics_index: NDArray[np.int32]
    pixel_size_angstrom: NDArray[np.float64]
    box: NDArray[np.int32]
    headers: list[MrcHeader] | None
    sources: list[Path]
    source_index: NDArray[np.int32]
    source_row: NDArray[np.int64]
    block_names: tuple[str, ...] = field(default=("particles", "optics"))
    magnification: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Count the particles."""
        return len(self.particles)

    def __repr__(self) -> str:
        """Say where the particles come from and how many they are."""
        return f"ParticleSet({self.path or self.sources}, n={len(self)}, dialect={self.dialect!r})"

    def numbers(self, label: str) -> NDArray[np.float64] | None:
        """Return a particle column as float64 of shape (n,), None where there is none.

        Raises
        ------
        InputError
            At the first cell that is no finite number, naming file, row, label and value.
        """
        return self._checked(numbers, label)

    def needed(self, label: str) -> NDArray[np.float64]:
        """Return a particle column that is there, as ``numbers`` does."""
        values = self.numbers(label)
        assert values is not None
        return values

    def numbers_of_group(self, label: str) -> NDArray[np.float64] | None:
        """Return a particle column as ``numbers`` does, else that of its optics group; None where neither has it."""
        if label in self.particles or label not in self.optics:
            return self.numbers(label)
        return numbers(self.optics[label], label, path=self.path, what="in the optics table")[self.optics_index]

    def whole_numbers(self, label: str) -> NDArray[np.int64] | None:
        """Return a particle column as int64 of shape (n,), None where there is none; raises like ``numbers``."""
        return self._checked(whole_numbers, label)

    def angles(self, label: str) -> NDArray[np.float64] | None:
        """Return a particle column in degrees, shape (n,); None where there is none, or all are unknown (-999).

        Raises
        ------
        InputError
            At the first cell that is no angle, or unknown where others are known.
        """
        if label not in self.particles or are_unknown(self.particles[label]):
            return None
        return self._checked(angles, label)

    def poses(self, *, with_psi: bool = True) -> Poses:
        """Return the input poses: rlnAnglePsi, the origins in pixels, rlnIsFlip; 0 where a column is absent.

        Origins in A are divided by the pixel size of the particle's optics group; they win over origins in pixels.
        Where images are corrected as they are read, these are the poses of corrected images. For who needs no angles,
        they need not be known: 0 instead.

        Raises
        ------
        InputError
            At the first cell that is no number, no angle, or further from the centre than the box is wide.
        """
        zeros = np.zeros(len(self))
        psi = self.angles("rlnAnglePsi") if with_psi else None
        shifts = []
        for angstrom, pixel in zip(_ANGSTROM_ORIGINS, _PIXEL_ORIGINS, strict=True):
            value, label = self.numbers(angstrom), angstrom
            if value is not None:
                value = value / self.pixel_size_angstrom
            elif (value := self.numbers(pixel)) is None:
                value = zeros
            else:
                label = pixel
            far = beyond_box(value, self.box)
            if far is not None:
                cell = str(self.particles[label].iloc[far])
                what, row = f"{label} {BEYOND_BOX}", far + 1
                refuse(self.located(InputError(what, row=row, value=cell, hint=BEYOND_HINT, kind="pose")))
            shifts.append(value)
        stored = Poses(zeros if psi is None else psi, shifts[0], shifts[1], self._choice("rlnIsFlip", (0, 1)))
        return stored if self.magnification is None else corrected_poses(stored, self.magnification[self.optics_index])

    def psi_prior(self) -> NDArray[np.float64] | None:
        """Return rlnAnglePsiPrior, else rlnAnglePsi, in degrees, shape (n,); None where neither is known."""
        prior = self.angles("rlnAnglePsiPrior")
        return self.angles("rlnAnglePsi") if prior is None else prior

    def random_subset(self) -> NDArray[np.int8] | None:
        """Return rlnRandomSubset (1 or 2), shape (n,); None where there is none, or 0 everywhere: not dealt out yet."""
        values = self.whole_numbers("rlnRandomSubset")
        if values is None or not values.any():
            return None
        chosen = self._choice("rlnRandomSubset", (1, 2))
        return None if chosen is None else chosen.astype(np.int8)

    def micrograph_names(self) -> list[str] | None:
        """Return rlnMicrographName of each particle; None where there is none."""
        return list(self.particles["rlnMicrographName"]) if "rlnMicrographName" in self.particles else None

    def image_names(self) -> list[str]:
        """Return rlnImageName of each particle."""
        return list(self.particles[IMAGE_NAME])

    def take(self, rows: ArrayLike) -> ParticleSet:
        """Return some rows (indices or a boolean mask), in the given order."""
        rows = np.asarray(rows)
        if rows.size == 0:
            rows = rows.astype(np.int64)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        per_row = ("stack_index", "frame", "optics_index", "pixel_size_angstrom", "box", "source_index", "source_row")
        return replace(
            self, particles=self.particles.iloc[rows].reset_index(drop=True), warnings=list(self.warnings),
            **{name: getattr(self, name)[rows] for name in per_row},
        )  # fmt: skip

    def with_columns(self, columns: Mapping[str, ArrayLike | list[str]], drop: Iterable[str] = ()) -> ParticleSet:
        """Return a copy with columns replaced in place or added at the end, and others dropped.

        Numbers are formatted here, once (``io.columns.text_column``). Origins in A replace origins in pixels. New
        image names are taken as written; their stacks are not looked for.

        Raises
        ------
        InputError
            If a number is NaN or infinite.
        ValueError
            If a column has not one value for each particle.
        """
        drop = set(drop)
        table = self.particles.copy(deep=False)
        for label, values in columns.items():
            cells = text_column(label, values)
            if len(cells) != len(self):
                raise ValueError(f"{label} has {len(cells)} values for {len(self)} particles")
            table[label] = text_series(cells, table.index)
        # An old origin in pixels beside a new one in A would contradict it.
        drop |= {pixel for pixel, a in zip(_PIXEL_ORIGINS, _ANGSTROM_ORIGINS, strict=True) if a in columns} - set(
            columns
        )
        table = table.drop(columns=[label for label in drop if label in table])
        changed: dict[str, Any] = {}
        if IMAGE_NAME in columns:
            names = split_image_names(table[IMAGE_NAME].tolist())
            changed = {
                "stacks": [Path(name) for name in names.stacks], "stack_index": names.stack_index,
                "frame": np.maximum(names.frame, 0), "headers": None,
            }  # fmt: skip
        return replace(self, particles=table, warnings=list(self.warnings), **changed)

    def groups_by_box(self) -> list[BoxGroup]:
        """Return the rows of each combination of box and pixel size, in order of first appearance.

        Pixel sizes that agree to 1e-4, as calibrations of grids of one microscope do, are one: what most rows have.
        """
        key = pd.DataFrame({"box": self.box, "pixel": _as_one(self.pixel_size_angstrom)})
        groups = key.groupby(["box", "pixel"], sort=False).indices
        found = [BoxGroup(int(b), float(p), np.sort(rows).astype(np.int64)) for (b, p), rows in groups.items()]
        return sorted(found, key=lambda group: group.rows[0])

    def where(self, row: int) -> tuple[Path | None, int]:
        """Return the input file of a 0-based row and its 1-based row there, for messages."""
        return self.sources[int(self.source_index[row])], int(self.source_row[row])

    def _checked(self, convert: Callable[[pd.Series, str], NDArray[Number]], label: str) -> NDArray[Number] | None:
        if label not in self.particles:
            return None
        with told_as(self.located):
            return convert(self.particles[label], label)

    def _choice(self, label: str, allowed: tuple[int, ...]) -> NDArray[np.int64] | None:
        values = self.whole_numbers(label)
        if values is not None:
            bad = np.flatnonzero(~np.isin(values, allowed))
            if bad.size:
                what = f"{label} is none of {', '.join(map(str, allowed))}"
                row, value = int(bad[0]) + 1, int(values[bad[0]])
                refuse(self.located(InputError(what, row=row, value=value, kind="value")))
                values = np.where(np.isin(values, allowed), values, allowed[0])
        return values

    def located(self, error: InputError) -> InputError:
        """Return an error about a 1-based row of this table as one about the row in the input file."""
        path, row = self.where((error.row or 1) - 1)
        return InputError(error.what, path=path, row=row, value=error.value, hint=error.hint, kind=error.kind)


def _as_one(pixel_size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give pixel sizes that agree to a share of 1e-4 the value that most of them have."""
    sizes, which, counts = np.unique(pixel_size, return_inverse=True, return_counts=True)
    start = 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sizes[end] > sizes[start] * (1 + SAME_GEOMETRY):
            sizes[start:end] = sizes[start + int(np.argmax(counts[start:end]))]
            start = end
    return np.asarray(sizes[which.reshape(-1)])


def beyond_box(shift_px: NDArray[np.float64], box: NDArray[np.integer]) -> int | None:
    """Return the first row whose shift in pixels is larger than its box, None where there is none; 0 = unknown box."""
    far = np.flatnonzero(np.abs(shift_px) > np.where(box > 0, box, LARGEST_BOX))
    return int(far[0]) if far.size else None


def particles_in_memory(count: int, box: int, pixel_size_angstrom: float) -> ParticleSet:
    """Return a table of images that are in memory: names and nothing else."""
    names = [f"{row + 1:06d}@memory.mrcs" for row in range(count)]
    rows, zeros = np.arange(count), np.zeros(count, np.int32)
    return ParticleSet(
        None, pd.DataFrame({IMAGE_NAME: names}), pd.DataFrame(index=range(1)), {}, "stack", [], [Path("memory.mrcs")],
        zeros, rows, zeros, np.full(count, float(pixel_size_angstrom)), np.full(count, box, np.int32), None,
        [Path("memory.mrcs")], zeros, rows + 1,
    )  # fmt: skip
