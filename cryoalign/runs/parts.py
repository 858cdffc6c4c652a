"""Parts of a job: how its rows are cut, and finished parts kept, each in a file of its own, until all are merged.

A part's result may depend on its rows only, never on which parts ran before, so results are the same for any number of
workers and for a resumed run.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.tiles import TILE
from cryoalign.io.npz import map_npz, write_npz
from cryoalign.io.writing import naming

_PLAN = "plan.json"


@dataclass(frozen=True)
class PartRange:
    """Rows ``start`` (included) to ``stop`` (excluded) are part number ``index`` of a job."""

    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Count the rows."""
        return self.stop - self.start


def rows_of_part(block_size: int | None, classes: int) -> int:
    """Return the rows of a part: as the user says, else enough that sums for so many classes stay small beside them."""
    return max(512, -(-40 * classes // TILE) * TILE) if block_size is None else block_size


def plan_parts(n_rows: int, part_rows: int) -> list[PartRange]:
    """Cut the rows of a job into parts that start at multiples of 64.

    Parameters
    ----------
    n_rows
        Rows of the job, at least 1.
    part_rows
        Rows of a part, a positive multiple of 64; the last part may be shorter.

    Raises
    ------
    ValueError
        If there are no rows, or `part_rows` is not a positive multiple of 64.
    """
    if n_rows < 1:
        raise ValueError(f"a job needs rows, not {n_rows}")
    if part_rows < TILE or part_rows % TILE:
        raise ValueError(f"part_rows must be a positive multiple of {TILE}, not {part_rows}")
    starts = range(0, n_rows, part_rows)
    return [PartRange(i, start, min(start + part_rows, n_rows)) for i, start in enumerate(starts)]


def select_parts(ranges: Sequence[PartRange], which: tuple[int, int] | None) -> list[PartRange]:
    """Return the parts that task k of n (1-based) works on: neighbours, so that a task reads one stretch of a stack."""
    if which is None:
        return list(ranges)
    k, n = which
    if not 1 <= k <= n:
        raise InputError("a part is K/N with 1 <= K <= N", value=f"{k}/{n}")
    return list(ranges[len(ranges) * (k - 1) // n : len(ranges) * k // n])


class PartStore:
    """Finished parts of a job as .npz files without pickles, each of which appears complete or not at all.

    Parameters
    ----------
    directory
        Made if it does not exist; kept between runs until the run directory commits.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._sound: set[int] = set()  # parts whose checksums were compared

    def has(self, index: int) -> bool:
        """Tell whether a part is finished."""
        return self._path(index).is_file()

    def save(self, index: int, arrays: Mapping[str, NDArray]) -> None:
        """Write the arrays of one part.

        Raises
        ------
        ValueError
            If an array holds Python objects.
        """
        temporary = self.directory / f"new-{os.getpid()}-{index:06d}"
        with naming(temporary), temporary.open("wb") as handle:
            write_npz(handle, arrays, aligned=True)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(self._path(index))

    def load(self, index: int) -> dict[str, NDArray]:
        """Return the arrays of one part as they lie in its file; they cannot be written to.

        Raises
        ------
        InputError
            If the part is not finished, or its file is damaged.
        """
        path = self._path(index)
        try:
            arrays = map_npz(path, compare=index not in self._sound)
        except FileNotFoundError:
            raise InputError("this part is not finished", path=path, hint="run again with --resume") from None
        except (OSError, ValueError, EOFError, struct.error, zipfile.BadZipFile):
            raise InputError("damaged part file", path=path, hint="remove it and run again with --resume") from None
        self._sound.add(index)
        return arrays

    def load_all(self, ranges: Sequence[PartRange]) -> Iterator[tuple[PartRange, dict[str, NDArray]]]:
        """Yield every part in order, one in memory at a time."""
        for part in ranges:
            yield part, self.load(part.index)

    def keep_plan(self, ranges: Sequence[PartRange]) -> None:
        """Remember how the job was cut; finished parts of another cut cannot be used.

        Raises
        ------
        InputError
            If parts of another cut are here.
        """
        plan = [[part.start, part.stop] for part in ranges]
        known = self.plan()
        if known is None:
            temporary = self.directory / f"new-{os.getpid()}-{_PLAN}"
            with naming(temporary):
                temporary.write_text(json.dumps(plan) + "\n")
            temporary.replace(self.directory / _PLAN)
        elif known != [PartRange(i, start, stop) for i, (start, stop) in enumerate(plan)]:
            raise InputError(
                "finished parts here were cut differently",
                path=self.directory,
                hint="resume with the --block-size and --memory of the first run, or start again with --overwrite",
            )

    def plan(self) -> list[PartRange] | None:
        """Return how the job was cut; None before any part ran."""
        try:
            plan = json.loads((self.directory / _PLAN).read_text())
            return [PartRange(i, int(start), int(stop)) for i, (start, stop) in enumerate(plan)]
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, RecursionError):
            raise InputError(
                "damaged plan of parts", path=self.directory / _PLAN, hint="start again with --overwrite"
            ) from None

    def missing(self) -> list[PartRange]:
        """Return the parts of the plan that are not finished."""
        return [part for part in self.plan() or [] if not self.has(part.index)]

    def _path(self, index: int) -> Path:
        return self.directory / f"part-{index:06d}.npz"
