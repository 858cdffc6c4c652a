"""Every particle in one class: aligned exactly, without mirror, to the averages of views and to their mirror images.

RELION knows no mirrors, so a mirrored view is a class of its own. Classes that nobody, or too few, belong to are taken
away and their particles aligned to what is left; the others are numbered anew. Averages are made from the raw pixels of
exactly the rows of each class, by the code of ``average``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import Aligner
from cryoalign.core.filters import apply_ring_gain
from cryoalign.core.poses import Poses
from cryoalign.core.search.search import mirror_images
from cryoalign.core.tiles import TILE
from cryoalign.io.magnification import poses_as_written
from cryoalign.jobs.classavg.parameters import ClassavgParameters
from cryoalign.passes.align.part import COLUMNS, columns_of
from cryoalign.passes.align.plan import aligners, plan_align, with_references
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.align.settings import CORE_METRIC, AlignSettings
from cryoalign.passes.average.members import Memberships
from cryoalign.passes.average.passes import AverageResult, Passes
from cryoalign.passes.average.plan import AveragePlan, plan_average
from cryoalign.runs.parameters import settings_from
from cryoalign.runs.parts import PartRange, plan_parts
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import PartFunction, do_parts

_COLUMNS = ("psi", "dx", "dy", "reference", "score", "margin", "psi_error", "shift_error")
"""Of those that an alignment knows."""
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
        As :class:`cryoalign.core.search.result.SearchResult`, (k,).
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
    p: ClassavgParameters,
    views: AverageResult,
    chosen: NDArray[np.int64],
    run: RunDirectory,
    *,
    rows: NDArray[np.int64],
    centre_px: NDArray[np.floating],
    max_shift_px: float,
    band_ring: int,
) -> Partition:
    """Put every usable particle into one class.

    Parameters
    ----------
    p
        How particles are compared, and how large a class must be.
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
    """
    plan = views.plan
    images = views.averages.averages[chosen]
    references = np.concatenate([images, mirror_images(images)])
    references = apply_ring_gain(references, (np.arange(plan.out_box // 2 + 1) <= band_ring).astype(np.float64))
    centres = np.zeros((len(plan.particles), 2))
    centres[rows] = centre_px
    with run.stage("plan partition"):
        settings = settings_from(
            AlignSettings, p, metric=CORE_METRIC, mirror=False, ctf=not plan.settings.plain, max_shift_px=max_shift_px,
            resize_reference=True,
        )  # fmt: skip
        aligning = plan_align(
            settings, plan.images, references, plan.out_pixel_size, warn=lambda text: None, origin=centres
        )
    usable = np.zeros(len(plan.particles), bool)
    usable[rows] = True
    kept = np.arange(len(references))
    answers = _aligned(p, aligning, usable, run, "partition-001")
    for again in range(2, len(references) + 1):
        counts = np.bincount(answers["reference"][usable], minlength=len(kept))
        large = counts >= p.min_class_size
        if large.all() or not large.any():
            break
        orphans = usable & ~large[answers["reference"]]
        kept = kept[large]
        answers["reference"] = (np.cumsum(large) - 1)[answers["reference"]]
        if orphans.any():
            left = with_references(aligning, references[kept][None])
            found = _aligned(p, left, orphans, run, f"partition-{again:03d}")
            for name, values in answers.items():
                values[orphans] = found[name][orphans]
    return _with_averages(plan, answers, rows, kept, len(images), chosen, run)


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
    classes = answers["reference"][rows].astype(np.int64)
    score = answers["score"][rows]
    memberships = Memberships(
        rows, np.arange(len(rows)), classes, poses, None, score, np.arange(1, len(kept) + 1), None, None,
        shared_angstrom=plan.members.shared_angstrom,
    )  # fmt: skip
    settings = replace(plan.settings, recenter=False)
    again = plan_average(settings, plan.images, memberships, warn=lambda text: None, most=plan.images.most)
    found = Passes(run).averages(again, "partition")
    assert found is not None
    return Partition(
        rows, classes, poses, score, answers["margin"][rows], answers["psi_error"][rows], answers["shift_error"][rows],
        chosen[kept % n_views], kept >= n_views, found,
    )  # fmt: skip


def _aligned(
    p: ClassavgParameters, plan: AlignPlan, usable: NDArray[np.bool_], run: RunDirectory, name: str
) -> dict[str, NDArray]:
    """Align some rows and return the columns of all, zeros elsewhere."""
    ranges = plan_parts(len(plan.particles), p.block_size or _PART_ROWS)
    do_parts(
        run, _PartitionWork(plan, usable), ranges, store=name, words="partition", worker_bytes=plan.thread_bytes,
        rows=lambda part: int(usable[part.start : part.stop].sum()),
    )  # fmt: skip
    columns: dict[str, NDArray] = {label: np.zeros(len(usable), COLUMNS[label]) for label in _COLUMNS}
    for part, arrays in run.parts(name).load_all(ranges):
        for label, values in arrays.items():
            columns[label][part.start : part.stop] = values
    return columns


@dataclass(frozen=True, eq=False)
class _PartitionWork:
    """The work: rows in, poses and references out."""

    plan: AlignPlan
    usable: NDArray[np.bool_]

    @contextmanager
    def open(self) -> Iterator[PartFunction]:
        """Enter the part function, with aligners of its own."""
        mine = aligners(self.plan)
        yield lambda part: self._align(part, [arms[0] for arms in mine])

    def _align(self, part: PartRange, mine: list[Aligner]) -> dict[str, NDArray]:
        """Align the usable rows from ``part.start`` to ``part.stop``."""
        plan = self.plan
        columns: dict[str, NDArray] = {label: np.zeros(len(part), COLUMNS[label]) for label in _COLUMNS}
        for start in range(part.start, part.stop, TILE):
            rows = np.arange(start, min(start + TILE, part.stop))
            for g in np.unique(plan.geometry_of[rows]):
                valid = self.usable[rows] & (plan.geometry_of[rows] == g)
                if not valid.any():
                    continue
                geometry = plan.geometries[g]
                images = np.zeros((len(rows), geometry.box, geometry.box), np.float32)
                images[valid] = geometry.source.read(plan.place_in[rows[valid]])
                result = mine[g].align(images, plan.tile_inputs(rows, valid))
                found = columns_of(result)
                for label, column in columns.items():
                    column[start - part.start :][: len(rows)][valid] = found[label][valid]
        return columns
