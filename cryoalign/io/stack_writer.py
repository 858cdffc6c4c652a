"""Stacks out: float32 .mrcs of known size, written at any row from any thread, the same bytes every time.

Header as RELION and MRC2014 want a stack: mode 2, ispg 0, mz 1, a voxel size. Statistics are marked "not determined"
(dmax < dmin, dmean < both, rms < 0), since they would need all pixels; the label carries no date.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.mrc import HEADER_BYTES
from cryoalign.io.writing import naming, reserve

_LABEL = b"cryoalign: stack of images"


@dataclass(frozen=True)
class StackPlace:
    """Where a stack is and what it holds: what a worker needs to write into it; see `StackWriter`."""

    path: Path
    count: int
    box: int
    pixel_size_angstrom: float

    def open(self) -> StackWriter:
        """Open the stack, keeping the pixels of a file of the same size."""
        return StackWriter(self.path, self.count, self.box, self.pixel_size_angstrom, keep_existing=True)


class StackWriter:
    """A preallocated stack that is filled row by row.

    Parameters
    ----------
    path
        The .mrcs file.
    count
        Images in the stack, at least 1.
    box
        Side of the square images, in pixels.
    pixel_size_angstrom
        Voxel size for the header.
    keep_existing
        Keep the pixels of a file of the same size (a resumed run); otherwise all start as 0.

    Raises
    ------
    InputError
        If the file cannot be made, for example because the disk is full.
    """

    def __init__(
        self, path: str | os.PathLike[str], count: int, box: int, pixel_size_angstrom: float, *,
        keep_existing: bool = False,
    ) -> None:  # fmt: skip
        self._shape, self._image_bytes = (count, box, box), 4 * box * box
        header = stack_header(count, box, pixel_size_angstrom)
        self.path = Path(path)
        size = HEADER_BYTES + count * self._image_bytes
        try:
            self._descriptor: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if not (keep_existing and os.fstat(self._descriptor).st_size == size):
                os.ftruncate(self._descriptor, 0)
                reserve(self._descriptor, size)
            _write_exactly(self._descriptor, memoryview(header), 0)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", path=path, value=f"{size} bytes") from None
        self._closing = threading.Lock()

    def write(self, start_row: int, images: NDArray[np.float32]) -> None:
        """Write images of shape (m, box, box) at rows start_row to start_row + m; from any thread.

        Raises
        ------
        ValueError
            If the shape or the rows do not fit, or the stack is closed.
        """
        if self._descriptor is None:
            raise ValueError(f"{self.path} is closed")
        if images.ndim != 3 or images.shape[1:] != self._shape[1:]:
            raise ValueError(f"images of shape {images.shape} do not fit into a stack of {self._shape}")
        if start_row < 0 or start_row + len(images) > self._shape[0]:
            raise ValueError(f"rows {start_row}:{start_row + len(images)} of a stack of {self._shape[0]} images")
        if len(images) == 0:
            return
        block = np.ascontiguousarray(images, dtype="<f4")
        try:
            _write_exactly(self._descriptor, block.view(np.uint8).data.cast("B"), self._offset(start_row))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", path=self.path, row=start_row + 1) from None

    def close(self) -> None:
        """Bring everything to the disk and close the file; harmless when done twice."""
        with self._closing:
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                try:
                    with naming(self.path):
                        os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def __enter__(self) -> StackWriter:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _offset(self, row: int) -> int:
        return HEADER_BYTES + row * self._image_bytes


def write_stack(path: str | os.PathLike[str], images: NDArray[np.float32], pixel_size_angstrom: float) -> None:
    """Write images of shape (n, L, L) as a stack; see ``StackWriter``."""
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise ValueError(f"images must have shape (n, box, box), not {images.shape}")
    with StackWriter(path, len(images), images.shape[1], pixel_size_angstrom) as writer:
        writer.write(0, images)


def stack_header(count: int, box: int, pixel_size_angstrom: float) -> bytes:
    """Return the 1024 bytes of the header of a float32 stack."""
    if count < 1 or box < 1 or not (np.isfinite(pixel_size_angstrom) and pixel_size_angstrom > 0):
        raise ValueError(f"no stack of {count} images of {box} px at {pixel_size_angstrom} A")
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nx"] = header["ny"] = header["mx"] = header["my"] = box
    header["nz"], header["mz"], header["mode"], header["ispg"] = count, 1, 2, 0
    length = box * pixel_size_angstrom
    header["cella"] = (length, length, pixel_size_angstrom)
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["dmin"], header["dmax"], header["dmean"], header["rms"] = 0, -1, -2, -1
    header["nversion"], header["map"] = 20140, b"MAP "
    header["machst"] = (0x44, 0x44, 0, 0)
    header["nlabl"] = 1
    header["label"][0] = _LABEL
    return header.tobytes()


def _write_exactly(descriptor: int, source: memoryview, offset: int) -> None:
    done = 0
    while done < len(source):
        done += os.pwrite(descriptor, source[done:], offset + done)
