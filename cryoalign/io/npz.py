"""Arrays in .npz files that are the same bytes every day: no pickles, no compression, no date.

``numpy.savez`` stamps the time into every member of the archive. Files of other origin are read by :func:`read_npz`,
which never unpacks more than a file may well hold.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cryoalign.io.npy import read_npy, read_npy_header

_LOCAL_HEADER, _ZIP64 = 30, 20
"""Bytes of a member's own header before its name (APPNOTE.TXT, section 4.3.7), and of its field of large sizes."""
_PADDING_TAG = 0xD935
"""Of an extra field that only fills up; Android's zipalign uses the same."""
_ALIGNMENT = 64
_LONGEST_HEADER = 1 << 16
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy packs; the other ways make a gigabyte of a few bytes."""
_HARMLESS, _MOST = 1 << 26, 100
"""Bytes that may be unpacked of any file; above them, how many times the file's size."""


def write_npz(handle: IO[bytes], arrays: Mapping[str, NDArray], *, aligned: bool = False) -> None:
    """Write arrays in the order given; ``numpy.load`` reads them.

    Parameters
    ----------
    handle
        A binary file open for writing.
    arrays
        Name and array.
    aligned
        Begin each array at a multiple of 64 bytes, so that it can be used where it lies in the file.

    Raises
    ------
    ValueError
        If an array holds Python objects.
    """
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            # A member made from a bare name is of 1 January 1980.
            info = zipfile.ZipInfo(f"{name}.npy")
            if aligned:
                info.extra = _padding(handle.tell() + _LOCAL_HEADER + len(info.filename.encode()) + _ZIP64)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _padding(end: int) -> bytes:
    """Return an extra field that carries a header which would end at `end` on to a multiple of 64."""
    count = -(end + 4) % _ALIGNMENT
    return struct.pack("<HH", _PADDING_TAG, count) + bytes(count)


def map_npz(path: Path, *, compare: bool = True) -> dict[str, NDArray]:
    """Return the arrays of a file that :func:`write_npz` wrote, as read-only views of the file itself.

    They take no memory of their own. An array that does not lie as it must is copied.

    Parameters
    ----------
    path
        The file.
    compare
        Compare the checksums, which reads the whole file.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If the file is damaged.
    """
    arrays = {}
    with Path(path).open("rb") as handle, zipfile.ZipFile(handle) as archive:
        whole = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is compressed")
            name, extra = struct.unpack("<HH", whole[info.header_offset + 26 : info.header_offset + _LOCAL_HEADER])
            start = info.header_offset + _LOCAL_HEADER + name + extra
            member = whole[start : start + info.file_size]
            if compare and zlib.crc32(member) != info.CRC:
                raise zipfile.BadZipFile(f"bad checksum of {info.filename}")
            arrays[info.filename.removesuffix(".npy")] = _array(member)
    return arrays


def _array(member: memoryview) -> NDArray:
    """Return the array of a .npy file where its bytes lie: NumPy's own reader copies it piece by piece."""
    stream = io.BytesIO(member[:_LONGEST_HEADER])
    shape, fortran, dtype = read_npy_header(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    flat = np.frombuffer(member, dtype, count=math.prod(shape), offset=stream.tell())
    array = flat.reshape(shape, order="F" if fortran else "C")
    return array if array.flags.aligned else array.copy()


def read_npz(handle: BinaryIO, wanted: Collection[str]) -> tuple[dict[str, NDArray], list[str]]:
    """Read some arrays of an .npz file of any origin.

    Parameters
    ----------
    handle
        The open file.
    wanted
        Names of the arrays to be read, where they are there.

    Returns
    -------
    tuple
        The arrays by name, and the names of the others, which are not unpacked.

    Raises
    ------
    ValueError
        If the file is damaged, holds Python objects, or unpacks to far more than its size.
    """
    size = os.fstat(handle.fileno()).st_size
    arrays: dict[str, NDArray] = {}
    others: list[str] = []
    try:
        with zipfile.ZipFile(handle) as archive:
            members = [(info, info.filename.removesuffix(".npy")) for info in archive.infolist()]
            chosen = [(info, name) for info, name in members if name in wanted]
            others = [name for _, name in members if name not in wanted]
            if len({name for _, name in chosen}) < len(chosen):
                raise ValueError("an array is there twice")
            if any(info.compress_type not in _PLAIN for info, _ in chosen):
                raise ValueError("packed in a way that NumPy does not")
            total = sum(info.file_size for info, _ in chosen)
            if total > max(_HARMLESS, _MOST * size):
                raise ValueError(f"its {size} bytes would unpack to {total}")
            for info, name in chosen:
                with archive.open(info) as member:
                    data = member.read(info.file_size)  # more is never unpacked
                arrays[name] = read_npy(io.BytesIO(data), len(data))
    except ValueError:
        raise
    except Exception:  # whatever zipfile and zlib say of a damaged archive
        raise ValueError("damaged") from None
    return arrays, others
