"""The part function of the preparation: a range of rows in, their prepared images written; out what was unusable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.ctf import ctf_values
from cryoalign.core.filters import reframe
from cryoalign.core.masks import background_statistics
from cryoalign.core.white_crop import cropped_frequencies, white_crop
from cryoalign.io.stack_writer import StackPlace, StackWriter
from cryoalign.passes.bad_rows import LOOK
from cryoalign.passes.prepare.plan import PreparedGeometry, PreparePlan
from cryoalign.runs.parts import PartRange
from cryoalign.runs.work import PartFunction

_WEAK_CTF = 0.05
"""Images that were multiplied by their CTF are divided by it again, but by no less than this."""


@dataclass(frozen=True, eq=False)
class PrepareWork:
    """The work of the preparation.

    Parameters
    ----------
    plan
        The plan.
    place
        A stack of (n, plan.box, plan.box) that takes the prepared images; those of bad rows are 0.
    """

    plan: PreparePlan
    place: StackPlace

    @contextmanager
    def open(self) -> Iterator[PartFunction]:
        """Enter the part function, with the stack open."""
        with self.place.open() as writer:
            yield lambda part: self._prepare(part, writer)

    def _prepare(self, part: PartRange, writer: StackWriter) -> dict[str, NDArray]:
        """Prepare the rows of a part.

        Returns
        -------
        dict
            look: what reading found of each image, ``LOOK``; digest: of the pixels of each usable image, uint64.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        look, digest = np.zeros(len(part), LOOK), np.zeros(len(part), np.uint64)
        for start, prepared in prepared_tiles(self.plan, part.start, part.stop, look, digest):
            writer.write(start, prepared)
        return {"look": look, "digest": digest}


def prepared_tiles(
    plan: PreparePlan, start: int, stop: int, look: NDArray, digest: NDArray[np.uint64]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first row of each tile, and its prepared images; those that cannot be used are 0.

    Parameters
    ----------
    plan, start, stop
        The plan, and the rows that are wanted.
    look, digest
        For each row, filled here: what is seen of its image, ``LOOK``, and the digest of its pixels.
    """
    rows = np.arange(start, stop)
    for where, tiles in plan.images.tiles(rows, look):
        prepared = np.zeros((where.stop - where.start, plan.box, plan.box), np.float32)
        for tile in tiles:
            digest[where][tile.at] = [_digest(image) for image in tile.images]
            prepared[tile.at] = prepare_images(plan, plan.geometries[tile.g], tile.rows, tile.images)
        yield start + where.start, prepared


def prepare_images(
    plan: PreparePlan, geometry: PreparedGeometry, rows: NDArray[np.int64], images: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Whiten images of one geometry, undo the CTF's sign, and crop them.

    Parameters
    ----------
    plan, geometry
        The plan, and the geometry of the images.
    rows
        0-based rows of the particle table, (m,).
    images
        As read, float32 (m, box, box), all usable.

    Returns
    -------
    NDArray
        float32 (m, plan.box, plan.box); noise has variance 1 per pixel. An image's result does not depend on its
        neighbours.
    """
    level, _ = background_statistics(images, geometry.outside)
    images = images - level[:, None, None].astype(np.float32)
    if geometry.frame == geometry.box:
        return white_crop(images, plan.box, _gains(plan, geometry, rows, plan.box))
    white = white_crop(images, geometry.box, _gains(plan, geometry, rows, geometry.box))
    return white_crop(reframe(white, geometry.frame, np.zeros(len(white))), plan.box, None)


def _gains(plan: PreparePlan, geometry: PreparedGeometry, rows: NDArray[np.int64], new_box: int) -> NDArray[np.float32]:
    """Return what transforms are multiplied by, whitening gains with the CTF's signs: (m, K, new_box // 2 + 1)."""
    ky, kx = cropped_frequencies(geometry.box, new_box)
    ring = np.minimum(np.floor(np.hypot(ky, kx) + 0.5).astype(np.int64), geometry.box // 2)
    gains = geometry.gain[plan.images.noise_group_of[rows]][:, ring].astype(np.float32)
    if plan.ctf is None:
        return gains
    ctf, length = plan.ctf.take(rows), geometry.box * geometry.pixel_size_angstrom
    values = ctf_values(
        ctf, kx.ravel() / length, ky.ravel() / length, intact_first_peak=plan.settings.ctf_intact_first_peak,
        dtype=np.float32,
    ).reshape(gains.shape)  # fmt: skip
    signs = np.copysign(np.float32(1.0), values)
    signs[ctf.phase_flipped] = 1.0
    # C F divided by |C| is the flipped F again, with noise as white as it was.
    undo = ctf.premultiplied
    signs[undo] = 1.0 / np.maximum(np.abs(values[undo]), np.float32(_WEAK_CTF))
    return np.asarray(gains * signs, dtype=np.float32)


def _digest(image: NDArray[np.float32]) -> np.uint64:
    """Return a number that equal images share and others do not: of every fourth line, which noise never repeats."""
    return np.frombuffer(blake2b(np.ascontiguousarray(image[::4]).tobytes(), digest_size=8).digest(), np.uint64)[0]
