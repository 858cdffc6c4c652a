"""CSDAT: the packed form of cryoSPARC's .cs files, as cryosparc-tools saves them with ``format=CSDAT_FORMAT``.

    6 bytes     0x95 "CSDAT"
    4 bytes     length of the header, little-endian like everything else
    header      JSON: length (rows), dtype ([name, type] or [name, type, shape] of each column), compression
                ("lz4" or null), compressed_fields (names)
    columns     in that order, none where there are no rows: 4 bytes of length, and so many bytes; those of compressed
                fields are one LZ4 block
    texts       to the end of the file, each ended by a zero byte; in columns of type "|O" a text is the place, uint64,
                of its first byte here

Source: cryosparc-tools 5.0, cryosparc/dataset/__init__.py (BSD licence). LZ4: lz4_Block_format.md of the LZ4 project.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x95CSDAT"
_LONGEST_HEADER = 1 << 22
_MOST_DIMENSIONS = 3
_MOST_EXPANSION = 255
"""A byte of an LZ4 block stands for at most so many."""
_SHORTEST_MATCH = 4


def read_csdat(stream: BinaryIO) -> dict[str, NDArray[Any]]:
    """Read the columns of a file that begins with ``MAGIC``: arrays of n rows each, texts as objects of type bytes.

    Raises
    ------
    ValueError
        In words that fit behind the file's name, if it is damaged.
    """
    size = os.fstat(stream.fileno()).st_size
    stream.seek(len(MAGIC))
    rows, fields, packed = _header(stream, size)
    raw = {}
    for name, dtype in fields if rows else []:
        length = int.from_bytes(_exactly(stream, 4, size, name), "little")
        data = _exactly(stream, length, size, name)
        wanted = rows * dtype.itemsize
        if name in packed:
            if wanted > _MOST_EXPANSION * len(data):
                raise ValueError(f"{name}: {len(data)} bytes cannot hold {rows} rows")
            data = unpack_lz4_block(data, wanted)
        if len(data) != wanted:
            raise ValueError(f"{name}: {len(data)} bytes where {rows} rows need {wanted}")
        raw[name] = data
    texts = stream.read()
    columns: dict[str, NDArray[Any]] = {}
    for name, dtype in fields:
        if dtype.hasobject:
            columns[name] = _texts(np.frombuffer(raw.get(name, b""), "<u8"), texts, name)
        else:
            base, shape = dtype.subdtype or (dtype, ())
            columns[name] = np.frombuffer(bytearray(raw.get(name, b"")), base).reshape(rows, *shape)
    return columns


def unpack_lz4_block(data: bytes, size: int) -> bytes:
    """Unpack one LZ4 block, which must hold ``size`` bytes.

    A block is a row of sequences: a token (length of what is copied from here, length of what is repeated, 4 bits each,
    15 = more bytes follow), the first, and how far back the second begins; the last one has nothing to repeat.

    Raises
    ------
    ValueError
        If it is damaged, or holds another number of bytes.
    """
    out, at = bytearray(), 0
    try:
        while True:
            token = data[at]
            literals, at = _length(data, at + 1, token >> 4)
            if at + literals > len(data) or len(out) + literals > size:
                raise ValueError("damaged LZ4 block")
            out += data[at : at + literals]
            at += literals
            if at == len(data):
                break
            back = int.from_bytes(data[at : at + 2], "little")
            match, at = _length(data, at + 2, token & 15)
            match += _SHORTEST_MATCH
            if not 0 < back <= len(out) or len(out) + match > size:
                raise ValueError("damaged LZ4 block")
            # What is repeated may run into itself: then it goes round.
            piece = bytes(out[-back : len(out) - back + match] if match < back else out[-back:])
            out += (piece * (match // len(piece) + 1))[:match]
    except IndexError:
        raise ValueError("damaged LZ4 block") from None
    if len(out) != size:
        raise ValueError("damaged LZ4 block")
    return bytes(out)


def _length(data: bytes, at: int, nibble: int) -> tuple[int, int]:
    """Return a length that begins with four bits of the token, and the place after it."""
    if nibble == 15:
        while data[at] == 255:
            nibble += 255
            at += 1
        nibble += data[at]
        at += 1
    return nibble, at


def _header(stream: BinaryIO, size: int) -> tuple[int, list[tuple[str, np.dtype[Any]]], set[str]]:
    """Return the number of rows, the columns with their types, and the names of those that are packed."""
    length = int.from_bytes(_exactly(stream, 4, size, "header"), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header of {length} bytes is longer than {_LONGEST_HEADER}")
    raw = _exactly(stream, length, size, "header")
    try:
        header = json.loads(raw)
        rows, compression = header["length"], header["compression"]
        packed = set(header["compressed_fields"]) if compression else set[str]()
        fields = [(field[0], _type(field)) for field in header["dtype"]]
    except Exception:  # whatever the parsers say of a damaged header
        raise ValueError("its header is damaged") from None
    if type(rows) is not int or rows < 0 or len({name for name, _ in fields}) < len(fields):
        raise ValueError("its header is damaged")
    if compression not in (None, "lz4"):
        raise ValueError(f"packed by {compression!r}, which is not read")
    return rows, fields, packed


def _type(field: list[Any]) -> np.dtype[Any]:
    name, base = field[0], np.dtype(field[1])
    shape = tuple(field[2]) if len(field) > 2 else ()
    sides_ok = all(type(side) is int and side > 0 for side in shape)
    if not isinstance(name, str) or len(field) > 3 or len(shape) > _MOST_DIMENSIONS or not sides_ok:
        raise ValueError("a column that cannot be")
    if base.names is not None or base.itemsize == 0 or (base.hasobject and shape) or math.prod(shape) > 1 << 32:
        raise ValueError("a column that cannot be")
    return np.dtype((base, shape)) if shape else base


def _exactly(stream: BinaryIO, length: int, size: int, what: str) -> bytes:
    if length > size - stream.tell():
        raise ValueError(f"truncated in {what}")
    data = stream.read(length)
    if len(data) < length:
        raise ValueError(f"truncated in {what}")
    return data


def _texts(places: NDArray[np.uint64], heap: bytes, name: str) -> NDArray[np.object_]:
    """Return the texts that begin at places of the heap, as objects: one long one would make a plain array huge."""
    known = {}
    for place in np.unique(places).tolist():
        end = heap.find(b"\0", place) if place < len(heap) else -1
        if end < 0:
            raise ValueError(f"{name}: a text that is not there")
        known[place] = heap[place:end]
    column = np.empty(len(places), object)
    column[:] = [known[place] for place in places.tolist()]
    return column
