"""``average`` from start to finish: read, plan, add in parts, merge, look again where asked to, write, commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages
from cryoalign.averaging.intensity import Intensities
from cryoalign.averaging.recentre import centres_of_mass, recentring_shifts
from cryoalign.core.poses import Poses
from cryoalign.core.tiles import TILE
from cryoalign.io.particles import ParticleSet, read_particles
from cryoalign.jobs.average_members import Memberships, read_memberships
from cryoalign.jobs.average_merge import MergedSums, averages_of, merge_sums
from cryoalign.jobs.average_parameters import AverageParameters
from cryoalign.jobs.average_part import SumPart
from cryoalign.jobs.average_plan import AveragePlan, plan_average, sums_bytes
from cryoalign.jobs.average_robust import RobustPart, class_ranges, merge_robust
from cryoalign.jobs.average_second import (
    IntensityPart,
    VariancePart,
    merge_intensities,
    merge_variance,
    whitening_filters,
)
from cryoalign.jobs.average_tables import write_average_outputs
from cryoalign.jobs.parts import PartRange, plan_parts, run_parts, select_parts
from cryoalign.jobs.rundir import RunDirectory
from cryoalign.jobs.runlog import progress

BASE_MEMORY_BYTES = 150 * 2**20
"""What Python and its libraries take before the first particle."""
CENTRED_PX, CENTRING_ROUNDS = 0.1, 3
"""Averages are made again until their centres of mass lie this close to the centre, but not more often."""


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


def run_average(
    parameters: AverageParameters, *, argv: Sequence[str], verbosity: int = 0, merge_only: bool = False
) -> int:
    """Average particles by class and write a run directory.

    Parameters
    ----------
    parameters
        Every option.
    argv
        The command line as typed, for the record.
    verbosity
        Below 0 quiet, above 0 more.
    merge_only
        Finish a run whose parts are all there.

    Returns
    -------
    int
        Exit status: 0.

    Raises
    ------
    InputError
        For anything the user can mend.
    """
    p = parameters
    with RunDirectory.begin(
        p.output,
        command="average",
        argv=argv,
        parameters=p.to_json(),
        inputs=[*p.inputs, *([] if p.members is None else [p.members])],
        resume=p.resume,
        overwrite=p.overwrite,
        part=p.part,
        seed=p.seed,
        full_digest=p.full_digest,
        verbosity=verbosity,
    ) as run:
        with run.stage("read"):
            particles, members = _read(p, run)
        with run.stage("plan"):
            plan = plan_average(p, particles, members, scratch=run.scratch("unpacked"), warn=run.warn)
            _log_plan(plan, run)
        passes = _Passes(run, merge_only)
        found = passes.averages(plan, "sums")
        if found is None:
            run.leave_partial()
            return 0
        if p.recenter:
            found = _centred(found, passes)
        if p.scale:
            found = _scaled(found, passes)
        if p.variance:
            found = _with_variance(found, passes)
        counts = _counts(found, particles)
        with run.stage("write"):
            nodes = write_average_outputs(found, run, argv, counts)
        run.commit(counts=counts, relion_nodes=nodes)
        return 0


def _read(p: AverageParameters, run: RunDirectory) -> tuple[ParticleSet, Memberships]:
    limit = p.limit if p.members is None else None
    particles = read_particles(p.inputs, datadir=p.datadir, angpix=p.angpix, limit=limit)
    for text in particles.warnings:
        run.warn(text)
    run.add_inputs(particles.stacks)
    run.log.info("read %d particles (%s)", len(particles), particles.dialect)
    members = read_memberships(p, particles, run.warn)
    if members.unweighted:
        run.log.info("%d of weight 0 are left out", members.unweighted)
    return particles, members


def _log_plan(plan: AveragePlan, run: RunDirectory) -> None:
    p = plan.parameters
    words = {"wiener": "weighted, Wiener filter", "flip": "phases only", "plain": "left alone"}[p.treatment]
    run.log.info(
        "%d memberships in %d classes, averages of %d px at %g A, mask %.1f px; CTF %s; %s",
        len(plan.members), plan.n_classes, plan.out_box, plan.out_pixel_size, plan.mask_diameter_px,
        "none" if plan.ctf is None and not p.plain else words,
        "by class, for the sums of all would be large" if plan.by_class else "in the order of the input",
    )  # fmt: skip


class _Passes:
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
            return AverageResult(plan, sums, averages_of(plan, sums))

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
                    workers=self._workers(plan),
                    which=p.part,
                    on_done=lambda part: None if part.index in done else counter.update(rows[part.index]),
                    should_stop=run.aborted,
                )
        return p.part is None or (p.part[1] == 1 and not store.missing())

    @staticmethod
    def _name(plan: AveragePlan, name: str) -> str:
        # The order of the work depends on --memory, and parts of one order mean nothing in the other.
        return f"{name}-{'by-class' if plan.by_class else 'by-row'}"

    def _workers(self, plan: AveragePlan) -> int:
        """Return the threads that fit into --memory; results do not depend on their number."""
        p = plan.parameters
        if p.memory is None:
            return p.threads
        fitting = max(1, int((p.memory - BASE_MEMORY_BYTES) // thread_bytes(plan)))
        if fitting < p.threads:
            self.run.warn(f"--memory leaves room for {fitting} of {p.threads} threads")
        return min(p.threads, fitting)


def thread_bytes(plan: AveragePlan) -> int:
    """Estimate the memory of one thread in bytes: tiles and the sums of a part, twice while they are packed."""
    boxes = [g.box for g in plan.geometries]
    tiles = 12 * 4 * TILE * max(*boxes, plan.out_box) ** 2
    classes = plan.n_classes
    if plan.by_class:
        classes = min(classes, plan.part_rows)
    return tiles + 2 * sums_bytes(classes, plan.out_box, len(boxes))


def _members_of(plan: AveragePlan, part: PartRange, store_name: str) -> int:
    if not store_name.endswith("-robust"):
        return len(part)
    inside = (plan.members.class_index >= part.start) & (plan.members.class_index < part.stop)
    return int(inside.sum())


def _centred(found: AverageResult, passes: _Passes) -> AverageResult:
    """Move the poses of every class so that its centre of mass comes to the centre, and average again."""
    plan = found.plan
    moved = np.zeros((plan.n_classes, 2))
    for again in range(1, CENTRING_ROUNDS + 1):
        step = recentring_shifts(found.averages.averages, plan.mask_diameter_px)
        step[found.averages.counts == 0] = 0.0
        moved += step
        plan = plan.with_poses(recentred_poses(plan, step))
        result = passes.averages(plan, f"centred-{again}")
        assert result is not None
        found = result
        left = np.hypot(*centres_of_mass(found.averages.averages, plan.mask_diameter_px).T)
        left = left[found.averages.counts > 0]
        passes.run.log.info(
            "moved by up to %.2f px; centres of mass lie within %.3f px now", np.hypot(*step.T).max(), left.max()
        )
        if left.max() < CENTRED_PX:
            break
    return replace(found, moved_px=moved)


def recentred_poses(plan: AveragePlan, shift_px: NDArray[np.float64]) -> Poses:
    """Return the poses that bring the point (x, y) of each class to the centre, as a file will hold them.

    Parameters
    ----------
    plan
        The plan.
    shift_px
        Offset (x, y) of each class in pixels of the averages, (m, 2).
    """
    members = plan.members
    pixel = plan.particles.pixel_size_angstrom[members.particle]
    x, y = (shift_px[members.class_index] * (plan.out_pixel_size / pixel)[:, None]).T
    written = members.poses.recentred(x, y).as_written(pixel)
    # Angles stay as they were read: only origins are written anew.
    return Poses(members.poses.psi, written.dx, written.dy, members.poses.mirror)


def _scaled(found: AverageResult, passes: _Passes) -> AverageResult:
    """Estimate intensities against the other half's averages, and average again with them."""
    plan, run = found.plan, passes.run
    good = found.sums.good
    work = IntensityPart(plan, found.sums, found.averages.ssnr_per_image, whitening_filters(plan, good))
    store, ranges = passes.second(plan, "intensities", work, "intensities")
    intensities = merge_intensities(plan, run.parts(store), ranges, good)
    run.log.info(
        "intensities spread by %.3f; one is known to %.3f before it is drawn to 1", intensities.spread,
        intensities.error,
    )  # fmt: skip
    if intensities.spread == 0:
        run.warn("intensities do not differ by more than their errors: all are 1")
    again = passes.averages(replace(plan, scales=intensities.scales), "scaled")
    assert again is not None
    return replace(again, moved_px=found.moved_px, intensities=intensities)


def _with_variance(found: AverageResult, passes: _Passes) -> AverageResult:
    """Add the variance of members round their averages."""
    plan = found.plan
    work = VariancePart(plan, found.averages.averages, whitening_filters(plan, found.sums.good))
    store, ranges = passes.second(plan, "variance", work, "variance")
    return replace(found, variance=merge_variance(plan, passes.run.parts(store), ranges))


def _counts(found: AverageResult, particles: ParticleSet) -> dict[str, int]:
    members = found.plan.members
    averaged = np.unique(members.particle[found.sums.good])
    skipped = np.setdiff1d(members.particle[~found.sums.good], averaged)
    return {
        "read": len(particles),
        "averaged": len(averaged),
        "skipped": len(skipped),
        "not asked for": len(particles) - len(averaged) - len(skipped),
        "memberships": int(found.sums.good.sum()),
        "classes": int((found.averages.counts > 0).sum()),
    }
