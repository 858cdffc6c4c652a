"""Arrays in .npz files that are the same bytes every day: no pickles, no compression, no date.

``numpy.savez`` stamps the time into every member of the archive.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

_LOCAL_HEADER, _ZIP64 = 30, 20
"""Bytes of a member's own header before its name (APPNOTE.TXT, section 4.3.7), and of its field of large sizes."""
_PADDING_TAG = 0xD935
"""Of an extra field that only fills up; Android's zipalign uses the same."""
_ALIGNMENT = 64
_LONGEST_HEADER = 1 << 16
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
    version = np.lib.format.read_magic(stream)
    if version not in _NPY_HEADERS:
        raise ValueError(f"an array file of version {version}")
    shape, fortran, dtype = _NPY_HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    flat = np.frombuffer(member, dtype, count=math.prod(shape), offset=stream.tell())
    array = flat.reshape(shape, order="F" if fortran else "C")
    return array if array.flags.aligned else array.copy()
