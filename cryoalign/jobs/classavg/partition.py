"""Every particle in one class: aligned exactly, without mirror, to the averages of views and to their mirror images.

RELION knows no mirrors, so a mirrored view is a class of its own. Classes that nobody, or too few, belong to are taken
away and their particles aligned to what is left; the others are numbered anew. Averages are made from the raw pixels of
exactly the rows of each class, by the code of ``average``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.filters import apply_ring_gain
from cryoalign.core.poses import Poses
from cryoalign.core.search.search import SearchResult, mirror_images
from cryoalign.core.tiles import TILE
from cryoalign.io.magnification import poses_as_written
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.align.plan import aligners, plan_align, thread_bytes, with_references
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.average.members import Memberships
from cryoalign.passes.average.passes import AverageResult, Passes
from cryoalign.passes.average.plan import AveragePlan, plan_average
from cryoalign.run.cpus import threads_within
from cryoalign.run.parts import PartRange, plan_parts, run_parts
from cryoalign.run.rundir import RunDirectory
from cryoalign.run.runlog import progress

_COLUMNS = {
    "psi": np.float64, "dx": np.float64, "dy": np.float64, "reference": np.int64, "score": np.float64,
    "margin": np.float64, "psi_error": np.float64, "shift_error": np.float64,
}  # fmt: skip
_PART_ROWS = 512


@dataclass(frozen=True, eq=False)
class Partition:
    """n particles in m classes.

    Parameters
    ----------
    rows
        0-based particle rows that have a class, ascending, (k,).
    class_of
        0-based class of each of them, (k,).
    poses
        Of each, in pixels of the particle, never mirrored, as the file holds them.
    score, margin, psi_error_deg, shift_error_px
        As :class:`cryoalign.core.search.search.SearchResult`, (k,).
    view, mirrored
        0-based view of each class, and whether it is its mirror image, (m,).
    found
        The averages of the classes.
    """

    rows: NDArray[np.int64]
    class_of: NDArray[np.int64]
    poses: Poses
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    psi_error_deg: NDArray[np.float64]
    shift_error_px: NDArray[np.float64]
    view: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    found: AverageResult

    def __len__(self) -> int:
        """Count the classes."""
        return len(self.view)


def make_partition(
    views: AverageResult,
    chosen: NDArray[np.integer],
    run: RunDirectory,
    *,
    rows: NDArray[np.integer],
    centre_px: NDArray[np.floating],
    max_shift_px: float,
    band_ring: int,
    min_class_size: int = 1,
    whiten: bool = True,
) -> Partition:
    """Put every usable particle into one class.

    Parameters
    ----------
    views
        The averages of views.
    chosen
        Those of them (0-based classes) that are references: all, or a covering set where every particle has one.
    run
        The run directory.
    rows
        0-based particle rows that can be used, (k,).
    centre_px
        Synchronised shift of each of them in pixels of the particle, round which is searched, (k, 2).
    max_shift_px
        How far from there, in pixels of the averages.
    band_ring
        References are used up to this ring of the averages: the band in which views were found, so that the halves of
        a class share nothing beyond it.
    min_class_size
        Smaller classes are taken away.
    whiten
        Weight the score by the noise spectrum.
    """
    plan = views.plan
    rows = np.asarray(rows, np.int64)
    images = views.averages.averages[np.asarray(chosen, np.int64)]
    references = np.concatenate([images, mirror_images(images)])
    references = apply_ring_gain(references, (np.arange(plan.out_box // 2 + 1) <= band_ring).astype(np.float64))
    centres = np.zeros((len(plan.particles), 2))
    centres[rows] = centre_px
    with run.stage("plan partition"):
        aligning = replace(
            plan_align(
                _align_parameters(plan, max_shift_px, whiten), plan.particles, references, plan.out_pixel_size,
                scratch=run.scratch("unpacked"), warn=lambda text: None,
            ),
            origin=centres,
        )  # fmt: skip
    usable = np.zeros(len(plan.particles), bool)
    usable[rows] = True
    kept = np.arange(len(references))
    answers = _aligned(aligning, usable, run, "partition-001")
    for again in range(2, len(references) + 1):
        counts = np.bincount(answers["reference"][usable], minlength=len(kept))
        large = counts >= max(min_class_size, 1)
        if large.all() or not large.any():
            break
        orphans = usable & ~large[answers["reference"]]
        kept = kept[large]
        answers["reference"] = (np.cumsum(large) - 1)[answers["reference"]]
        if orphans.any():
            left = with_references(aligning, references[kept][None])
            found = _aligned(left, orphans, run, f"partition-{again:03d}")
            for name, values in answers.items():
                values[orphans] = found[name][orphans]
    return _with_averages(plan, answers, rows, kept, len(images), np.asarray(chosen, np.int64), run)


def _with_averages(
    plan: AveragePlan,
    answers: dict[str, NDArray],
    rows: NDArray[np.int64],
    kept: NDArray[np.int64],
    n_views: int,
    chosen: NDArray[np.int64],
    run: RunDirectory,
) -> Partition:
    rows = np.sort(rows)
    poses = Poses(answers["psi"][rows], answers["dx"][rows], answers["dy"][rows])
    poses = poses_as_written(plan.particles, poses, rows)
    classes = answers["reference"][rows]
    score = answers["score"][rows]
    memberships = Memberships(
        rows, np.arange(len(rows)), classes, poses, None, score, np.arange(1, len(kept) + 1), None, None,
        shared_angstrom=plan.members.shared_angstrom,
    )  # fmt: skip
    parameters = replace(plan.parameters, recenter=False)
    again = plan_average(
        parameters, plan.particles, memberships, scratch=run.scratch("unpacked"), warn=lambda text: None
    )
    found = Passes(run, merge_only=False).averages(again, "partition")
    assert found is not None
    return Partition(
        rows, classes, poses, score, answers["margin"][rows], answers["psi_error"][rows], answers["shift_error"][rows],
        chosen[kept % n_views], kept >= n_views, found,
    )  # fmt: skip


def _align_parameters(plan: AveragePlan, max_shift_px: float, whiten: bool) -> AlignParameters:
    p = plan.parameters
    return AlignParameters(
        inputs=p.inputs, output=p.output, reference=p.output / "averages.mrcs", guard=False, write_stack=False,
        mask_diameter=plan.mask_diameter_angstrom, ctf=not p.plain, ctf_intact_first_peak=p.ctf_intact_first_peak,
        whiten=whiten, max_shift_px=max_shift_px, invert=p.invert, apply_mag_matrix=p.apply_mag_matrix,
        resize_reference=True, threads=p.threads, memory=p.memory, block_size=p.block_size,
        on_bad_image=p.on_bad_image,
    )  # fmt: skip


def _aligned(plan: AlignPlan, usable: NDArray[np.bool_], run: RunDirectory, name: str) -> dict[str, NDArray]:
    """Align some rows and return the columns of all, zeros elsewhere."""
    ranges = plan_parts(len(plan.particles), plan.parameters.block_size or _PART_ROWS)
    store = run.parts(name)
    p, total = plan.parameters, int(usable.sum())
    with run.stage("partition"), progress(run.log, "partition", total, verbosity=run.verbosity) as counter:
        run_parts(
            ranges,
            _PartitionPart(plan, usable),
            store,
            workers=threads_within(p.threads, p.memory, thread_bytes(plan), run.warn),
            on_done=lambda part: counter.update(int(usable[part.start : part.stop].sum())),
            should_stop=run.aborted,
        )
    columns = {label: np.zeros(len(usable), dtype) for label, dtype in _COLUMNS.items()}
    for part, arrays in store.load_all(ranges):
        for label, values in arrays.items():
            columns[label][part.start : part.stop] = values
    return columns


class _PartitionPart:
    """The part function: rows in, poses and references out; threads keep buffers of their own."""

    def __init__(self, plan: AlignPlan, usable: NDArray[np.bool_]) -> None:
        self.plan, self.usable = plan, usable
        self._local = threading.local()

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Align the usable rows from ``part.start`` to ``part.stop``."""
        plan = self.plan
        if not hasattr(self._local, "aligners"):
            self._local.aligners = aligners(plan)
        columns = {label: np.zeros(len(part), dtype) for label, dtype in _COLUMNS.items()}
        for start in range(part.start, part.stop, TILE):
            rows = np.arange(start, min(start + TILE, part.stop))
            for g in np.unique(plan.geometry_of[rows]):
                valid = self.usable[rows] & (plan.geometry_of[rows] == g)
                if not valid.any():
                    continue
                geometry = plan.geometries[g]
                images = np.zeros((len(rows), geometry.box, geometry.box), np.float32)
                images[valid] = geometry.source.read(plan.place_in[rows[valid]])
                result = self._local.aligners[g][0].align(images, plan.tile_inputs(rows, valid))
                for label, values in _columns_of(result).items():
                    columns[label][start - part.start :][: len(rows)][valid] = values[valid]
        return columns


def _columns_of(result: SearchResult) -> dict[str, NDArray]:
    return {
        "psi": result.poses.psi, "dx": result.poses.dx, "dy": result.poses.dy, "reference": result.reference,
        "score": result.score, "margin": result.margin, "psi_error": result.psi_error_deg,
        "shift_error": result.shift_error_px,
    }  # fmt: skip
