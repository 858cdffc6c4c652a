"""The rounds of one ``align`` run: aligned in parts, merged, judged, averages made into the next references."""

from __future__ import annotations

from contextlib import ExitStack

from cryoalign.alignment.given import REFERENCE_LOWPASS_ANGSTROM
from cryoalign.alignment.strategy import References, Strategy
from cryoalign.averaging.einstein import NullTest
from cryoalign.averaging.verdict import Verdict
from cryoalign.io.stack_writer import StackPlace
from cryoalign.jobs.align.null_test import run_null_test
from cryoalign.jobs.align.outputs import stack_names
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.align.between_rounds import given_ring, median_change_deg, round_of, with_start
from cryoalign.passes.align.guard import GuardPlan, judge_run, plan_guard
from cryoalign.passes.align.merge import merge_parts
from cryoalign.passes.align.part import AlignWork, PartOutputs
from cryoalign.passes.align.plan import with_references
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.reading import stacks_of
from cryoalign.runs.lock import exclusive
from cryoalign.runs.parts import PartRange
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import do_parts

START_ROUNDS, STILL_DEG = 12, 0.3
"""Rounds that a start may take at most, and the median change of angles at which it stands."""


class Rounds:
    """The rounds of one run: aligned in parts, merged, averages made into references.

    With ``inverted`` the guard takes the given references with inverted contrast.

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

    def __init__(
        self, p: AlignParameters, strategy: Strategy, plan: AlignPlan, run: RunDirectory, ranges: list[PartRange],
        *, inverted: bool = False,
    ) -> None:  # fmt: skip
        self.plan = self.first_plan = plan
        self.verdicts: list[Verdict] = []
        self._p, self._strategy, self._run, self._ranges = p, strategy, run, ranges
        self._inverted = inverted

    def align(self) -> bool:
        """Align all rounds; tell whether every part of the last is there."""
        p, run = self._p, self._run
        strategy = self._strategy
        if strategy.settles:
            self._settle()
        references = strategy.first(self.plan.references, given_ring(self.plan))
        if p.rounds > 1 and not p.halves:
            run.warn(
                "from the second round on, references are averages without independent halves, low-passed at "
                f"{REFERENCE_LOWPASS_ANGSTROM:g} A"
            )
        for iteration in range(1, p.rounds + 1):
            guard = self._guard(iteration, references)
            if not self._one_round(iteration, guard):
                return False
            with run.stage("merge"):
                self.aligned = merge_parts(self.plan, run.parts(_store_name(iteration)), self._ranges)
            if guard is not None and self.aligned.guard is not None:
                inverted = self._inverted and not guard.cross_fitted
                columns = self.aligned.guard
                verdict = judge_run(self.plan, columns, cross_fitted=guard.cross_fitted, inverted=inverted)
                run.log.info("%s", verdict.in_words())
                self.verdicts.append(verdict)
            if iteration == p.rounds:
                break
            run.log.info("round %d: %s", iteration, self.aligned.summary())
            with run.stage("references"):
                references = strategy.next(round_of(self.plan, self.aligned, references))
                if references.rings is not None:
                    finest = self.plan.references.shape[-1] * self.plan.reference_pixel_size
                    finest /= int(references.rings.max())
                    run.log.info("the halves agree so far that the next round uses detail to %.1f A", finest)
                self.plan = with_references(self.plan, references.arms, references.rings)
        return True

    def null_test(self) -> NullTest:
        """Align as many images of noise to the references that were given, in one round."""
        p, plan = self._p, self.first_plan
        self._run.log.info("aligning %d images of noise for the null test", len(plan.particles))
        null = run_null_test(plan, self._run, self._ranges, self.aligned, p.seed)
        where = f"{null.counts[-1]} images of noise correlates {null.noise_correlation[-1]:.2f} with reference"
        self._run.log.info("null test: the average of %s %d", where, null.curve_class)
        return null

    def _settle(self) -> None:
        """Align to the start's averages on its low rings, and to new ones of the same particles, until nothing moves.

        Nothing finer than the start may be shared between halves is looked at, so this costs no independence.
        """
        run, before = self._run, None
        for number in range(1, START_ROUNDS + 1):
            store = f"start-{number:03d}"
            do_parts(
                run, AlignWork(self.plan), self._ranges, store=store, words=f"settling, round {number}",
                stage="settle", worker_bytes=self.plan.thread_bytes,
            )  # fmt: skip
            aligned = merge_parts(self.plan, run.parts(store), self._ranges)
            moved = None if before is None else median_change_deg(before, aligned)
            said = "" if moved is None else f"; angles moved by {moved:.2f} deg"
            run.log.info("start, round %d: %s%s", number, aligned.summary(), said)
            self.plan = with_start(self.plan, aligned)
            before = aligned
            if moved is not None and moved < STILL_DEG:
                break
        self.first_plan = self.plan

    def _guard(self, iteration: int, used: References) -> GuardPlan | None:
        p = self._p
        # Own averages are no independent references.
        if p.guard and iteration == 1 and self._strategy.needs_reference:
            # The guard correlates: a measure that bears any contrast is judged in the one that the particles have.
            references = -self.plan.references if self._inverted else self.plan.references
            return plan_guard(self.plan, references[None], cross_fitted=False)
        if p.guard and used.cross_fit is not None and iteration == p.rounds:
            return plan_guard(self.plan, used.cross_fit[::-1], cross_fitted=True)
        return None

    def _one_round(self, iteration: int, guard: GuardPlan | None) -> bool:
        """Align the parts of one round; tell whether all of them are there now."""
        p, run = self._p, self._run
        outputs = PartOutputs()
        if iteration == p.rounds and p.write_stack:
            flipped = _places(self.plan, run, "flipped") if p.mirror else ()
            outputs = PartOutputs(_places(self.plan, run, "aligned"), flipped)
        words = "aligning" if p.rounds == 1 else f"aligning, round {iteration} of {p.rounds}"
        with ExitStack() as stacks:
            with exclusive(run.work):  # what an earlier attempt or another task of the array wrote is kept
                for place in (*outputs.aligned, *outputs.flipped):
                    stacks.enter_context(place.open())
            work = AlignWork(self.plan, outputs, guard)
            return do_parts(
                run, work, self._ranges, store=_store_name(iteration), words=words, stage="align",
                worker_bytes=self.plan.thread_bytes,
                inputs=lambda part: stacks_of(self.plan.particles, slice(part.start, part.stop)),
            )  # fmt: skip


def _store_name(iteration: int) -> str:
    return f"round-{iteration:03d}"


def _places(plan: AlignPlan, run: RunDirectory, stem: str) -> tuple[StackPlace, ...]:
    """Say where the stacks of each geometry go."""
    return tuple(
        StackPlace(run.staged(name), len(g.rows), g.box, g.pixel_size_angstrom)
        for name, g in zip(stack_names(plan, stem), plan.geometries, strict=True)
    )
