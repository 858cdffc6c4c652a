"""Results moved to their final names, on the disk before the record says so, and moved back where that fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cryoalign.runs import markers

_NOTHING_TO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES)


@contextmanager
def in_place(path: Path, staged: Mapping[str, Path], nodes: str) -> Iterator[None]:
    """Move results to their final names and list them for RELION; what fails then or within the block moves them back.

    Parameters
    ----------
    path
        The run directory.
    staged
        Name of each result in it, and where it lies now.
    nodes
        The text of RELION_OUTPUT_NODES.star.
    """
    moved: list[str] = []
    try:
        for source in staged.values():
            _sync(source)  # a full disk of another machine may show here, and not when the bytes were written
        for name, source in staged.items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            moved.append(name)
        markers.write_output_nodes(path, nodes)
        _sync(path)
        yield
    except BaseException:
        _take_back(path, staged, moved)
        raise


def _take_back(path: Path, staged: Mapping[str, Path], moved: Iterable[str]) -> None:
    """Undo a commit that did not come to its end, as far as the disk allows."""
    with suppress(OSError):
        (path / markers.OUTPUT_NODES).unlink(missing_ok=True)
    for name in moved:
        with suppress(OSError):
            (path / name).replace(staged[name])


def _sync(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOTHING_TO_SYNC:
            error.filename = str(path)
            raise
    finally:
        os.close(descriptor)
