"""Passes of averages over the particles, each in parts that are kept until the commit, and what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.intensity import Intensities
from cryoalign.passes.average.merge import MergedSums, averages_of, merge_sums
from cryoalign.passes.average.part import SumPart
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.average.robust import RobustPart, class_ranges, merge_robust
from cryoalign.passes.bad_rows import LOOK
from cryoalign.passes.reading import stacks_of
from cryoalign.runs.parts import PartRange, PartStore, plan_parts
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import Work, do_parts


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

    @property
    def look(self) -> NDArray:
        """What reading found of the image of each row, ``LOOK`` (n,)."""
        look = np.zeros(len(self.plan.particles), LOOK)
        look[self.plan.members.particle] = self.sums.look
        return look

    def without_halves(self) -> AverageResult:
        """Return the same without the halves' images, which are twice as large as all averages."""
        none = np.zeros((2, 0, *self.averages.halves.shape[2:]), np.float32)
        return replace(self, averages=replace(self.averages, halves=none))


class Passes:
    """Passes over the particles: each in parts of its own, kept until the run is committed."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    def averages(self, plan: AveragePlan, name: str) -> AverageResult | None:
        """Add up and finish averages; None where this task of a job array is not all of it."""
        if plan.settings.robust is not None:
            store, ranges = f"{name}-robust", class_ranges(plan)
            work = RobustPart(plan, self.run.scratch("classes"))
            if not self._do(plan, work, ranges, store, "averaging", work.members_of, count=work.count_members):
                return None
            with self.run.stage("merge"):
                sums, averages = merge_robust(plan, self.run.parts(store), ranges)
            return AverageResult(plan, sums, averages)
        store, ranges = self._name(plan, name), plan_parts(len(plan.members), plan.part_rows)
        if not self._do(plan, SumPart(plan), ranges, store, "averaging", plan.members_of):
            return None
        with self.run.stage("merge"):
            sums = merge_sums(plan, self.run.parts(store), ranges)
            return AverageResult(plan, sums, averages_of(plan, sums, self.run.scratch("halves")))

    def second(self, plan: AveragePlan, name: str, work: Work) -> tuple[PartStore, list[PartRange]]:
        """Do a second pass, and say where its parts are."""
        store, ranges = self._name(plan, name), plan_parts(len(plan.members), plan.part_rows)
        self._do(plan, work, ranges, store, name, plan.members_of)
        return self.run.parts(store), ranges

    def _do(
        self, plan: AveragePlan, work: Work, ranges: list[PartRange], store: str, words: str,
        members_of: Callable[[PartRange], NDArray[np.int64]], count: Callable[[PartRange], int] = len,
    ) -> bool:  # fmt: skip
        def stacks(part: PartRange) -> list[Path]:
            return stacks_of(plan.particles, plan.members.particle[members_of(part)])

        return do_parts(
            self.run, work, ranges, store=store, words=words, worker_bytes=plan.thread_bytes, rows=count, inputs=stacks
        )

    @staticmethod
    def _name(plan: AveragePlan, name: str) -> str:
        # The order of the work depends on --memory, and parts of one order mean nothing in the other.
        return f"{name}-{f'by-{plan.classes_per_block}-classes' if plan.by_class else 'by-row'}"
