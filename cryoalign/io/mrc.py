"""MRC headers as they really are: byte order, modes, extended headers, lies, and the check that no pixel is missing.

Packed stacks (.gz, .bz2) are unpacked once into a scratch folder, since pixels are read at random.

The format: Cheng et al. 2015, J. Struct. Biol. 192, 146 (MRC2014). Headers in the wild lack the map id and the machine
stamp, call stacks volumes, and give a voxel size of 0, 1 or NaN; all of these are read. A file that is shorter than
its header says is refused.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from cryoalign.core.errors import InputError
from cryoalign.core.limits import PIXEL_SIZES_ANGSTROM
from cryoalign.io.file_kind import compression, read_head
from cryoalign.io.packed import packed_head, unpack
from cryoalign.io.paths import image_name

HEADER_BYTES = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_MODE_NAMES = {3: "complex int16", 4: "complex float32", 101: "4-bit"}
_MAP_ENDINGS, _STACK_ENDINGS, _PACKED_ENDINGS = (".mrc", ".map"), (".mrcs",), (".gz", ".bz2")
_LARGEST_SIDE = 1 << 20
_BELIEVABLE_ANGSTROM = PIXEL_SIZES_ANGSTROM
_IMOD_STAMP_OFFSET, _IMOD_STAMP = 152, 1146047817
_IMOD_SIGNED, _IMOD_PACKED = 1, 16
"""Flags of IMOD: bytes are signed, and two pixels share a byte."""


@dataclass(frozen=True)
class MrcHeader:
    """What one needs to read the pixels of an MRC file.

    Attributes
    ----------
    path
        The file.
    nx, ny, count
        Columns, rows and sections (images of a stack).
    mode
        0 (int8), 1 (int16), 2 (float32), 6 (uint16) or 12 (float16).
    big_endian
        Byte order of header and pixels.
    offset
        Bytes before the first pixel.
    voxel_size_angstrom
        None where the header gives no usable one (0, NaN, negative, or what no microscope has).
    space_group
        ispg: 0 for stacks, 1 for volumes, if the writer cared.
    compression
        "gzip", "bzip2" or None; the sizes above are those of the unpacked file.
    oddities
        What a log should say about the header.
    unsigned_bytes
        Whether mode 0 means 0 to 255, by IMOD's stamp.
    """

    path: Path
    nx: int
    ny: int
    count: int
    mode: int
    big_endian: bool
    offset: int
    voxel_size_angstrom: float | None
    space_group: int
    compression: str | None
    oddities: tuple[str, ...]
    unsigned_bytes: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels in the file, with its byte order."""
        kind = "u1" if self.unsigned_bytes and self.mode == 0 else _DTYPES[self.mode]
        return np.dtype((">" if self.big_endian else "<") + kind)

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self.nx * self.ny * self.dtype.itemsize

    @property
    def expected_bytes(self) -> int:
        """Bytes that the whole (unpacked) file must have."""
        return self.offset + self.count * self.image_bytes

    @property
    def stated_pixel_size_angstrom(self) -> float | None:
        """The voxel size where it says something: 1.0 is what programs write that do not know, and so is nonsense."""
        size = self.voxel_size_angstrom
        low, high = _BELIEVABLE_ANGSTROM
        return size if size is not None and size != 1.0 and low <= size <= high else None

    @property
    def looks_like_volume(self) -> bool:
        """Whether this is rather a 3-D map than a stack: a cube that is called a map, or not called a stack and marked.

        The space group alone tells nothing: RELION and ChimeraX write maps with 0, the one of stacks.
        """
        name = self.path.name.lower()
        for ending in _PACKED_ENDINGS:
            name = name.removesuffix(ending)
        marked = name.endswith(_MAP_ENDINGS) or self.space_group != 0
        return self.count == self.nx == self.ny > 1 and marked and not name.endswith(_STACK_ENDINGS)


