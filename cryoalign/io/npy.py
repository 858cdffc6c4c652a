"""The .npy format of NumPy, read from files of any origin: nothing is believed that the file's size does not bear out.

``numpy.load`` makes room for as many elements as a header speaks of, stops at headers of 10,000 bytes, which .cs files
of many classes have, and leaves what lies behind the array unread, so that rows go missing where a header says too few.

The format: NumPy Enhancement Proposal 1.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1 << 20
"""Bytes: enough for 20,000 fields."""
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_KEYS = {"descr", "fortran_order", "shape"}


def read_npy(stream: BinaryIO, size: int) -> NDArray[Any]:
    """Read an array that takes all the ``size`` bytes of a stream, no byte less and none more.

    Raises
    ------
    ValueError
        In words that fit behind the file's name, if it is no such array, or one of Python objects.
    """
    shape, fortran, dtype = read_npy_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    count, left = math.prod(shape), size - stream.tell()
    if dtype.itemsize == 0 and count > 1:
        raise ValueError(f"{count} elements without a byte")
    needed = count * dtype.itemsize
    if left != needed:
        kind = "truncated" if left < needed else "longer than its header says"
        raise ValueError(f"{kind}: {left} bytes where {count} rows need {needed}")
    # A copy that is ours: a mapped file that somebody shortens ends the process.
    data = bytearray(left)
    if stream.readinto(data) != left:  # type: ignore[attr-defined]
        raise ValueError("it became shorter while it was read")
    try:
        return np.frombuffer(data, dtype, count=count).reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError):
        raise ValueError(f"no array has the shape {shape}") from None


def read_npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header at the beginning of a stream: shape, whether it is in Fortran's order, and type.

    Raises
    ------
    ValueError
        If there is none that can be used.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin as NumPy's files do")
    version = stream.read(2)
    if len(version) < 2 or version[0] not in _LENGTH_BYTES:
        raise ValueError(f"a NumPy file of version {'.'.join(map(str, version))}")
    length = int.from_bytes(stream.read(_LENGTH_BYTES[version[0]]), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header of {length} bytes is longer than {LONGEST_HEADER}")
    raw = stream.read(length)
    if len(raw) < length:
        raise ValueError("truncated in its header")
    try:
        header = _literal(raw.decode("utf-8" if version[0] == 3 else "latin-1"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old names of types
            dtype = np.lib.format.descr_to_dtype(header["descr"])
        shape, fortran = header["shape"], header["fortran_order"]
    except Exception:  # whatever the parser and NumPy say of a damaged header
        raise ValueError("its header is damaged") from None
    good = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    if not good or set(header) != _KEYS or not isinstance(fortran, bool):
        raise ValueError("its header is damaged")
    return shape, fortran, dtype


def _literal(text: str) -> dict[str, Any]:
    try:
        return ast.literal_eval(text)
    except SyntaxError:
        # Python 2 wrote long numbers with an L.
        return ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text))
