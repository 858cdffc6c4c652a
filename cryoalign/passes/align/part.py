"""The part function of an alignment: a range of rows in, their poses, sums and aligned images out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cryoalign.averaging.class_sums import ClassSums
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.result import SearchResult
from cryoalign.core.search.search import mirror_images
from cryoalign.io.magnification import poses_as_written
from cryoalign.io.stack_writer import StackPlace, StackWriter
from cryoalign.passes.align import guard as align_guard
from cryoalign.passes.align.guard import Guard, GuardPlan
from cryoalign.passes.align.plan import aligners
from cryoalign.passes.align.planned import AlignPlan, Geometry
from cryoalign.passes.bad_rows import LOOK
from cryoalign.passes.images import ImageTile
from cryoalign.passes.normalised import normalised_or_refused
from cryoalign.runs.parts import PartRange

FLAGS = {
    1: "at the limit of the search",
    2: "no better than another pose or class (margin below 1 % of the score)",
    4: "no positive correlation with any reference",
}
"""Bits of cryoalignFlag."""

COLUMNS: dict[str, DTypeLike] = {
    "psi": np.float64, "dx": np.float64, "dy": np.float64, "mirror": np.bool_, "reference": np.int32,
    "score": np.float64, "margin": np.float64, "psi_error": np.float64, "shift_error": np.float64,
    "scale": np.float64, "flag": np.int32, "look": LOOK, "value": np.float64,
}  # fmt: skip
"""What a part knows of each of its rows, and the types; the merge joins the same ones."""


@dataclass(frozen=True, eq=False)
class PartOutputs:
    """Where a part writes pixels, one stack per geometry; empty where none are wanted."""

    aligned: tuple[StackPlace, ...] = ()
    flipped: tuple[StackPlace, ...] = ()


@dataclass(frozen=True, eq=False)
class AlignWork:
    """The work of one round.

    Parameters
    ----------
    plan
        The plan.
    outputs
        Where pixels go.
    guard
        What the guard needs; None = no guard in this round.
    """

    plan: AlignPlan
    outputs: PartOutputs = field(default_factory=PartOutputs)
    guard: GuardPlan | None = None

    @contextmanager
    def open(self) -> Iterator[AlignPart]:
        """Enter the part function, with aligners and stacks of its own."""
        with ExitStack() as files:
            aligned, flipped = (
                [files.enter_context(place.open()) for place in places]
                for places in (self.outputs.aligned, self.outputs.flipped)
            )
            yield AlignPart(self.plan, self.guard, aligned, flipped)


class AlignPart:
    """The part function of one worker, with its buffers and files."""

    def __init__(
        self, plan: AlignPlan, guard: GuardPlan | None, aligned: list[StackWriter], flipped: list[StackWriter]
    ) -> None:
        self.plan = plan
        self._aligners = aligners(plan)
        self._guard = None if guard is None else Guard(plan, guard)
        self._aligned, self._flipped = aligned, flipped
        self._writes = bool(aligned or flipped)

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Align the rows at positions ``part.start`` .. ``part.stop`` of the plan's order and return their arrays.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        plan = self.plan
        columns: dict[str, NDArray] = {name: np.zeros(len(part), dtype) for name, dtype in COLUMNS.items()}
        if self._guard is not None:
            columns |= {name: np.zeros(len(part), dtype) for name, dtype in align_guard.COLUMNS.items()}
            columns["guard_reference"][:] = -1
        sums = [ClassSums(plan.sum_settings(g)) for g in range(len(plan.geometries))]
        arm_of = plan.arm_of
        every = plan.order[part.start : part.stop]
        for where, tiles in plan.images.tiles(every, columns["look"], raw=self._writes):
            rows = every[where]
            here = {name: column[where] for name, column in columns.items()}
            for tile in tiles:
                images, valid = tile.in_slots(len(rows))
                for arm in np.unique(arm_of[tile.rows]).tolist():
                    self._align(tile, arm, rows, valid & (arm_of[rows] == arm), images, here, sums[tile.g])
                if self._guard is not None and self._guard.looks_at(part.start + where.start):
                    for at, found in self._guard.judge_tile(tile.g, rows, valid, images):
                        for name, values in found.items():
                            here[name][at] = values
        arrays = dict(columns)
        for g, geometry_sums in enumerate(sums):
            arrays |= geometry_sums.pack(f"sums_{g}_")
        return arrays

    def _align(
        self, tile: ImageTile, arm: int, rows: NDArray[np.int64], valid: NDArray[np.bool_],
        images: NDArray[np.float32], here: dict[str, NDArray], sums: ClassSums,
    ) -> None:  # fmt: skip
        """Align the valid images of one arm in a tile, sum them and write them."""
        g, plan, s = tile.g, self.plan, self.plan.settings
        result = self._aligners[g][arm].align(images, plan.tile_inputs(rows, valid))
        # Averages and stacks are made with the poses that the file will hold, so that files give them back.
        result = replace(result, poses=poses_as_written(plan.particles, result.poses, rows))
        for name, value in columns_of(result, any_contrast=s.any_contrast).items():
            here[name][valid] = value[valid]
        at = np.flatnonzero(valid)
        poses, place = result.poses.take(at), plan.place_in[rows[at]]
        cells = 2 * result.reference[at].astype(np.int64) + plan.half[rows[at]]
        summed = sums.add(images[at], poses, cells, plan.images.ctf_of(rows[at]))
        if tile.raw is None:
            return
        raw, geometry = tile.raw[np.searchsorted(tile.at, at)], plan.geometries[g]
        if self._aligned:
            # Where there is no CTF nothing was done to what was summed but what the stack may want.
            same = plan.ctf is None and geometry.normalised == s.normalize_stack
            _write(self._aligned[g], place, summed if same else self._resampled(geometry, images[at], raw, poses))
        if self._flipped:
            _write(self._flipped[g], place, np.where(poses.mirror[:, None, None], mirror_images(raw), raw))

    def _resampled(
        self, geometry: Geometry, images: NDArray[np.float32], raw: NDArray[np.float32], poses: Poses
    ) -> NDArray[np.float32]:
        """Return images for the aligned stack: what is on disk, unless it is to be normalised."""
        s = self.plan.settings
        if not s.normalize_stack:
            images = raw
        elif not geometry.normalised:
            images = normalised_or_refused(raw, geometry.mask_diameter_px)
        return resample(images, poses, interpolation=s.interpolation, edge=s.resolved_edge)


def columns_of(result: SearchResult, *, any_contrast: bool = False) -> dict[str, NDArray]:
    """Return what is known of the images of a tile, by the names of ``COLUMNS``."""
    # A margin is in the units of what it was found by.
    value = getattr(result, "value", result.score)
    uncorrelated = result.score == 0 if any_contrast else result.score <= 0
    flag = result.at_limit * 1 + (result.margin < 0.01 * np.abs(value)) * 2 + uncorrelated * 4
    return {
        "psi": result.poses.psi, "dx": result.poses.dx, "dy": result.poses.dy, "mirror": result.poses.mirror,
        "reference": result.reference, "score": result.score, "margin": result.margin,
        "psi_error": result.psi_error_deg, "shift_error": result.shift_error_px, "scale": result.scale, "flag": flag,
        "value": value,
    }  # fmt: skip


def _write(writer: StackWriter, place: NDArray[np.int64], images: NDArray[np.float32]) -> None:
    """Write images to their places, a run of neighbours at a time."""
    breaks = np.flatnonzero(np.diff(place) != 1) + 1
    for run in np.split(np.arange(len(place)), breaks):
        if len(run):
            writer.write(int(place[run[0]]), images[run])
