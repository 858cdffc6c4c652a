"""What a file really is: opened here if it is a file at all, and known by its first bytes, since names lie.

Whatever a user names is opened by :func:`open_file`. A pipe, a socket or a device called particles.star would be waited
for, or read, for ever.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TextIO

from cryoalign.core.errors import InputError

_LFS = b"version https://git-lfs.github.com/spec/"
_MAP_OFFSET = 208
_NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def is_lfs_pointer(head: bytes) -> bool:
    """Tell whether these first bytes are those of a Git LFS pointer file."""
    return head.startswith(_LFS)


def compression(head: bytes) -> str | None:
    """Name the compression of a file that starts with these bytes: "gzip", "bzip2" or None."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "bzip2" if head.startswith(b"BZh") else None


def open_file(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file that a user named, for reading bytes.

    Raises
    ------
    InputError
        If there is no such file, it is a folder, a pipe, a socket or a device, or it cannot be opened.
    """
    try:
        _refuse_no_file(Path(path).stat().st_mode, path)
        # Should it become a pipe in between, opening it does not wait either.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise InputError("no such file", path=path, kind="file") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path, kind="file") from None
    except ValueError:  # a NUL in the name
        raise InputError("cannot be the name of a file", value=os.fspath(path), kind="file") from None
    try:
        _refuse_no_file(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_text(path: str | os.PathLike[str]) -> TextIO:
    """Open a text file that a user named, as `open_file` does; bytes that are no UTF-8 survive as surrogates."""
    return io.TextIOWrapper(open_file(path), encoding="utf-8-sig", errors="surrogateescape", newline=None)


def _refuse_no_file(mode: int, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(mode):
        kind = _NO_FILES.get(stat.S_IFMT(mode), "something else")
        hint = None if stat.S_ISDIR(mode) else "write what it gives into a file first"
        raise InputError(f"is {kind}, not a file", path=path, hint=hint, kind="file")


def read_head(path: str | os.PathLike[str], size: int = 1024) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    InputError
        If it is no file that can be opened (see `open_file`) or read, or it is a Git LFS pointer.
    """
    with open_file(path) as stream:
        try:
            head = stream.read(size)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", path=path, kind="file") from None
    if is_lfs_pointer(head):
        raise InputError(
            "is a Git LFS pointer, not the data", path=path, hint="fetch the file with 'git lfs pull'", kind="file"
        )
    return head


def refuse_unless_text(head: bytes, path: str | os.PathLike[str]) -> None:
    """Raise InputError where the first bytes of a supposed STAR file are those of something else."""
    if head[_MAP_OFFSET : _MAP_OFFSET + 3] in (b"MAP", b"STK"):
        raise InputError(
            "is an MRC file, not a STAR file", path=path, hint="give images with the ending .mrcs", kind="file"
        )
    if kind := compression(head):
        raise InputError(f"is a {kind} file, not a STAR file", path=path, hint="unpack it first", kind="file")
    if head.startswith(b"\x93NUMPY"):
        raise InputError(
            "is a NumPy file, not a STAR file", path=path, hint="give cryoSPARC files with the ending .cs", kind="file"
        )
    if b"\0" in head:
        raise InputError("is a binary file, not a STAR file", path=path, kind="file")
