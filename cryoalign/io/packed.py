"""Packed files (.gz, .bz2): read from the front, and unpacked no further than they should hold.

33 kB can be a gigabyte and more: what comes out is bounded by what the file's own header declares, and by the room on
the disk.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cryoalign.core.errors import InputError
from cryoalign.io.file_kind import open_file

_CHUNK = 1 << 22
_TAIL = 1 << 20
"""Bytes that may follow what is declared, as they may in plain files."""
_MIB = 1 << 20


def packed_head(path: Path, kind: str, size: int) -> bytes:
    """Return the first bytes of what a packed file holds, fewer where it holds fewer.

    Parameters
    ----------
    path, kind
        The file, and how it is packed: gzip or bzip2.
    size
        How many.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    with _opened(path, kind) as stream:
        return stream.read(size)


def unpack(path: Path, kind: str, target: Path, size: int) -> None:
    """Unpack a file whose contents declare to be of so many bytes; it may turn out to hold fewer.

    Parameters
    ----------
    path, kind
        The file, and how it is packed: gzip or bzip2.
    target
        File to write.
    size
        Bytes that the contents should have.

    Raises
    ------
    InputError
        If the file is damaged or holds far more than that, or there is no room for it.
    """
    try:
        free = shutil.disk_usage(target.parent).free
        if size > free:
            raise InputError(
                f"cannot be unpacked: its header speaks of {-(-size // _MIB)} MiB, {target.parent} has room for"
                f" {free // _MIB}", path=path,
            )  # fmt: skip
        plain = target.open("wb")
    except OSError as error:
        raise _no_room(path, target, error) from None
    with plain, _opened(path, kind) as stream:
        left = size
        while left and (data := stream.read(min(_CHUNK, left))):
            try:
                plain.write(data)
            except OSError as error:
                raise _no_room(path, target, error) from None
            left -= len(data)
        # Read to the end, where the checksum is compared.
        if not left and len(stream.read(_TAIL)) == _TAIL and stream.read(1):
            raise InputError(f"holds far more than the {size} bytes that its header speaks of", path=path)


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[IO[bytes]]:
    with open_file(path) as raw, _reader(raw, kind) as stream:
        try:
            yield stream
        except (EOFError, zlib.error, OSError) as error:
            # gzip and bz2 say OSError for bad data, without an error number.
            what = f"damaged {kind} file: {error}"
            if isinstance(error, OSError) and error.errno is not None:
                what = f"cannot be read: {error.strerror}"
            raise InputError(what, path=path) from None


def _reader(raw: IO[bytes], kind: str) -> IO[bytes]:
    return gzip.GzipFile(fileobj=raw) if kind == "gzip" else bz2.BZ2File(raw)  # type: ignore[return-value]


def _no_room(path: Path, target: Path, error: OSError) -> InputError:
    return InputError(f"cannot be unpacked into {target.parent}: {error.strerror}", path=path)
