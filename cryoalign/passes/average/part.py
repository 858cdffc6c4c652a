"""The part function of averages: a range of memberships in, their sums out."""

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
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.bad_rows import LOOK
from cryoalign.runs.parts import PartRange
from cryoalign.runs.work import PureWork


@dataclass(frozen=True, eq=False)
class MemberTile:
    """Some usable memberships of one geometry, at most 64.

    Parameters
    ----------
    members
        Which memberships, shape (t,).
    distinct
        Images as read, each once, (u, box, box).
    image_of
        Which of them each membership is of, (t,).
    poses, scales
        Of the memberships; None where there are no intensities.
    distinct_ctf
        Of the u images; None where there is no CTF.
    """

    g: int
    members: NDArray[np.int64]
    distinct: NDArray[np.float32]
    image_of: NDArray[np.int64]
    poses: Poses
    distinct_ctf: CtfParameters | None
    scales: NDArray[np.float64] | None

    @property
    def images(self) -> NDArray[np.float32]:
        """Images of the memberships, (t, box, box)."""
        return self.distinct[self.image_of]

    @property
    def ctf(self) -> CtfParameters | None:
        """CTF of the memberships, (t,)."""
        return None if self.distinct_ctf is None else self.distinct_ctf.take(self.image_of)


def member_tiles(plan: AveragePlan, members: NDArray[np.int64], look: NDArray) -> Iterator[MemberTile]:
    """Read memberships in tiles of one geometry, leaving out what cannot be used.

    Parameters
    ----------
    plan
        The plan.
    members
        Memberships in the order of the work, shape (k,).
    look
        ``LOOK`` (k,); gets what is seen of the images.

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
            distinct, image_of = np.unique(rows[at], return_inverse=True)
            images, _, seen = plan.images.read(int(g), distinct)
            look[start + at] = seen[image_of]
            if seen["reason"].any():
                good = seen["reason"] == 0
                kept = good[image_of]
                at, image_of = at[kept], (np.cumsum(good) - 1)[image_of[kept]]
                distinct, images = distinct[good], images[good]
            if len(at):
                here = tile[at]
                yield MemberTile(
                    int(g), here, images, image_of, plan.members.poses.take(here),
                    plan.images.ctf_of(distinct),
                    None if plan.scales is None else plan.scales[here],
                )  # fmt: skip


@contextmanager
def located(plan: AveragePlan, tile: MemberTile, *, distinct: bool = False) -> Iterator[None]:
    """Turn an error about a row (from 1) of a tile's images, or distinct ones, into one about the input file's row."""
    try:
        yield
    except InputError as error:
        if error.row is None or error.path is not None:
            raise
        at = int(np.flatnonzero(tile.image_of == error.row - 1)[0]) if distinct else error.row - 1
        row = int(plan.members.particle[tile.members[at]])
        raise plan.particles.located(InputError(error.what, row=row + 1, value=error.value, hint=error.hint)) from None


def add_tile(plan: AveragePlan, tile: MemberTile, cells: NDArray[np.int64], sums: ClassSums) -> None:
    """Add a tile to the sums of its geometry, with weights and intensities where there are some.

    Raises
    ------
    InputError
        If an image cannot be added; names its row in the input file.
    """
    weights = None
    if plan.members.weight is not None:
        weights = plan.members.weight[tile.members]
    if tile.scales is not None:
        # An image a C G + noise counts as C G + noise / a with the weight a^2.
        images = np.asarray(tile.images / tile.scales[:, None, None].astype(np.float32), np.float32)
        weights = tile.scales**2 * (1.0 if weights is None else weights)
        with located(plan, tile):
            sums.add(images, tile.poses, cells, tile.ctf, weights)
        return
    with located(plan, tile, distinct=True):
        sums.add(tile.distinct, tile.poses, cells, tile.distinct_ctf, weights, tile.image_of)


@dataclass(frozen=True, eq=False)
class SumPart(PureWork):
    """The part function of the sums.

    Parameters
    ----------
    plan
        The plan.
    """

    plan: AveragePlan

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Add the memberships at positions ``part.start`` .. ``part.stop`` of the plan's order.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        plan = self.plan
        members = plan.order[part.start : part.stop]
        look = np.zeros(len(part), LOOK)
        # Cells that are never touched take no memory: parts in the order of classes stay small.
        sums = [ClassSums(plan.sum_settings(g)) for g in range(len(plan.geometries))]
        for tile in member_tiles(plan, members, look):
            cells = 2 * plan.members.class_index[tile.members] + plan.half[plan.members.particle[tile.members]]
            add_tile(plan, tile, cells, sums[tile.g])
        arrays: dict[str, NDArray] = {"look": look}
        for g, geometry_sums in enumerate(sums):
            arrays |= geometry_sums.pack(f"sums_{g}_")
        return arrays
