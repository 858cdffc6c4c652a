"""The part function of ``align``: a range of rows in, their poses, sums and aligned images out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import ReferenceAligner
from cryoalign.averaging.ctf_sums import multiply_by_ctf
from cryoalign.averaging.exact_sums import ExactSums
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region, normalise_background
from cryoalign.core.resample import resample
from cryoalign.core.search import SearchResult, mirror_images
from cryoalign.core.tiles import TILE
from cryoalign.io.stack_writer import StackWriter
from cryoalign.io.stacks import bad_images
from cryoalign.jobs.align_plan import AlignPlan, aligners
from cryoalign.jobs.parts import PartRange

FLAGS = {
    1: "at the limit of the search",
    2: "no better than another pose or class (margin below 1 % of the score)",
    4: "no positive correlation with any reference",
}
"""Bits of cryoalignFlag."""

REASONS = {0: "", 1: "NaN or infinite", 2: "constant image"}

COLUMNS = {
    "psi": np.float64, "dx": np.float64, "dy": np.float64, "mirror": np.bool_, "reference": np.int32,
    "score": np.float64, "margin": np.float64, "psi_error": np.float64, "shift_error": np.float64,
    "scale": np.float64, "flag": np.int32, "skipped": np.int8,
}  # fmt: skip
"""What a part knows of each of its rows, and the types; the merge joins the same ones."""


@dataclass(eq=False)
class PartOutputs:
    """Where a part writes pixels, one entry per geometry; empty where none are wanted."""

    aligned: list[StackWriter] = field(default_factory=list)
    flipped: list[StackWriter] = field(default_factory=list)
    ctf_weighted_sums: bool = False
    averages: bool = True


class AlignPart:
    """The part function with what it needs; threads keep buffers of their own.

    Parameters
    ----------
    plan
        The plan.
    outputs
        Where pixels go.
    """

    def __init__(self, plan: AlignPlan, outputs: PartOutputs) -> None:
        self.plan = plan
        self.outputs = outputs
        self._local = threading.local()

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Align rows ``part.start`` .. ``part.stop`` and return the part's arrays.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        plan = self.plan
        if not hasattr(self._local, "aligners"):
            self._local.aligners = aligners(plan)
        columns = {name: np.zeros(len(part), dtype) for name, dtype in COLUMNS.items()}
        m = len(plan.references)
        weighted = self.outputs.ctf_weighted_sums
        sums = [ExactSums(m, g.box, g.sum_scale) for g in plan.geometries]
        ctf_sums = [ExactSums(m, g.box, g.sum_scale) for g in plan.geometries] if weighted else []
        ctf_power = [np.zeros((m, g.box // 2 + 1), np.int64) for g in plan.geometries] if weighted else []
        for start in range(part.start, part.stop, TILE):
            rows = np.arange(start, min(start + TILE, part.stop))
            for g in np.unique(plan.geometry_of[rows]):
                self._tile(int(g), rows, part.start, columns, sums, ctf_sums, ctf_power)
        arrays: dict[str, NDArray] = dict(columns)
        for g, geometry_sums in enumerate(sums):
            arrays |= {f"{name}_{g}": value for name, value in geometry_sums.pack().items()}
        for g, geometry_sums in enumerate(ctf_sums):
            arrays |= {f"ctf_{name}_{g}": value for name, value in geometry_sums.pack().items()}
            arrays[f"ctf_power_{g}"] = ctf_power[g]
        return arrays

    def _tile(self, g, rows, first, columns, sums, ctf_sums, ctf_power):  # type: ignore[no-untyped-def]
        plan, geometry = self.plan, self.plan.geometries[g]
        mine = plan.geometry_of[rows] == g
        images = np.zeros((len(rows), geometry.box, geometry.box), np.float32)
        images[mine] = geometry.source.read(plan.place_in[rows[mine]])
        valid = mine.copy()
        for index, reason in bad_images(images[mine]):
            position = int(np.flatnonzero(mine)[index])
            self._refuse_or_skip(int(rows[position]), reason)
            valid[position] = False
            columns["skipped"][rows[position] - first] = _reason_code(reason)
        images[~valid] = 0.0
        aligner: ReferenceAligner = self._local.aligners[g]
        result = aligner.align(images, plan.tile_inputs(rows, valid))
        at = rows[valid] - first
        for name, value in _columns_of(result).items():
            columns[name][at] = value[valid]
        self._pixels(g, rows, valid, mine, images, result, sums, ctf_sums, ctf_power)

    def _pixels(self, g, rows, valid, mine, images, result, sums, ctf_sums, ctf_power):  # type: ignore[no-untyped-def]
        """Sum and write the aligned images of one tile."""
        plan, p = self.plan, self.plan.parameters
        geometry = plan.geometries[g]
        classes = np.where(valid, result.reference, -1)
        place = plan.place_in[rows]
        prepared = images
        if p.normalize:
            prepared = images.copy()
            region = background_region(geometry.box, geometry.mask_diameter_px)
            prepared[valid] = normalise_background(images[valid], region)
        if self.outputs.averages or self.outputs.aligned:
            aligned = resample(prepared, result.poses, interpolation=p.interpolation, edge=p.resolved_edge)
            aligned[~valid] = 0.0
            sums[g].add(aligned, classes)
            if self.outputs.aligned:
                _write(self.outputs.aligned[g], place[mine], aligned[mine])
        if self.outputs.flipped:
            flipped = np.where(result.poses.mirror[:, None, None], mirror_images(images), images)
            _write(self.outputs.flipped[g], place[mine], flipped[mine])
        if ctf_sums:
            ctf = None if plan.ctf is None else plan.ctf.take(rows)
            weighted, power = multiply_by_ctf(prepared, ctf, geometry.pixel_size_angstrom)
            ctf_sums[g].add(resample(weighted, result.poses), classes)
            np.add.at(ctf_power[g], classes[valid], power[valid])

    def _refuse_or_skip(self, row: int, reason: str) -> None:
        if self.plan.parameters.on_bad_image == "error":
            path, file_row = self.plan.particles.where(row)
            raise InputError(
                f"this image cannot be used: {reason}",
                path=path,
                row=file_row,
                value=self.plan.particles.image_names()[row],
                hint="--on-bad-image skip leaves such images out",
            )


def _reason_code(reason: str) -> int:
    for code, words in REASONS.items():
        if words and words in reason:
            return code
    raise ValueError(f"an unknown reason to skip an image: {reason}")


def _columns_of(result: SearchResult) -> dict[str, NDArray]:
    flag = result.at_limit * 1 + (result.margin < 0.01 * np.abs(result.score)) * 2 + (result.score <= 0) * 4
    return {
        "psi": result.poses.psi, "dx": result.poses.dx, "dy": result.poses.dy, "mirror": result.poses.mirror,
        "reference": result.reference, "score": result.score, "margin": result.margin,
        "psi_error": result.psi_error_deg, "shift_error": result.shift_error_px, "scale": result.scale, "flag": flag,
    }  # fmt: skip


def _write(writer: StackWriter, place: NDArray[np.int64], images: NDArray[np.float32]) -> None:
    """Write images to their places, a run of neighbours at a time."""
    breaks = np.flatnonzero(np.diff(place) != 1) + 1
    for run in np.split(np.arange(len(place)), breaks):
        if len(run):
            writer.write(int(place[run[0]]), images[run])
