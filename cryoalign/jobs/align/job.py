"""``align`` from start to finish: read, plan, align in parts, merge, iterate, write, report, commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.io.particles import ParticleSet, read_particles
from cryoalign.io.references import read_references
from cryoalign.io.stack_writer import StackWriter
from cryoalign.jobs.align.guard import GuardPlan, plan_guard
from cryoalign.jobs.align.merge import merge_parts
from cryoalign.jobs.align.null_test import NullTest, run_null_test
from cryoalign.jobs.align.outputs import stack_names, write_align_outputs
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.jobs.align.part import AlignPart, PartOutputs
from cryoalign.jobs.align.plan import AlignPlan, inverted_contrast, plan_align, thread_bytes, with_references
from cryoalign.jobs.align.rounds import REFERENCE_LOWPASS_ANGSTROM, HalfState, next_halves, next_references
from cryoalign.jobs.align.verdict import Verdict, judge_run
from cryoalign.jobs.kernels import say_if_kernels_must_compile
from cryoalign.jobs.lock import exclusive
from cryoalign.jobs.parts import PartRange, plan_parts, run_parts, select_parts
from cryoalign.jobs.rundir import RunDirectory
from cryoalign.jobs.runlog import progress

NO_SIGNAL_EXIT = 3
NO_SIGNAL = "no consistent signal found"
BASE_MEMORY_BYTES = 150 * 2**20
"""What Python and its libraries take before the first particle."""
_IGNORED_OPTICS = ("rlnBeamTiltX", "rlnBeamTiltY", "rlnOddZernike", "rlnEvenZernike", "rlnMagMat00", "rlnMagMat01")


def run_align(parameters: AlignParameters, *, argv: Sequence[str], verbosity: int = 0, merge_only: bool = False) -> int:
    """Align particles to references and write a run directory.

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
        Exit status: 0 done, 3 done but no consistent signal found.

    Raises
    ------
    InputError
        For anything the user can mend.
    """
    p = parameters
    with RunDirectory.begin(
        p.output,
        command="align",
        argv=argv,
        parameters=p.to_json(),
        inputs=[*p.inputs, p.reference],
        resume=p.resume,
        overwrite=p.overwrite,
        part=p.part,
        seed=p.seed,
        full_digest=p.full_digest,
        verbosity=verbosity,
    ) as run:
        with run.stage("read"):
            particles = _read(p, run)
            references, reference_pixel = _read_references(p, particles, run)
        with run.stage("plan"):
            say_if_kernels_must_compile(run.log)
            plan = plan_align(p, particles, references, reference_pixel, scratch=run.scratch("unpacked"), warn=run.warn)
            _log_plan(plan, run)
            if inverted_contrast(plan):
                run.warn("the particles look like the references with inverted contrast: try --invert")
        ranges = plan_parts(len(particles), part_rows(p, len(references)))
        rounds = Rounds(plan, run, ranges, merge_only=merge_only)
        if not rounds.align():
            run.leave_partial()
            return 0
        return _finish(rounds, run, argv)


def part_rows(parameters: AlignParameters, n_references: int) -> int:
    """Return the rows of a part: large enough that its sums stay small beside its images."""
    if parameters.block_size is not None:
        return parameters.block_size
    return max(512, -(-40 * n_references // 64) * 64)


def _read(p: AlignParameters, run: RunDirectory) -> ParticleSet:
    particles = read_particles(p.inputs, datadir=p.datadir, angpix=p.angpix, limit=p.limit)
    for text in particles.warnings:
        run.warn(text)
    run.add_inputs(particles.stacks)
    tilt = particles.numbers("rlnAngleTilt")
    if tilt is not None and np.any(tilt != 0):
        run.warn("rlnAngleTilt is not 0: the new psi no longer belongs to the input's rot and tilt, which are kept")
    optics = particles.optics
    if optics is not None:
        ignored = [c for c in _IGNORED_OPTICS if c in optics and not _is_neutral(c, optics[c])]
        if ignored:
            run.warn(f"ignored in the score: {', '.join(ignored)} of the optics table")
    run.log.info("read %d particles (%s)", len(particles), particles.dialect)
    return particles


def _is_neutral(label: str, column) -> bool:  # type: ignore[no-untyped-def]
    neutral = 1.0 if label == "rlnMagMat00" else 0.0
    try:
        return bool((column.astype(float) == neutral).all())
    except ValueError:
        return False


def _read_references(
    p: AlignParameters, particles: ParticleSet, run: RunDirectory
) -> tuple[NDArray[np.float32], float]:
    """Read the references and settle their pixel size; headers round, so the optics table decides where they agree."""
    group = particles.groups_by_box()[0]
    references, pixel = read_references(p.reference, datadir=p.datadir, default_angpix=group.pixel_size_angstrom)
    same_box = references.shape[-1] == group.box
    if same_box and (p.angpix is not None or abs(pixel / group.pixel_size_angstrom - 1) < 0.02):
        pixel = group.pixel_size_angstrom
    words = "reference" if len(references) == 1 else "references"
    run.log.info("read %d %s of %d px, %g A", len(references), words, references.shape[-1], pixel)
    return references, pixel


def _log_plan(plan: AlignPlan, run: RunDirectory) -> None:
    for g in plan.geometries:
        s = g.search
        run.log.info(
            "%d particles of %d px at %g A: mask %.1f px, shifts up to %.2f px, rings to %d of %d (%.2f A), "
            "coarse rings to %d with %d shifts and %d angles",
            len(g.rows), g.box, g.pixel_size_angstrom, g.mask_diameter_px, g.max_shift_px, s.layout.n_rings, g.box // 2,
            g.box * g.pixel_size_angstrom / s.layout.n_rings, s.coarse.n_rings, len(s.coarse.shifts), s.coarse.n_angles,
        )  # fmt: skip
    run.log.info(
        "CTF %s, whitening %s, mirrors %s, psi %s",
        "corrected" if plan.ctf is not None else "not corrected",
        "on" if plan.parameters.whiten else "off",
        "searched" if plan.parameters.mirror else "not searched",
        "full circle" if plan.parameters.local is None else f"within {plan.parameters.local:g} degrees",
    )


class Rounds:
    """The rounds of one run: aligned in parts, merged, averages made into references.

    Attributes
    ----------
    plan
        Of the round that is under way; after `align` of the last one.
    first_plan
        Of the first round, with the references that were given.
    aligned
        What the last round found.
    verdicts
        What the guard found: on the references that were given, and on averages of the other half.
    """

    def __init__(self, plan: AlignPlan, run: RunDirectory, ranges: list[PartRange], *, merge_only: bool) -> None:
        self.plan = self.first_plan = plan
        self.verdicts: list[Verdict] = []
        self._run, self._ranges, self._merge_only = run, ranges, merge_only

    def align(self) -> bool:
        """Align all rounds; tell whether every part of the last is there."""
        p, run = self.plan.parameters, self._run
        halves = HalfState.of(self.plan) if p.in_halves else None
        if p.rounds > 1 and halves is None:
            run.warn(
                "from the second round on, references are averages without independent halves, low-passed at "
                f"{REFERENCE_LOWPASS_ANGSTROM:g} A"
            )
        for iteration in range(1, p.rounds + 1):
            guard = self._guard(iteration, halves)
            if not self._one_round(iteration, guard):
                return False
            with run.stage("merge"):
                self.aligned = merge_parts(self.plan, run.parts(_store_name(iteration)), self._ranges)
            if guard is not None and self.aligned.guard is not None:
                verdict = judge_run(self.plan, self.aligned.guard, cross_fitted=guard.cross_fitted)
                run.log.info("%s", verdict.in_words())
                self.verdicts.append(verdict)
            if iteration == p.rounds:
                break
            run.log.info("round %d: %s", iteration, self.aligned.summary())
            with run.stage("references"):
                if halves is None:
                    self.plan = with_references(self.plan, next_references(self.plan, self.aligned))
                else:
                    halves = next_halves(self.plan, self.aligned, halves)
                    finest = self.plan.references.shape[-1] * self.plan.reference_pixel_size / int(halves.rings.max())
                    run.log.info("the halves agree so far that the next round uses detail to %.1f A", finest)
                    self.plan = with_references(self.plan, halves.references, halves.rings)
        return True

    def null_test(self) -> NullTest:
        """Align as many images of noise to the references that were given, in one round."""
        p, plan = self.plan.parameters, self.first_plan
        self._run.log.info("aligning %d images of noise for the null test", len(plan.particles))
        workers = _workers(plan, self._run)
        null = run_null_test(plan, self._run, self._ranges, self.aligned, workers=workers, seed=p.seed)
        where = f"{null.counts[-1]} images of noise correlates {null.noise_correlation[-1]:.2f} with reference"
        self._run.log.info("null test: the average of %s %d", where, null.curve_class)
        return null

    def _guard(self, iteration: int, halves: HalfState | None) -> GuardPlan | None:
        p = self.plan.parameters
        if p.guard and iteration == 1:
            return plan_guard(self.plan, self.plan.references[None], cross_fitted=False)
        if p.guard and halves is not None and iteration == p.rounds:
            return plan_guard(self.plan, halves.cross_fit[::-1], cross_fitted=True)
        return None

    def _one_round(self, iteration: int, guard: GuardPlan | None) -> bool:
        """Align the parts of one round; tell whether all of them are there now."""
        p, run, ranges = self.plan.parameters, self._run, self._ranges
        last = iteration == p.rounds
        outputs = PartOutputs()
        if last and p.write_stack:
            outputs.aligned = _writers(self.plan, run, "aligned")
            outputs.flipped = _writers(self.plan, run, "flipped") if p.mirror else []
        store = run.parts(_store_name(iteration))
        if not self._merge_only:
            words = "aligning" if p.rounds == 1 else f"aligning, round {iteration} of {p.rounds}"
            mine = select_parts(ranges, p.part)
            done = {part.index for part in mine if store.has(part.index)}
            rows = sum(len(part) for part in mine)
            before = sum(len(part) for part in mine if part.index in done)
            with run.stage("align"), progress(run.log, words, rows, done=before, verbosity=run.verbosity) as counter:
                run_parts(
                    ranges,
                    AlignPart(self.plan, outputs, guard),
                    store,
                    workers=_workers(self.plan, run),
                    which=p.part,
                    on_done=lambda part: None if part.index in done else counter.update(len(part)),
                    should_stop=run.aborted,
                )
        for writer in (*outputs.aligned, *outputs.flipped):
            writer.close()
        return p.part is None or (p.part[1] == 1 and not store.missing())


def _workers(plan: AlignPlan, run: RunDirectory) -> int:
    """Return the threads that fit into --memory; results do not depend on their number."""
    p = plan.parameters
    if p.memory is None:
        return p.threads
    fitting = max(1, int((p.memory - BASE_MEMORY_BYTES) // thread_bytes(plan)))
    if fitting < p.threads:
        run.warn(f"--memory leaves room for {fitting} of {p.threads} threads")
    return min(p.threads, fitting)


def _store_name(iteration: int) -> str:
    return f"round-{iteration:03d}"


def _writers(plan: AlignPlan, run: RunDirectory, stem: str) -> list[StackWriter]:
    """Open the stacks, keeping what an earlier attempt or another task of the array wrote."""
    with exclusive(run.work):
        return [
            StackWriter(run.staged(name), len(g.rows), g.box, g.pixel_size_angstrom, keep_existing=True)
            for name, g in zip(stack_names(plan, stem), plan.geometries, strict=True)
        ]


def _finish(rounds: Rounds, run: RunDirectory, argv: Sequence[str]) -> int:
    plan, aligned, status = rounds.plan, rounds.aligned, 0
    run.log.info("%s", aligned.summary())
    # The last verdict that could tell decides: on the averages where halves were refined, else on the references.
    told = [verdict for verdict in rounds.verdicts if verdict.overall.verdict != "cannot tell"]
    verdict = told[-1] if told else None
    if not np.any(aligned.score[aligned.good] > 0):
        run.warn(f"{NO_SIGNAL}: no particle correlates with any reference")
    elif verdict is not None and verdict.overall.warned:
        z = f"z = {verdict.overall.z:.1f}"
        run.warn(f"{NO_SIGNAL}: the fine detail of the references is not in the particles ({z})")
    elif any(verdict.overall.contrary for verdict in rounds.verdicts):
        run.warn(
            "the particles hold the references' fine detail with the wrong sign: contrast inverted (--invert), or "
            "a CTF that is not corrected or was corrected before"
        )
    if any(text.startswith(NO_SIGNAL) for text in run.warnings):
        status = 0 if plan.parameters.allow_no_signal else NO_SIGNAL_EXIT
    counts: dict[str, Any] = {
        "read": len(plan.particles),
        "aligned": int(aligned.good.sum()),
        "skipped": int((~aligned.good).sum()),
        "references": len(plan.references),
    } | aligned.skip_reasons()
    if rounds.verdicts:
        counts["guard"] = [verdict.to_json() for verdict in rounds.verdicts]
    null = None
    if plan.parameters.null_test:
        with run.stage("null test"):
            null = rounds.null_test()
    with run.stage("write"):
        nodes = write_align_outputs(plan, aligned, run, argv, counts, rounds.verdicts, null)
    run.commit(counts=counts, relion_nodes=nodes, exit_status=status)
    return status
