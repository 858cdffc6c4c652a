"""What a file really is, from its first bytes: names lie (a map called .star, a Git LFS pointer called .mrcs)."""

from __future__ import annotations

import os
from pathlib import Path

from cryoalign.core.errors import InputError

_LFS = b"version https://git-lfs.github.com/spec/"
_MAP_OFFSET = 208


def is_lfs_pointer(head: bytes) -> bool:
    """Tell whether these first bytes are those of a Git LFS pointer file."""
    return head.startswith(_LFS)


def compression(head: bytes) -> str | None:
    """Name the compression of a file that starts with these bytes: "gzip", "bzip2" or None."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "bzip2" if head.startswith(b"BZh") else None


def read_head(path: str | os.PathLike[str], size: int = 1024) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    InputError
        If there is no such file, it is a folder or it cannot be read, or it is a Git LFS pointer.
    """
    where = Path(path)
    if where.is_dir():
        raise InputError("is a folder, not a file", path=path)
    try:
        with where.open("rb") as stream:
            head = stream.read(size)
    except FileNotFoundError:
        raise InputError("file not found", path=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from None
    if is_lfs_pointer(head):
        raise InputError("is a Git LFS pointer, not the data", path=path, hint="fetch the file with 'git lfs pull'")
    return head


def refuse_unless_text(head: bytes, path: str | os.PathLike[str]) -> None:
    """Raise InputError where the first bytes of a supposed STAR file are those of something else."""
    if head[_MAP_OFFSET : _MAP_OFFSET + 3] in (b"MAP", b"STK"):
        raise InputError("is an MRC file, not a STAR file", path=path, hint="give images with the ending .mrcs")
    if kind := compression(head):
        raise InputError(f"is a {kind} file, not a STAR file", path=path, hint="unpack it first")
    if head.startswith(b"\x93NUMPY"):
        raise InputError("is a NumPy file, not a STAR file", path=path, hint="give cryoSPARC files with the ending .cs")
    if b"\0" in head:
        raise InputError("is a binary file, not a STAR file", path=path)
