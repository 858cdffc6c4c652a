"""What a run will read, declared before it touches its directory, and looked at again before its results count.

A command declares its files by their kinds; tables stand for the stacks that they name too. So nothing that will be
read is ever removed to make room for results, whatever the command, and a stack that was replaced while it was read is
noticed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoalign.core.errors import InputError
from cryoalign.io.named_stacks import named_stacks
from cryoalign.runs.digests import describe_changes, digest_input


def given(*paths: Path | None) -> tuple[Path, ...]:
    """Return the paths that are not None."""
    return tuple(path for path in paths if path is not None)


Key = tuple[int, int]
"""Device and inode: the same for all names of a file."""


@dataclass(frozen=True, kw_only=True)
class Reads:
    """The files that a command reads, by kind.

    Attributes
    ----------
    files
        Read as they are: graphs, maps, lists.
    images
        Stacks, and lists of images whose stacks are few: references.
    particles
        Tables of particles, or stacks. The stacks of a table may be many; `cryoalign.passes.reading.read_table` records
        them, or the task of a job array those of its own parts.
    perhaps
        Tables that are read if they can be, such as those which the run behind a graph names.
    datadir
        Where image names in tables start from.
    """

    files: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    particles: tuple[Path, ...] = ()
    perhaps: tuple[Path, ...] = ()
    datadir: Path | None = None

    def needed(self) -> list[Path]:
        """Return the declared files without which there is no run, each once."""
        return list(dict.fromkeys((*self.particles, *self.images, *self.files)))

    def at_once(self) -> list[Path]:
        """Return what is recorded when the run begins: the declared files, and the stacks of lists of images.

        A list that cannot be read is left to the command, which says why.
        """
        stacks: list[Path] = []
        for path in self.images:
            with suppress(InputError):
                stacks += named_stacks(path, self.datadir)
        return list(dict.fromkeys((*self.needed(), *stacks)))

    def everything(self) -> list[Path]:
        """Return all files behind the declaration, the stacks of all tables included.

        Raises
        ------
        InputError
            If a file is missing, or a table cannot be read: a run would fail on it.
        """
        found: list[Path] = []
        for path in self.needed():
            if not path.exists():
                raise InputError("no such file", path=path)
            found.append(path)
        for path in (*self.particles, *self.images):
            found += named_stacks(path, self.datadir)
        for path in self.perhaps:
            found.append(path)
            with suppress(InputError):
                found += named_stacks(path, self.datadir)
        return list(dict.fromkeys(found))


def refuse_removal(going: Iterable[Path], reads: Reads, folder: Path) -> None:
    """Refuse to remove what the run will read, under whatever name: links count as what they lead to.

    Parameters
    ----------
    going
        Files that are to be removed.
    reads
        What the run will read.
    folder
        A folder whose whole content is to be removed.

    Raises
    ------
    InputError
        If a file of `reads` would be removed, or is missing: then the old results would be gone for nothing.
    """
    going = list(going)
    keys = {key for path in going for key in _keys(path)}
    names = {_place(path) for path in going}
    inside = folder.resolve()
    for path in reads.everything():
        if _place(path) in names or keys & set(_keys(path)) or inside in path.resolve().parents:
            raise InputError("this input would be removed with the old results", path=path,
                             hint="choose another --output")  # fmt: skip


def _keys(path: Path) -> Iterator[Key]:
    for look in (path.lstat, path.stat):
        with suppress(OSError):
            found = look()
            yield found.st_dev, found.st_ino


def _place(path: Path) -> str:
    """Return where a name stands, links in its folders followed."""
    return os.path.join(path.parent.resolve(), path.name)  # noqa: PTH118


class Seen:
    """The inputs that a run has looked at, to be looked at again.

    Parameters
    ----------
    full
        Hash stacks whole.
    """

    def __init__(self, full: bool = False) -> None:
        self._full = full
        self._entries: dict[str, dict[str, Any]] = {}
        self._stamps: dict[str, tuple[int, ...] | None] = {}

    def look(self, paths: Iterable[Path]) -> list[dict[str, Any]]:
        """Return the digest of every distinct path, in the order given; each file is hashed once.

        Raises
        ------
        InputError
            If a file cannot be read.
        """
        entries = []
        for path in dict.fromkeys(map(Path, paths)):
            key = str(path)
            if key not in self._entries:
                # Before the bytes: what changes while they are hashed shows later.
                self._stamps[key] = _stamp(path)
                self._entries[key] = digest_input(path, full=self._full)
            entries.append(self._entries[key])
        return entries

    def changes(self) -> list[str]:
        """Name the files that are not what they were when they were looked at; empty if all are.

        Bytes are read again only of files that something happened to.
        """
        phrases: list[str] = []
        for key, before in self._entries.items():
            stamp = _stamp(Path(key))
            if stamp is None:
                phrases.append(f"{key} is gone")
            elif stamp != self._stamps[key]:
                try:
                    phrases += describe_changes([before], [digest_input(Path(key), full=self._full)])
                except InputError as error:
                    phrases.append(str(error))
        return phrases


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes with a file: its inode, size and times; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