def read_mrc_header(path: str | os.PathLike[str]) -> MrcHeader:
    """Read and check the header of an MRC file, packed (.gz, .bz2) or not.

    Raises
    ------
    InputError
        If the file is missing, a Git LFS pointer, no MRC file, of a mode without real pixels, or truncated. Whether a
        packed file is complete shows only when it is unpacked.
    """
    where = Path(path)
    head = read_head(where, HEADER_BYTES)
    packed = compression(head)
    if packed:
        head = packed_head(where, packed, HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        what = "empty file" if not head else f"{len(head)} bytes, shorter than an MRC header"
        raise InputError(what, path=path, hint="copy the file again")
    header = _interpret(where, head, packed)
    if packed is None:
        check_complete(header, where)
    return header


def volume_error(header: MrcHeader, table: Path | None = None, row: int | None = None) -> InputError:
    """Return the error about a 3-D map where images are wanted, and nobody named one of its sections.

    Parameters
    ----------
    header
        Of the map.
    table, row
        The table that lists it, and the 1-based row there; None where the user named the map itself.
    """
    is_map = f"is a 3-D map, a cube of {header.nx} px, not a stack of images"
    return InputError(
        is_map if table is None else f"{header.path} {is_map}", path=header.path if table is None else table, row=row,
        kind="volume",
        hint="project it with relion_project or `cryoalign simulate --map`; if it is a stack, call it .mrcs, or list "
        f"its images in a STAR file as {image_name(0, header.path.name)}",
    )  # fmt: skip


def no_image_error(header: MrcHeader, name: str, frame: int, table: Path | None, row: int) -> InputError | None:
    """Return the error about a listed image that is not in its file, None where it is.

    Parameters
    ----------
    header, name, frame
        The file, the image as the table names it, and its 0-based number; -1 where the name has none.
    table, row
        Where it is listed; rows count from 1.
    """
    if frame >= header.count:
        what = "image index past the end of the stack"
    elif frame < 0 and header.count > 1:
        if header.looks_like_volume:
            return volume_error(header, table, row)
        what = "no image index, but the stack"
    else:
        return None
    what += f" ({header.count} images in {header.path})"
    return InputError(what, path=table, row=row, value=name, kind="image-index")


def check_complete(header: MrcHeader, path: Path) -> None:
    """Refuse the file at ``path`` (where the header's file lies unpacked) if it is shorter than the header says."""
    size = path.stat().st_size
    if size < header.expected_bytes:
        whole = max(0, (size - header.offset) // header.image_bytes)
        raise InputError(
            f"truncated: {size} bytes where the header needs {header.expected_bytes}"
            f" ({whole} of {header.count} images are whole)",
            path=header.path,
            hint="copy or write the file again",
            kind="stack-truncated",
        )


def unpacked(header: MrcHeader, scratch_dir: Path) -> Path:
    """Return the path of the plain file: the file itself, or its unpacked copy in ``scratch_dir``, made if need be.

    Raises
    ------
    InputError
        If the packed file is damaged or holds fewer bytes than its header says, or far more, or there is no room.
    """
    if header.compression is None:
        return header.path
    key = hashlib.sha256(os.fsencode(header.path.resolve())).hexdigest()[:16]
    target = scratch_dir / f"{key}_{header.path.stem}"
    if not target.exists():
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            scratch_dir.mkdir(parents=True, exist_ok=True)
            unpack(header.path, header.compression, part, header.expected_bytes)
            check_complete(header, part)
            part.replace(target)
        except OSError as error:
            raise InputError(f"cannot be unpacked into {scratch_dir}: {error.strerror}", path=header.path) from None
        finally:
            if scratch_dir.is_dir():
                part.unlink(missing_ok=True)
    check_complete(header, target)
    return target


def _interpret(path: Path, head: bytes, packed: str | None) -> MrcHeader:
    oddities = []
    big_endian, stamped = _byte_order(path, head)
    if not stamped:
        oddities.append("no machine stamp, byte order deduced from the header")
    fields = np.frombuffer(head, HEADER_DTYPE.newbyteorder(">" if big_endian else "<"), count=1)[0]
    map_id = bytes(head[208:212])
    if map_id[:3] != b"MAP":
        oddities.append(f"map id is {map_id!r}, not 'MAP '" if map_id.strip(b"\0 ") else "no map id")
    mode = int(fields["mode"])
    if mode not in _DTYPES:
        raise InputError(
            "MRC mode without real pixels", path=path, value=f"{mode}, {_MODE_NAMES.get(mode, 'unknown')}",
            hint="modes 0, 1, 2, 6 and 12 are read",
        )  # fmt: skip
    unsigned = mode == 0 and _imod_says_unsigned(path, head, "big" if big_endian else "little")
    if unsigned:
        oddities.append("bytes are unsigned, by IMOD's stamp")
    extended = int(fields["nsymbt"])
    if extended < 0:
        raise InputError("negative size of the extended header", path=path, value=extended)
    return MrcHeader(
        path, int(fields["nx"]), int(fields["ny"]), int(fields["nz"]), mode, big_endian, HEADER_BYTES + extended,
        _voxel_size(fields), int(fields["ispg"]), packed, tuple(oddities), unsigned,
    )  # fmt: skip


def _imod_says_unsigned(path: Path, head: bytes, order: Literal["big", "little"]) -> bool:
    """Tell whether the bytes of mode 0 are 0 to 255: where IMOD's stamp is there, without its flag for signed ones.

    See bio3d.colorado.edu/imod/doc/mrc_format.txt, imodStamp and imodFlags.
    """
    stamp, flags = (int.from_bytes(head[at : at + 4], order) for at in (_IMOD_STAMP_OFFSET, _IMOD_STAMP_OFFSET + 4))
    if stamp != _IMOD_STAMP:
        return False
    if flags & _IMOD_PACKED:
        raise InputError("MRC mode without real pixels", path=path, value="4-bit, by IMOD's stamp",
                         hint="modes 0, 1, 2, 6 and 12 are read")  # fmt: skip
    return not flags & _IMOD_SIGNED


def _voxel_size(fields: np.void) -> float | None:
    """Return cell length / sampling along x in A, or None where the header has no number for it."""
    cell, samples = float(fields["cella"]["x"]), int(fields["mx"])
    if samples <= 0:
        return None
    voxel, (low, high) = cell / samples, PIXEL_SIZES_ANGSTROM
    # float32 cells give 1.3399999; six digits are more than anyone calibrates.
    return float(f"{voxel:.6g}") if low <= voxel <= high else None


def _byte_order(path: Path, head: bytes) -> tuple[bool, bool]:
    """Return (big endian, whether a machine stamp says so); the numbers decide where stamp and numbers disagree."""
    plausible = [_plausible(head, order) for order in "<>"]
    if not any(plausible):
        raise InputError("not an MRC file: no byte order gives a sensible header", path=path)
    stamp = {0x44: False, 0x11: True}.get(head[212])
    if stamp is not None and plausible[stamp]:
        return stamp, True
    return (not plausible[0]), False


def _plausible(head: bytes, order: str) -> bool:
    nx, ny, nz, mode = np.frombuffer(head, order + "i4", count=4)
    sides = 0 < nx < _LARGEST_SIDE and 0 < ny < _LARGEST_SIDE and nz > 0
    return bool(sides and (mode in _DTYPES or mode in _MODE_NAMES))
