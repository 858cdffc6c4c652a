"""Names of images, ``000001@path.mrcs``, and the files they mean."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.refusals import refuse

_SHOWN = 50
_DIGITS = 15
"""Of an image's number, with leading zeros."""
_FORCED = (":mrcs", ":mrc")
"""RELION's way to force a format."""


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
        index, stack = _halves(name)
        number = 0
        if index is not None:
            number = int(index) if index.isascii() and index.isdigit() and len(index) <= _DIGITS else 0
            if number < 1:
                refuse(InputError(
                    "image index is not a whole number from 1 up", path=path, row=row + 1, value=name,
                    hint="image names count from 000001@", kind="image-name",
                ))  # fmt: skip
                number = 1
        if not stack:
            refuse(InputError("image name without a file", path=path, row=row + 1, value=name, kind="image-name"))
            stack = next(iter(index_of), name)
        stack_index[row] = index_of.setdefault(stack, len(index_of))
        frame[row] = number - 1
    return ImageNames(list(index_of), stack_index, frame)


def _halves(name: str) -> tuple[str | None, str]:
    """Return the words before and after the @ of a name; None where there is none. A folder may have one, too."""
    index, at, stack = name.rpartition("@") if name.count("@") > 1 and not name[0].isdigit() else name.partition("@")
    return (index, stack) if at else (None, name)


def image_name(frame: int, stack: str) -> str:
    """Return RELION's name of the 0-based frame of a stack."""
    return f"{frame + 1:06d}@{stack}"


def plain_stack(stack: str) -> str:
    """Return the one way to write a stack's name: without ``./`` and ``//``, and without a format that it forces."""
    bare = next((stack.removesuffix(end) for end in _FORCED if stack.endswith(end)), stack)
    return posixpath.normpath(bare)


@dataclass(frozen=True)
class SearchFolders:
    """Where stacks are looked up.

    Attributes
    ----------
    datadir
        Wins over all others, and is searched for the ends of names, too; None if the user gave none.
    others
        After it, in this order.
    """

    datadir: Path | None
    others: tuple[Path, ...]

    def __str__(self) -> str:
        """List all of them."""
        folders = [*([] if self.datadir is None else [self.datadir]), *self.others]
        return ", ".join(dict.fromkeys(str(folder.absolute()) for folder in folders))

    def find(self, name: str) -> list[Path]:
        """Return the files that a stack's name may mean; the first is the one to take.

        In the data folder that is the file of the longest end of the name that is there: of
        ``/old/project/Extract/p.mrcs`` ``Extract/p.mrcs`` before ``p.mrcs``.
        """
        bare = next((name.removesuffix(end) for end in _FORCED if name.endswith(end)), name)
        words = dict.fromkeys((name, bare))
        if self.datadir is not None:
            for word in words:
                for end in _ends(word):
                    if (self.datadir / end).is_file():
                        return [self.datadir / end]
        for word in words:
            if Path(word).is_absolute():
                hits = [Path(word)] if Path(word).is_file() else []
            else:
                hits = [folder / word for folder in self.others if (folder / word).is_file()]
            if hits:
                return hits
        return []


def search_folders(table: Path | None, *, datadir: Path | None = None, project: bool = False) -> SearchFolders:
    """List where stack names are looked up: datadir, then the current folder, then the table's own folder.

    ``project`` adds the folder above the table's, where cryoSPARC jobs keep their paths.

    Raises
    ------
    InputError
        If the data folder is none.
    """
    if datadir is not None and not Path(datadir).is_dir():
        raise InputError("--datadir is no folder", path=datadir, kind="file")
    others = [Path()]
    if table is not None:
        others.append(table.parent)
        if project:
            others.append(table.resolve().parent.parent)
    return SearchFolders(None if datadir is None else Path(datadir), tuple(others))


def resolve_stacks(names: Sequence[str], folders: SearchFolders, *, path: Path | None = None) -> list[Path]:
    """Find the file of each stack name.

    Raises
    ------
    InputError
        If files are missing (all of them are named at once), a name means different files in different folders, or
        different names would mean one file.
    """
    found, missing = [], []
    for name in names:
        hits = folders.find(name)
        for other in hits[1:]:
            if not hits[0].samefile(other):
                refuse(InputError(
                    "stack name means two different files", path=path, value=name, kind="stack-missing",
                    hint=f"{hits[0]} and {other}: name their folder with --datadir, or write the full path into the "
                    "table",
                ))  # fmt: skip
        if hits:
            found.append(hits[0])
        else:
            missing.append(name)
            found.append(Path(name))
    if missing:
        refuse(_not_found(missing, folders, path))
    _refuse_collisions(names, found, path)
    return found


def name_from_here(path: Path) -> str:
    """Return the name of a file as RELION finds it: relative to the current folder."""
    return os.path.relpath(path.absolute())


def is_found_here(name: str, stack: Path) -> bool:
    """Tell whether a stack's name, read from the current folder as RELION does, leads to the file that was found."""
    here = next((Path(word) for word in (name, *(name.removesuffix(end) for end in _FORCED)) if Path(word).is_file()),
                None)  # fmt: skip
    return here is not None and here.samefile(stack)


def _ends(name: str) -> list[PurePosixPath]:
    """List a relative name and its ends without one folder, two and so on; of an absolute one the ends alone."""
    parts = [part for part in PurePosixPath(name).parts if part != "/"]
    return [PurePosixPath(*parts[first:]) for first in range(len(parts)) if first == 0 or parts[first] != ".."]


def _refuse_collisions(names: Sequence[str], found: Sequence[Path], path: Path | None) -> None:
    """Refuse different stacks that lead to one file, as where a data folder holds one of two files of one name."""
    first: dict[Path, str] = {}
    for name, file in zip(names, found, strict=True):
        one, other = (PurePosixPath(plain_stack(word)).parts for word in (first.setdefault(file, name), name))
        shared = min(len(one), len(other))
        if one[-shared:] != other[-shared:]:
            refuse(InputError(
                f"two stack names lead to one file: {first[file]} and {name} to {file}", path=path,
                hint="give the folder above with --datadir", kind="stack-missing",
            ))  # fmt: skip


def _not_found(missing: list[str], folders: SearchFolders, path: Path | None) -> InputError:
    shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
    hints = [f"looked in {folders}"]
    other = missing[0][:-1] if missing[0].endswith(".mrcs") else f"{missing[0]}s"
    if hits := folders.find(other):
        hints.append(f"{hits[0]} exists, which is another name")
    for folder in folders.others:
        ends = [] if folders.datadir is not None else SearchFolders(folder, ()).find(missing[0])
        if ends:
            hints.append(f"--datadir {folder} would find {ends[0]}")
            break
    else:
        hints.append("start in the folder of the project, or give the folder of the stacks with --datadir")
    what = f"{len(missing)} stack{'s' if len(missing) > 1 else ''} not found: {shown}"
    return InputError(what, path=path, hint="; ".join(hints), kind="stack-missing")
