"""The part function of ``average``: a range of memberships in, their sums out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_sums import ClassSums
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.core.tiles import TILE
from cryoalign.io.stacks import bad_images
from cryoalign.jobs.average.plan import AveragePlan
from cryoalign.jobs.bad_rows import reason_code, unusable_image
from cryoalign.jobs.parts import PartRange


@dataclass(frozen=True, eq=False)
class MemberTile:
    """Some usable memberships of one geometry, at most 64.

    Parameters
    ----------
    members
        Which memberships, shape (t,).
    images
        Their raw images, (t, box, box).
    poses, ctf, scales
        Theirs; None where there is no CTF or no intensities.
    """

    g: int
    members: NDArray[np.int64]
    images: NDArray[np.float32]
    poses: Poses
    ctf: CtfParameters | None
    scales: NDArray[np.float64] | None


def member_tiles(plan: AveragePlan, members: NDArray[np.int64], skipped: NDArray[np.int8]) -> Iterator[MemberTile]:
    """Read memberships in tiles of one geometry, leaving out what cannot be used.

    Parameters
    ----------
    plan
        The plan.
    members
        Memberships in the order of the work, shape (k,).
    skipped
        Shape (k,); gets the code of the reason where an image is left out.

    Raises
    ------
    InputError
        For an image that cannot be used, where such images are errors.
    """
    for start in range(0, len(members), TILE):
        tile = members[start : start + TILE]
        rows = plan.members.particle[tile]
        geometry = plan.geometry_of[rows]
        for g in np.unique(geometry):
            at = np.flatnonzero(geometry == g)
            images = plan.geometries[g].source.read(plan.place_in[rows[at]])
            good = np.ones(len(at), bool)
            for index, reason in bad_images(images):
                if plan.parameters.on_bad_image == "error":
                    raise unusable_image(plan.particles, int(rows[at[index]]), reason)
                good[index] = False
                skipped[start + at[index]] = reason_code(reason)
            at, images = at[good], images if good.all() else images[good]
            if len(at):
                here = tile[at]
                yield MemberTile(
                    int(g), here, images, plan.members.poses.take(here),
                    None if plan.ctf is None else plan.ctf.take(rows[at]),
                    None if plan.scales is None else plan.scales[here],
                )  # fmt: skip


@contextmanager
def located(plan: AveragePlan, tile: MemberTile) -> Iterator[None]:
    """Turn an error about an image of a tile (1-based row) into one about its row in the input file."""
    try:
        yield
    except InputError as error:
        if error.row is None or error.path is not None:
            raise
        row = int(plan.members.particle[tile.members[error.row - 1]])
        raise plan.particles.located(InputError(error.what, row=row + 1, value=error.value, hint=error.hint)) from None


def add_tile(plan: AveragePlan, tile: MemberTile, cells: NDArray[np.int64], sums: ClassSums) -> None:
    """Add a tile to the sums of its geometry, with weights and intensities where there are some.

    Raises
    ------
    InputError
        If an image cannot be added; names its row in the input file.
    """
    images, weights = tile.images, None
    if plan.members.weight is not None:
        weights = plan.members.weight[tile.members]
    if tile.scales is not None:
        # An image a C G + noise counts as C G + noise / a with the weight a^2.
        images = images / tile.scales[:, None, None].astype(np.float32)
        weights = tile.scales**2 * (1.0 if weights is None else weights)
    with located(plan, tile):
        sums.add(images, tile.poses, cells, tile.ctf, weights)


class SumPart:
    """The part function of the sums.

    Parameters
    ----------
    plan
        The plan.
    """

    def __init__(self, plan: AveragePlan) -> None:
        self.plan = plan

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Add the memberships at positions ``part.start`` .. ``part.stop`` of the plan's order.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        plan = self.plan
        members = plan.order[part.start : part.stop]
        skipped = np.zeros(len(part), np.int8)
        # Cells that are never touched take no memory: parts in the order of classes stay small.
        sums = [ClassSums(plan.sum_settings(g)) for g in range(len(plan.geometries))]
        for tile in member_tiles(plan, members, skipped):
            cells = 2 * plan.members.class_index[tile.members] + plan.half[plan.members.particle[tile.members]]
            add_tile(plan, tile, cells, sums[tile.g])
        arrays: dict[str, NDArray] = {"skipped": skipped}
        for g, geometry_sums in enumerate(sums):
            arrays |= geometry_sums.pack(f"sums_{g}_")
        return arrays
