"""Writing files on disks that may be full: room is reserved before it is needed, and errors name their file.

The system names the file of an error where one is opened, and not where bytes are written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of the system within this block name a file, where they name none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def reserve(descriptor: int, size: int) -> None:
    """Reserve the bytes of a file, so that a full disk shows at the start and not after hours.

    A file that is mapped needs this: where the disk is full, writing to a page that has no place kills the process.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise
        os.ftruncate(descriptor, size)


def new_map(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a new file of 32-bit floats as an array that can be written to; all are 0.

    Raises
    ------
    OSError
        If there is no room; names the file.
    """
    with naming(path), path.open("w+b") as handle:
        reserve(handle.fileno(), 4 * int(np.prod(shape, dtype=np.int64)))
        return np.memmap(handle, np.float32, "r+", shape=shape)
