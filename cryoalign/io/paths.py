"""Names of images, ``000001@path.mrcs``, and the files they mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError

_SHOWN = 50
_DIGITS = 15
"""Of an image's number, with leading zeros."""


@dataclass(frozen=True)
class ImageNames:
    """The images of a table: stack names as written, the stack of each row, the 0-based frame of each row.

    ``frame`` is -1 where the name has no ``index@`` (allowed for files that hold one image).
    """

    stacks: list[str]
    stack_index: NDArray[np.int32]
    frame: NDArray[np.int64]


def split_image_names(names: Sequence[str], *, path: Path | None = None) -> ImageNames:
    """Split ``index@stack`` names into stacks and 0-based frames.

    Parameters
    ----------
    names
        Values of rlnImageName.
    path
        The file that errors speak of.

    Raises
    ------
    InputError
        If an index is not a whole number from 1 up, or a name is empty.
    """
    index_of: dict[str, int] = {}
    stack_index = np.empty(len(names), np.int32)
    frame = np.empty(len(names), np.int64)
    for row, name in enumerate(names):
        index, at, stack = (
            name.rpartition("@") if name.count("@") > 1 and not name[0].isdigit() else name.partition("@")
        )
        if not at:
            stack, number = name, 0
        else:
            number = int(index) if index.isascii() and index.isdigit() and len(index) <= _DIGITS else 0
            if number < 1:
                raise InputError(
                    "image index is not a whole number from 1 up", path=path, row=row + 1, value=name,
                    hint="image names count from 000001@",
                )  # fmt: skip
        if not stack:
            raise InputError("image name without a file", path=path, row=row + 1, value=name)
        stack_index[row] = index_of.setdefault(stack, len(index_of))
        frame[row] = number - 1
    return ImageNames(list(index_of), stack_index, frame)


def image_name(frame: int, stack: str) -> str:
    """Return RELION's name of the 0-based frame of a stack."""
    return f"{frame + 1:06d}@{stack}"


def search_folders(table: Path | None, *, datadir: Path | None = None, project: bool = False) -> list[Path]:
    """List where relative stack names are looked up: datadir, the current folder, the table's own folder.

    ``project`` adds the folder above the table's, where cryoSPARC jobs keep their paths.
    """
    folders = [] if datadir is None else [Path(datadir)]
    folders.append(Path())
    if table is not None:
        folders.append(table.parent)
        if project:
            folders.append(table.resolve().parent.parent)
    return folders


def resolve_stacks(names: Sequence[str], folders: Iterable[Path], *, path: Path | None = None) -> list[Path]:
    """Find the file of each stack name.

    Raises
    ------
    InputError
        If files are missing (all of them are named at once), or a name means different files in different folders.
    """
    folders = list(folders)
    found, missing = [], []
    for name in names:
        hits = _hits(name, folders)
        if not hits and name.endswith((":mrcs", ":mrc")):  # RELION's way to force a format
            hits = _hits(name.rpartition(":")[0], folders)
        for other in hits[1:]:
            if not hits[0].samefile(other):
                raise InputError(
                    "stack name means two different files", path=path, value=name,
                    hint=f"{hits[0]} and {other}: move one away, or write the full path into the table",
                )  # fmt: skip
        if hits:
            found.append(hits[0])
        else:
            missing.append(name)
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        looked = ", ".join(dict.fromkeys(str(folder.absolute()) for folder in folders))
        raise InputError(
            f"{len(missing)} stack{'s' if len(missing) > 1 else ''} not found: {shown}", path=path,
            hint=f"looked in {looked}{_sibling_hint(missing[0], folders)}; give their folder with --datadir",
        )  # fmt: skip
    return found


def name_from_here(path: Path) -> str:
    """Return the name of a file as RELION finds it: relative to the current folder."""
    return os.path.relpath(path.absolute())


def _hits(name: str, folders: list[Path]) -> list[Path]:
    if Path(name).is_absolute():
        return [Path(name)] if Path(name).is_file() else []
    return [folder / name for folder in folders if (folder / name).is_file()]


def _sibling_hint(name: str, folders: list[Path]) -> str:
    """Name a file that differs only in .mrc / .mrcs."""
    other = name[:-1] if name.endswith(".mrcs") else f"{name}s"
    hits = _hits(other, folders)
    return f"; {hits[0]} exists, which is another name" if hits else ""
