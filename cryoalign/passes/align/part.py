"""The part function of ``align``: a range of rows in, their poses, sums and aligned images out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.by_measure import MeasureAligner, MeasuredResult
from cryoalign.alignment.to_references import ReferenceAligner
from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.core.masks import background_region, normalise_background
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.search import SearchResult, mirror_images
from cryoalign.core.tiles import TILE
from cryoalign.io.magnification import poses_as_written
from cryoalign.io.stack_writer import StackWriter
from cryoalign.io.stacks import bad_images
from cryoalign.passes.align import guard as align_guard
from cryoalign.passes.align.guard import Guard, GuardPlan
from cryoalign.passes.align.plan import aligners
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.bad_rows import reason_code, unusable_image
from cryoalign.run.parts import PartRange

FLAGS = {
    1: "at the limit of the search",
    2: "no better than another pose or class (margin below 1 % of the score)",
    4: "no positive correlation with any reference",
}
"""Bits of cryoalignFlag."""

COLUMNS = {
    "psi": np.float64, "dx": np.float64, "dy": np.float64, "mirror": np.bool_, "reference": np.int32,
    "score": np.float64, "margin": np.float64, "psi_error": np.float64, "shift_error": np.float64,
    "scale": np.float64, "flag": np.int32, "skipped": np.int8, "value": np.float64,
}  # fmt: skip
"""What a part knows of each of its rows, and the types; the merge joins the same ones."""


@dataclass(eq=False)
class PartOutputs:
    """Where a part writes pixels, one entry per geometry; empty where none are wanted."""

    aligned: list[StackWriter] = field(default_factory=list)
    flipped: list[StackWriter] = field(default_factory=list)


def sum_settings(plan: AlignPlan, g: int) -> SumSettings:
    """Return how the particles of a geometry are summed: two cells for each class, at the references' geometry."""
    p, geometry = plan.parameters, plan.geometries[g]
    return SumSettings(
        box=geometry.box, pixel_size_angstrom=geometry.pixel_size_angstrom, out_box=plan.references.shape[-1],
        out_pixel_size_angstrom=plan.reference_pixel_size, n_cells=2 * len(plan.references), scale=geometry.sum_scale,
        treatment="wiener", interpolation=p.interpolation, edge=p.resolved_edge,
        intact_first_peak=p.ctf_intact_first_peak,
        normalize_diameter_px=geometry.mask_diameter_px if p.normalize else None,
    )  # fmt: skip


class AlignPart:
    """The part function with what it needs; threads keep buffers of their own.

    Parameters
    ----------
    plan
        The plan.
    outputs
        Where pixels go.
    guard
        What the guard needs; None = no guard in this round.
    """

    def __init__(self, plan: AlignPlan, outputs: PartOutputs, guard: GuardPlan | None = None) -> None:
        self.plan = plan
        self.outputs = outputs
        self.guard = guard
        self._local = threading.local()

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Align the rows at positions ``part.start`` .. ``part.stop`` of the plan's order and return their arrays.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        plan, mine = self.plan, self._local
        if not hasattr(mine, "aligners"):
            mine.aligners = aligners(plan)
            mine.guard = None if self.guard is None else Guard(plan, self.guard)
        columns = {name: np.zeros(len(part), dtype) for name, dtype in COLUMNS.items()}
        if self.guard is not None:
            columns |= {name: np.zeros(len(part), dtype) for name, dtype in align_guard.COLUMNS.items()}
            columns["guard_reference"][:] = -1
        sums = [ClassSums(sum_settings(plan, g)) for g in range(len(plan.geometries))]
        arm_of = plan.arm_of
        for start in range(part.start, part.stop, TILE):
            rows = plan.order[start : min(start + TILE, part.stop)]
            here = {name: column[start - part.start :][: len(rows)] for name, column in columns.items()}
            for g in np.unique(plan.geometry_of[rows]):
                mask = plan.geometry_of[rows] == g
                images, valid = self._read(int(g), rows, mask, here)
                for arm in np.unique(arm_of[rows[mask]]):
                    chosen = mask & (arm_of[rows] == arm)
                    self._align(int(g), int(arm), rows, chosen, valid & chosen, images, here, sums[g])
                if mine.guard is not None and mine.guard.looks_at(start):
                    for at, found in mine.guard.judge_tile(int(g), rows, valid, images):
                        for name, values in found.items():
                            here[name][at] = values
        arrays: dict[str, NDArray] = dict(columns)
        for g, geometry_sums in enumerate(sums):
            arrays |= geometry_sums.pack(f"sums_{g}_")
        return arrays

    def _read(self, g, rows, mask, here):  # type: ignore[no-untyped-def]
        """Read the images of one geometry in a tile, each in its slot, and tell which can be used."""
        plan, geometry = self.plan, self.plan.geometries[g]
        images = np.zeros((len(rows), geometry.box, geometry.box), np.float32)
        images[mask] = geometry.source.read(plan.place_in[rows[mask]])
        valid = mask.copy()
        for index, reason in bad_images(images[mask]):
            position = int(np.flatnonzero(mask)[index])
            if plan.parameters.on_bad_image == "error":
                raise unusable_image(plan.particles, int(rows[position]), reason)
            valid[position] = False
            here["skipped"][position] = reason_code(reason)
        images[~valid] = 0.0
        return images, valid

    def _align(self, g, arm, rows, mask, valid, images, here, sums):  # type: ignore[no-untyped-def]
        """Align the images of one geometry and arm in a tile, sum them and write them."""
        plan, p = self.plan, self.plan.parameters
        geometry = plan.geometries[g]
        aligner: ReferenceAligner | MeasureAligner = self._local.aligners[g][arm]
        result = aligner.align(images, plan.tile_inputs(rows, valid))
        # Averages and stacks are made with the poses that the file will hold, so that files give them back.
        result = replace(result, poses=poses_as_written(plan.particles, result.poses, rows))
        for name, value in _columns_of(result, any_contrast=p.any_contrast).items():
            here[name][valid] = value[valid]
        at = np.flatnonzero(valid)
        poses, place = result.poses.take(at), plan.place_in[rows]
        cells = 2 * result.reference[at].astype(np.int64) + plan.half[rows[at]]
        summed = sums.add(images[at], poses, cells, None if plan.ctf is None else plan.ctf.take(rows[at]))
        if self.outputs.aligned:
            aligned = np.zeros_like(images)
            if plan.ctf is None:
                aligned[at] = summed  # nothing was done to them but what the stack wants
            else:
                prepared = images[at]
                if p.normalize:
                    region = background_region(geometry.box, geometry.mask_diameter_px)
                    prepared = normalise_background(prepared, region)
                aligned[at] = resample(prepared, poses, interpolation=p.interpolation, edge=p.resolved_edge)
            _write(self.outputs.aligned[g], place[mask], aligned[mask])
        if self.outputs.flipped:
            flipped = np.where(result.poses.mirror[:, None, None], mirror_images(images), images)
            _write(self.outputs.flipped[g], place[mask], flipped[mask])


def _columns_of(result: SearchResult, *, any_contrast: bool) -> dict[str, NDArray]:
    # A margin is in the units of what it was found by.
    value = result.value if isinstance(result, MeasuredResult) else result.score
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
