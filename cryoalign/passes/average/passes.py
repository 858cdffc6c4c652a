"""Passes of ``average`` over the particles, each in parts that are kept until the commit, and what they found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.intensity import Intensities
from cryoalign.core.tiles import TILE
from cryoalign.passes.average.merge import MergedSums, averages_of, merge_sums
from cryoalign.passes.average.part import SumPart
from cryoalign.passes.average.plan import AveragePlan, sums_bytes
from cryoalign.passes.average.robust import RobustPart, class_ranges, merge_robust
from cryoalign.run.cpus import threads_within
from cryoalign.run.parts import PartRange, plan_parts, run_parts, select_parts
from cryoalign.run.rundir import RunDirectory
from cryoalign.run.runlog import progress


@dataclass(frozen=True, eq=False)
class AverageResult:
    """What a run of averages found.

    Parameters
    ----------
    plan
        The plan of the last pass, with its poses and intensities.
    sums, averages
        Of the last pass.
    moved_px
        By how much each class was moved, (m, 2) in pixels of the averages; None where that was not asked for.
    intensities
        Of each membership; None where not asked for.
    variance
        Map of each class, (m, box, box); None where not asked for.
    """

    plan: AveragePlan
    sums: MergedSums
    averages: ClassAverages
    moved_px: NDArray[np.float64] | None = None
    intensities: Intensities | None = None
    variance: NDArray[np.float32] | None = None

    def without_halves(self) -> AverageResult:
        """Return the same without the halves' images, which are twice as large as all averages."""
        none = np.zeros((2, 0, *self.averages.halves.shape[2:]), np.float32)
        return replace(self, averages=replace(self.averages, halves=none))


class Passes:
    """Passes over the particles: each in parts of its own, kept until the run is committed."""

    def __init__(self, run: RunDirectory, merge_only: bool) -> None:
        self.run, self.merge_only = run, merge_only

    def averages(self, plan: AveragePlan, name: str) -> AverageResult | None:
        """Add up and finish averages; None where this task of a job array is not all of it."""
        if plan.parameters.robust is not None:
            ranges = class_ranges(plan)
            work = RobustPart(plan, self.run.scratch("classes"))
            if not self.work(plan, f"{name}-robust", ranges, work, "averaging"):
                return None
            with self.run.stage("merge"):
                sums, averages = merge_robust(plan, self.run.parts(f"{name}-robust"), ranges)
            return AverageResult(plan, sums, averages)
        store, ranges = self._name(plan, name), plan_parts(len(plan.members), plan.part_rows)
        if not self.work(plan, store, ranges, SumPart(plan), "averaging"):
            return None
        with self.run.stage("merge"):
            sums = merge_sums(plan, self.run.parts(store), ranges)
            return AverageResult(plan, sums, averages_of(plan, sums, self.run.scratch("halves")))

    def second(
        self, plan: AveragePlan, name: str, work: Callable[[PartRange], Mapping[str, NDArray]], words: str
    ) -> tuple[str, list[PartRange]]:
        """Do a second pass, and say where its parts are."""
        store, ranges = self._name(plan, name), plan_parts(len(plan.members), plan.part_rows)
        self.work(plan, store, ranges, work, words)
        return store, ranges

    def work(
        self,
        plan: AveragePlan,
        store_name: str,
        ranges: list[PartRange],
        work: Callable[[PartRange], Mapping[str, NDArray]],
        words: str,
    ) -> bool:
        """Do the parts of one pass; tell whether all of them are there now."""
        run, p = self.run, plan.parameters
        store = run.parts(store_name)
        if not self.merge_only or store.missing() or store.plan() is None:
            mine = select_parts(ranges, p.part)
            done = {part.index for part in mine if store.has(part.index)}
            rows = {part.index: _members_of(plan, part, store_name) for part in mine}
            before = sum(rows[index] for index in done)
            with (
                run.stage(words),
                progress(run.log, words, sum(rows.values()), done=before, verbosity=run.verbosity) as counter,
            ):
                run_parts(
                    ranges,
                    work,
                    store,
                    workers=threads_within(p.threads, p.memory, thread_bytes(plan), run.warn),
                    which=p.part,
                    on_done=lambda part: None if part.index in done else counter.update(rows[part.index]),
                    should_stop=run.aborted,
                )
        return p.part is None or (p.part[1] == 1 and not store.missing())

    @staticmethod
    def _name(plan: AveragePlan, name: str) -> str:
        # The order of the work depends on --memory, and parts of one order mean nothing in the other.
        return f"{name}-{f'by-{plan.classes_per_block}-classes' if plan.by_class else 'by-row'}"


def thread_bytes(plan: AveragePlan) -> int:
    """Estimate the memory of one thread in bytes: tiles and the sums of a part, twice while they are packed."""
    boxes = [g.box for g in plan.geometries]
    tiles = 12 * 4 * TILE * max(*boxes, plan.out_box) ** 2
    # A part may hold the end of one block and the beginning of the next.
    classes = min(plan.n_classes, 2 * plan.classes_per_block)
    return tiles + 2 * sums_bytes(classes, plan.out_box, len(boxes))


def _members_of(plan: AveragePlan, part: PartRange, store_name: str) -> int:
    if not store_name.endswith("-robust"):
        return len(part)
    inside = (plan.members.class_index >= part.start) & (plan.members.class_index < part.stop)
    return int(inside.sum())
