"""Particles with true poses and classes, and the command itself, for the end-to-end tests of ``average``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.align import PhantomSet, Ran, phantom_set, read_mrcs, run, star, table

CLASS_NUMBERS = np.array([2, 5, 6])
PARTICLES = "particles.star"


@dataclass(frozen=True)
class ClassSet:
    """A folder with particles.star and particles.mrcs, what is true of them, and the class number of each."""

    folder: Path
    made: PhantomSet
    numbers: np.ndarray

    @property
    def references(self) -> np.ndarray:
        """The clean view of each class, (m, L, L)."""
        return self.made.references


def average(folder: Path, *words: object, status: int = 0) -> Ran:
    """Run ``cryoalign average`` on one thread and hold its exit status."""
    ran = run(folder, "average", "-q", "-j", 1, *words)
    assert ran.status == status, ran.lines
    return ran


def pose_columns(made: PhantomSet) -> dict[str, np.ndarray]:
    """Return the true poses as RELION columns."""
    columns = {
        "rlnAnglePsi": np.round(made.poses.psi, 6),
        "rlnOriginXAngst": np.round(made.poses.dx * made.pixel, 6),
        "rlnOriginYAngst": np.round(made.poses.dy * made.pixel, 6),
    }
    if made.poses.mirror.any():
        columns["rlnIsFlip"] = made.poses.mirror.astype(int)
    return columns


def class_set(folder: Path, n: int, box: int, pixel: float, **options) -> ClassSet:
    """Make particles of three views, true poses in their table."""
    made = phantom_set(n, box, pixel, views=3, **options)
    numbers = CLASS_NUMBERS[made.view]
    made.write(folder, **pose_columns(made), rlnClassNumber=numbers)
    return ClassSet(folder, made, numbers)


def averages(folder: Path, name: str = "averages.mrcs") -> np.ndarray:
    """Return a stack of the run in ``out``."""
    return read_mrcs(folder / "out" / name)


def set_cells(path: Path, label: str, values: list | np.ndarray | None, block: str = "particles") -> None:
    """Replace or add a column of a STAR file, or drop it where there are no values."""
    blocks = {name: table(path, name) for name in _blocks(path)}
    if values is None:
        blocks[block] = blocks[block].drop(columns=label)
    else:
        blocks[block][label] = [str(v) for v in values]
    star(path, **{name: one.to_dict("list") for name, one in blocks.items()})


def _blocks(path: Path) -> list[str]:
    return [line.removeprefix("data_").strip() for line in path.read_text().splitlines() if line.startswith("data_")]
