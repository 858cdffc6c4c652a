"""``average`` from start to finish: read, plan, add in parts, merge, look again where asked to, write, commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.jobs.average.tables import write_average_outputs
from cryoalign.passes.average.centring import centred
from cryoalign.passes.average.members import Memberships, read_memberships
from cryoalign.passes.average.passes import AverageResult, Passes
from cryoalign.passes.average.plan import AveragePlan, plan_average
from cryoalign.passes.average.second import (
    IntensityPart,
    VariancePart,
    half_models,
    merge_intensities,
    merge_variance,
    whitening_filters,
)
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.reading import read_table
from cryoalign.passes.seen import say_what_was_seen
from cryoalign.runs.rundir import RunDirectory


def run_average(p: AverageParameters, argv: Sequence[str], verbosity: int) -> int:
    """Average particles by class and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        particles = read_table(p, run, whole=p.members is not None)
        with run.stage("read"):
            members = _memberships(p, particles, run)
        with run.stage("plan"):
            images = ParticleImages.of(particles, p, scratch=run.scratch("unpacked"), warn=run.warn, threads=p.threads)
            plan = plan_average(p, images, members, warn=run.warn)
            _log_plan(plan, run)
        passes = Passes(run)
        found = passes.averages(plan, "sums")
        if found is None:
            run.leave_partial()
            return 0
        if p.recenter:
            found = centred(found, passes)
        if p.scale:
            found = _scaled(found, passes)
        if p.variance:
            found = _with_variance(found, passes)
        counts = _counts(found, particles) | say_what_was_seen(run, images, found.look)
        with run.stage("write"):
            nodes = write_average_outputs(p, found, run, counts)
        run.commit(counts=counts, relion_nodes=nodes)
        return 0


def _memberships(p: AverageParameters, particles: ParticleSet, run: RunDirectory) -> Memberships:
    members = read_memberships(p, particles, run.warn, limit=p.limit, weighted=p.robust is None)
    if members.unweighted:
        run.log.info("%d of weight 0 are left out", members.unweighted)
    return members


def _log_plan(plan: AveragePlan, run: RunDirectory) -> None:
    s = plan.settings
    words = {"wiener": "weighted, Wiener filter", "flip": "phases only", "plain": "left alone"}[s.treatment]
    run.log.info(
        "%d memberships in %d classes, averages of %d px at %g A, mask %.1f px; CTF %s; %s",
        len(plan.members), plan.n_classes, plan.out_box, plan.out_pixel_size, plan.mask_diameter_px,
        "none" if plan.ctf is None and not s.plain else words,
        "by class, for the sums of all are large" if plan.by_class else "in the order of the input",
    )  # fmt: skip


def _scaled(found: AverageResult, passes: Passes) -> AverageResult:
    """Estimate intensities against the other half's averages, and average again with them."""
    plan, run = found.plan, passes.run
    good = found.sums.good
    models = half_models(plan, found.sums, found.averages.ssnr_per_image)
    parts = passes.second(plan, "intensities", IntensityPart(plan, whitening_filters(plan, good), models))
    intensities = merge_intensities(plan, *parts, good)
    run.log.info(
        "intensities spread by %.3f; one is known to %.3f before it is drawn to 1", intensities.spread,
        intensities.error,
    )  # fmt: skip
    if intensities.spread == 0:
        run.warn("intensities do not differ by more than their errors: all are 1")
    again = passes.averages(replace(plan, scales=intensities.scales), "scaled")
    assert again is not None
    return replace(again, moved_px=found.moved_px, intensities=intensities)


def _with_variance(found: AverageResult, passes: Passes) -> AverageResult:
    """Add the variance of members round their averages."""
    plan = found.plan
    work = VariancePart(plan, whitening_filters(plan, found.sums.good), found.averages.averages)
    return replace(found, variance=merge_variance(plan, *passes.second(plan, "variance", work)))


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
