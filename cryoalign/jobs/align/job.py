"""``align`` from start to finish: read, plan, align in rounds, write, report, commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cryoalign.alignment.strategy import Start
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.align.outputs import write_align_outputs
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.jobs.align.rounds import Rounds
from cryoalign.jobs.align.start import ParticlesToStart
from cryoalign.passes.align.contrast import inverted_contrast
from cryoalign.passes.align.plan import plan_align
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.reading import read_table
from cryoalign.passes.seen import say_what_was_seen
from cryoalign.runs.no_signal import NO_SIGNAL, NO_SIGNAL_EXIT
from cryoalign.runs.parts import plan_parts, rows_of_part
from cryoalign.runs.rundir import RunDirectory

_IGNORED_OPTICS = ("rlnBeamTiltX", "rlnBeamTiltY", "rlnOddZernike", "rlnEvenZernike")


def run_align(p: AlignParameters, argv: Sequence[str], verbosity: int) -> int:
    """Align particles to references and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        particles = _read(p, run)
        images = ParticleImages.of(particles, p, scratch=run.scratch("unpacked"), warn=run.warn, threads=p.threads)
        strategy = p.way(halves=bool(p.halves))
        source = ParticlesToStart(p, images, run)
        start = strategy.start(source)
        with run.stage("plan"):
            plan = plan_align(
                p, images, start.references, start.pixel_size_angstrom, warn=run.warn, path=p.reference,
                class_numbers=source.class_numbers,
            )  # fmt: skip
            _log_plan(plan, run)
            inverted = strategy.needs_reference and inverted_contrast(plan)
            if inverted and not p.any_contrast:
                advice = "leave --invert out" if p.invert else "try --invert"
                run.warn(f"the particles look like the references with inverted contrast: {advice}")
            elif inverted:
                run.log.info("the particles look like the references with inverted contrast")
        ranges = plan_parts(len(particles), rows_of_part(p.block_size, len(start.references)))
        rounds = Rounds(p, strategy, plan, run, ranges, inverted=inverted and p.any_contrast)
        if not rounds.align():
            run.leave_partial()
            return 0
        return _finish(p, rounds, run, start)


def _read(p: AlignParameters, run: RunDirectory) -> ParticleSet:
    particles = read_table(p, run)
    tilt = particles.angles("rlnAngleTilt")
    if tilt is not None and np.any(tilt != 0):
        run.warn("rlnAngleTilt is not 0: the new psi no longer belongs to the input's rot and tilt, which are kept")
    ignored = [c for c in _IGNORED_OPTICS if c in particles.optics and not _is_neutral(particles.optics[c])]
    if ignored:
        run.warn(f"ignored in the score: {', '.join(ignored)} of the optics table")
    return particles


def _is_neutral(column: pd.Series) -> bool:
    try:
        return bool((column.astype(float) == 0).all())
    except ValueError:
        return False


def _log_plan(plan: AlignPlan, run: RunDirectory) -> None:
    for g in plan.geometries:
        s = g.search
        run.log.info(
            "%d particles of %d px at %g A: mask %.1f px, shifts up to %.2f px, rings to %d of %d (%.2f A), "
            "coarse rings to %d with %d shifts and %d angles",
            len(g.rows), g.box, g.pixel_size_angstrom, g.mask_diameter_px, g.max_shift_px, s.layout.n_rings, g.box // 2,
            g.box * g.pixel_size_angstrom / s.layout.n_rings, s.coarse.n_rings, len(s.coarse.shifts), s.coarse.n_angles,
        )  # fmt: skip
    if plan.settings.measured:
        found = plan.geometries[0].measures[0]
        snr = "unknown" if found.known[0].snr is None else f"{found.known[0].snr:.2g}"
        run.log.info("compared by %s at an SNR of %s; %s", found.measure.words, snr, found.measure.cost_in_words)
    run.log.info(
        "CTF %s, whitening %s, mirrors %s, psi %s",
        "corrected" if plan.ctf is not None else "not corrected",
        "on" if plan.settings.whiten else "off",
        "searched" if plan.settings.mirror else "not searched",
        "full circle" if plan.settings.local is None else f"within {plan.settings.local:g} degrees",
    )


def _finish(p: AlignParameters, rounds: Rounds, run: RunDirectory, start: Start) -> int:
    plan, aligned, status = rounds.plan, rounds.aligned, 0
    run.log.info("%s", aligned.summary())
    # The last verdict that could tell decides: on the averages where halves were refined, else on the references.
    told = [verdict for verdict in rounds.verdicts if verdict.overall.verdict != "cannot tell"]
    verdict = told[-1] if told else None
    if not p.any_contrast and not np.any(aligned.score[aligned.good] > 0):
        run.warn(f"{NO_SIGNAL}: no particle correlates with any reference")
    elif verdict is not None and verdict.overall.warned and p.any_contrast and not verdict.cross_fitted:
        run.warn(
            f"the fine detail of the {verdict.against} is not in the particles (z = {verdict.overall.z:.1f}); "
            "the guard knows no contrast but the same and the inverse: --halves asks the particles themselves"
        )
    elif verdict is not None and verdict.overall.warned:
        z = f"z = {verdict.overall.z:.1f}"
        run.warn(f"{NO_SIGNAL}: the fine detail of the references is not in the particles ({z})")
    elif verdict is None and start.signal is False:
        run.warn(f"{NO_SIGNAL}: neighbours do not agree in what did not choose them (z = {start.z:.1f})")
    elif any(verdict.overall.contrary for verdict in rounds.verdicts):
        advice = "leave --invert out" if p.invert else "--invert"
        cause = "another contrast" if p.any_contrast else f"contrast inverted ({advice})"
        run.warn(
            f"the particles hold the references' fine detail with the wrong sign: {cause}, a CTF that is not "
            "corrected or was corrected before, or references of another view"
        )
    if any(text.startswith(NO_SIGNAL) for text in run.warnings):
        status = 0 if p.allow_no_signal else NO_SIGNAL_EXIT
    counts: dict[str, Any] = {
        "read": len(plan.particles),
        "aligned": int(aligned.good.sum()),
        "skipped": int((~aligned.good).sum()),
        "references": len(plan.references),
    } | say_what_was_seen(run, plan.images, aligned.look)
    if rounds.verdicts:
        counts["guard"] = [verdict.to_json() for verdict in rounds.verdicts]
    null = None
    if p.null_test:
        with run.stage("null test"):
            null = rounds.null_test()
    with run.stage("write"):
        nodes = write_align_outputs(p, plan, aligned, run, counts, rounds.verdicts, null)
    run.commit(counts=counts, relion_nodes=nodes, exit_status=status)
    return status
