"""Digests of input files: what a run was made from, checked again when it is resumed.

Tables are hashed whole. Stacks may be hundreds of gigabytes: their size, modification time and the SHA-256 of the
first and last MiB stand for them, unless the whole is asked for.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryoalign.core.errors import InputError

_MIB = 1 << 20
_STACK_SUFFIXES = {".mrc", ".mrcs", ".map", ".st", ".gz", ".bz2"}


def digest_input(path: Path, *, full: bool = False) -> dict[str, Any]:
    """Return what identifies one input file.

    Parameters
    ----------
    path
        The file; a name that ends like an image stack is treated as one.
    full
        Hash all of a stack.

    Returns
    -------
    dict
        ``path`` and ``size``; ``sha256`` for tables and with `full`; else ``mtime_ns`` and
        ``sha256_first_and_last_mib``.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise InputError("is a pipe or a device, not a file", path=path, hint="write its content into a file first")
        entry: dict[str, Any] = {"path": str(path), "size": status.st_size}
        is_stack = path.suffix.lower() in _STACK_SUFFIXES
        if is_stack and not full:
            entry["mtime_ns"] = status.st_mtime_ns
            entry["sha256_first_and_last_mib"] = _hash_ends(path, status.st_size)
        else:
            with path.open("rb") as handle:
                entry["sha256"] = hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError("no such file", path=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from None
    return entry


def digest_inputs(paths: Iterable[Path], *, full: bool = False) -> list[dict[str, Any]]:
    """Return `digest_input` of every distinct path, in the order given."""
    return [digest_input(path, full=full) for path in dict.fromkeys(map(Path, paths))]


def describe_changes(old: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> list[str]:
    """Name the files of both lists of digests that changed, one phrase each; empty if none did."""
    before = {entry["path"]: entry for entry in old}
    phrases = []
    for entry in new:
        was = before.get(entry["path"], entry)
        changed = [key for key in was | entry if was.get(key) != entry.get(key)]
        if changed:
            phrases.append(f"{entry['path']} changed ({', '.join(changed)})")
    return phrases


def _hash_ends(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        digest.update(handle.read(_MIB))
        if size > _MIB:
            handle.seek(max(_MIB, size - _MIB))
            digest.update(handle.read(_MIB))
    return digest.hexdigest()
