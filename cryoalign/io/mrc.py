"""MRC headers as they really are: byte order, modes, extended headers, lies, and the check that no pixel is missing.

Packed stacks (.gz, .bz2) are unpacked once into a scratch folder, since pixels are read at random.

The format: Cheng et al. 2015, J. Struct. Biol. 192, 146 (MRC2014). Headers in the wild lack the map id and the machine
stamp, call stacks volumes, and give a voxel size of 0, 1 or NaN; all of these are read. A file that is shorter than
its header says is refused.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from cryoalign.core.errors import InputError
from cryoalign.io.file_kind import compression, read_head
from cryoalign.io.packed import packed_head, unpack

HEADER_BYTES = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_MODE_NAMES = {3: "complex int16", 4: "complex float32", 101: "4-bit"}
_LARGEST_SIDE = 1 << 20
_BELIEVABLE_ANGSTROM = (0.1, 100.0)


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
        None where the header gives no usable one (0, NaN, negative).
    space_group
        ispg: 0 for stacks, 1 for volumes, if the writer cared.
    compression
        "gzip", "bzip2" or None; the sizes above are those of the unpacked file.
    oddities
        What a log should say about the header.
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

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels in the file, with its byte order."""
        return np.dtype((">" if self.big_endian else "<") + _DTYPES[self.mode])

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
        """Whether this is rather a 3D map than a stack: a cube with space group 1 that is not called .mrcs."""
        is_stack_name = ".mrcs" in self.path.name.lower()
        return self.space_group != 0 and self.count == self.nx == self.ny > 1 and not is_stack_name


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
    extended = int(fields["nsymbt"])
    if extended < 0:
        raise InputError("negative size of the extended header", path=path, value=extended)
    return MrcHeader(
        path, int(fields["nx"]), int(fields["ny"]), int(fields["nz"]), mode, big_endian, HEADER_BYTES + extended,
        _voxel_size(fields), int(fields["ispg"]), packed, tuple(oddities),
    )  # fmt: skip


def _voxel_size(fields: np.void) -> float | None:
    """Return cell length / sampling along x in A, or None where the header has no number for it."""
    cell, samples = float(fields["cella"]["x"]), int(fields["mx"])
    if samples <= 0:
        return None
    voxel = cell / samples
    # float32 cells give 1.3399999; six digits are more than anyone calibrates.
    return float(f"{voxel:.6g}") if math.isfinite(voxel) and voxel > 0 else None


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
