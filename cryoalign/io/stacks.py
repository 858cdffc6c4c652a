"""Pixels of particle stacks: blocks of images by positioned reads, any mode and byte order, as float32."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.magnification import correct_magnification
from cryoalign.core.tiles import TILE
from cryoalign.io.file_kind import open_file
from cryoalign.io.mrc import MrcHeader, read_mrc_header, unpacked
from cryoalign.io.particle_set import ParticleSet
from cryoalign.io.stack_writer import StackWriter, write_stack

__all__ = ["StackSource", "StackWriter", "bad_images", "read_images", "write_stack"]

_CONVERT_BYTES = 1 << 25


class StackSource:
    """The images of a particle set, an ``ImageSource`` over its stacks.

    Nothing is kept open or cached between reads, so any thread may read any rows at any time; a read needs memory for
    its result and, for other types than native float32, 32 MiB more; two tiles of images where they are corrected.

    Parameters
    ----------
    particles
        Rows with one box; see ``ParticleSet.groups_by_box`` for others. Where they carry magnification matrices, images
        are corrected as they are read, but those that cannot be used anyway.
    invert
        Negate the pixels.
    scratch_dir
        Where packed stacks (.gz, .bz2) are unpacked, once; a temporary folder if omitted.

    Raises
    ------
    InputError
        If the boxes differ, or a stack is missing, truncated or damaged.
    """

    def __init__(self, particles: ParticleSet, *, invert: bool = False, scratch_dir: Path | None = None) -> None:
        used, stack_index = np.unique(particles.stack_index, return_inverse=True)
        known = particles.headers
        self._headers = [known[i] if known is not None else read_mrc_header(particles.stacks[i]) for i in used]
        self._stack_index, self._frame = stack_index.reshape(-1), particles.frame
        self._particles, self._invert = particles, invert
        self._to_correct = [] if particles.magnification is None else list(enumerate(particles.magnification))
        self._box = self._common_box()
        if scratch_dir is None and any(header.compression for header in self._headers):
            scratch_dir = Path(tempfile.mkdtemp(prefix="cryoalign-"))
            weakref.finalize(self, shutil.rmtree, scratch_dir, ignore_errors=True)
        self._files = [h.path if scratch_dir is None else unpacked(h, Path(scratch_dir)) for h in self._headers]

    @property
    def box(self) -> int:
        """Side of the square images, in pixels."""
        return self._box

    def __len__(self) -> int:
        """Count the images."""
        return len(self._frame)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the images of the given 0-based rows, float32 of shape (len(rows), box, box).

        Raises
        ------
        InputError
            If a stack has become shorter since it was checked.
        IndexError
            If a row is out of range.
        """
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of {len(self)} images")
        images = np.empty((len(rows), self._box, self._box), np.float32)
        stack, frame = self._stack_index[rows], self._frame[rows]
        # In file order; equal frames (the same image twice) stay separate runs.
        order = np.lexsort((frame, stack))
        for which in np.unique(stack):
            of_stack = order[np.searchsorted(stack[order], which) : np.searchsorted(stack[order], which, "right")]
            with _Descriptor(self._files[which]) as descriptor:
                for run in _runs(of_stack, frame):
                    self._read_run(descriptor, self._headers[which], int(frame[run[0]]), run, images)
        if self._invert:
            np.negative(images, out=images)
        if self._to_correct:
            self._correct(rows, images)
        return images

    def _correct(self, rows: NDArray[np.int64], images: NDArray[np.float32]) -> None:
        """Correct images for the magnification of their optics group, in place; identities leave their images alone."""
        group = self._particles.optics_index[rows]
        group[~usable(images)] = -1  # to be told from good ones, they stay as they are
        for wanted, matrix in self._to_correct:
            chosen = np.flatnonzero(group == wanted)
            if (matrix == np.eye(2)).all():
                continue
            for start in range(0, len(chosen), TILE):
                some = chosen[start : start + TILE]
                images[some] = correct_magnification(images[some], matrix)

    def _read_run(
        self, descriptor: int, header: MrcHeader, frame: int, places: NDArray[np.int64], images: NDArray[np.float32]
    ) -> None:
        """Read consecutive frames into the given places of ``images``."""
        offset, consecutive = header.offset + frame * header.image_bytes, bool((np.diff(places) == 1).all())
        if header.dtype == np.float32 and consecutive:
            target = images[places[0] : places[0] + len(places)]
            _read_exactly(descriptor, target, offset, header)
            return
        step = max(1, _CONVERT_BYTES // header.image_bytes)
        for start in range(0, len(places), step):
            some = places[start : start + step]
            raw = np.empty((len(some), header.ny, header.nx), header.dtype)
            _read_exactly(descriptor, raw, offset + start * header.image_bytes, header)
            images[some] = raw

    def _common_box(self) -> int:
        for header in self._headers:
            if header.nx != header.ny:
                raise InputError("images are not square", path=header.path, value=f"{header.nx} x {header.ny}")
        boxes = sorted({header.nx for header in self._headers})
        if len(boxes) > 1:
            listed = " and ".join(str(box) for box in boxes)
            raise InputError(f"images of {listed} px in one set", path=self._particles.path, hint="split it by box")
        return boxes[0] if boxes else 0


class _Descriptor:
    """A file descriptor for positioned reads, closed at the end of the block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._stream = open_file(self._path)
        return self._stream.fileno()

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _runs(places: NDArray[np.int64], frame: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split places, sorted by frame, where the frames are not consecutive."""
    return np.split(places, np.flatnonzero(np.diff(frame[places]) != 1) + 1)


def _read_exactly(descriptor: int, target: NDArray, offset: int, header: MrcHeader) -> None:
    room, done = target.view(np.uint8).data.cast("B"), 0
    while done < len(room):
        count = os.preadv(descriptor, [room[done:]], offset + done)
        if count == 0:
            raise InputError("became shorter while it was read", path=header.path, hint="copy or write the file again")
        done += count


def read_images(header: MrcHeader, path: Path, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Return the images start:stop of one stack whose plain file lies at ``path``, float32 (count, ny, nx)."""
    stop = header.count if stop is None else stop
    raw = np.empty((stop - start, header.ny, header.nx), header.dtype)
    with _Descriptor(path) as descriptor:
        _read_exactly(descriptor, raw, header.offset + start * header.image_bytes, header)
    return raw.astype(np.float32)


def bad_images(images: NDArray[np.float32]) -> list[tuple[int, str]]:
    """List the images that must not be used, as (index, reason): NaN or infinite pixels, or all pixels equal.

    Parameters
    ----------
    images
        Shape (n, L, L).
    """
    if images.size == 0:
        return []
    flat = images.reshape(len(images), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    # min and max carry NaN and infinities through, so that two passes find everything.
    found = []
    for index in np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)) | (low == high)).tolist():
        if np.isfinite(low[index]) and np.isfinite(high[index]):
            found.append((index, f"constant image (all pixels {low[index]:g})"))
        else:
            count = int((~np.isfinite(flat[index])).sum())
            found.append((index, f"{count} pixels are NaN or infinite"))
    return found


def usable(images: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which images (n, L, L) may be used, (n,): those that :func:`bad_images` does not list."""
    good = np.ones(len(images), bool)
    good[[index for index, _ in bad_images(images)]] = False
    return good
