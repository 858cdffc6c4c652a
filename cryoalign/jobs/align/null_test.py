"""``align --null-test``: as many images of pure noise through the same path as the particles.

The noise has the spectra that were measured for each noise group, the same CTF parameters, boxes, search, weights and
interpolation. What comes out is what the references alone make of nothing, to be seen beside the averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.averaging.class_averages import finish_averages
from cryoalign.averaging.einstein import NullTest, curve_counts, likeness_curve
from cryoalign.core.source import ImageSource
from cryoalign.io.columns import text_table
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.io.stack_writer import write_stack
from cryoalign.io.star import write_star
from cryoalign.passes.align.between_rounds import reference_mask_px
from cryoalign.passes.align.merge import MergedAlignment, merge_parts
from cryoalign.passes.align.part import AlignWork
from cryoalign.passes.align.planned import AlignPlan
from cryoalign.runs.parts import PartRange
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import do_parts

STACK, TABLE = "null_averages.mrcs", "null_test.star"
NULL_TEST_FILES = {
    STACK: "the average of each class made of noise alone",
    TABLE: "noise images of each class, and the likeness of the largest class with its reference as images are added",
}
"""What `write_null_test` writes, for the list of files in a report."""


def null_plan(plan: AlignPlan, seed: int) -> AlignPlan:
    """Return the plan with noise in place of every image."""
    from cryoalign.simulation.noise import NoiseSource

    sources: list[ImageSource] = []
    for g in plan.geometries:
        ctf = plan.images.ctf_of(g.rows)
        if ctf is not None and not ctf.premultiplied.any():
            ctf = None
        sources.append(
            NoiseSource(
                g.noise_power, plan.images.noise_group_of[g.rows], g.rows, seed=seed, box=g.box, ctf=ctf,
                pixel_size_angstrom=g.pixel_size_angstrom,
            )
        )  # fmt: skip
    geometries = (replace(g, source=source) for g, source in zip(plan.geometries, sources, strict=True))
    return replace(plan, images=plan.images.with_sources(sources), geometries=tuple(geometries))


def run_null_test(
    plan: AlignPlan,
    run: RunDirectory,
    ranges: Sequence[PartRange],
    real: MergedAlignment,
    seed: int,
) -> NullTest:
    """Align noise, and see what it averages to.

    Parameters
    ----------
    plan
        Of the round with the references that were given.
    run
        Keeps finished parts, so that the test can be resumed.
    ranges
        Parts of the job.
    real
        What the particles gave, for their curve.
    seed
        Of the noise.
    """
    noise = null_plan(plan, seed)
    do_parts(
        run, AlignWork(noise), ranges, store="null-test", words="aligning noise", stage="align noise",
        worker_bytes=plan.thread_bytes,
    )  # fmt: skip
    aligned = merge_parts(noise, run.parts("null-test"), ranges)
    averages = finish_averages(
        aligned.totals, aligned.power, aligned.counts, mask_diameter_px=reference_mask_px(plan),
        pixel_size_angstrom=plan.reference_pixel_size, treatment="wiener", shared_ring=plan.references.shape[-1] // 2,
    )  # fmt: skip
    shown = int(np.argmax(averages.counts))
    counts, noise_curve = _curve(noise, aligned, shown, None)
    _, real_curve = _curve(plan, real, shown, counts)
    return NullTest(
        plan.references, averages.averages, averages.counts, int(plan.class_numbers[shown]), tuple(counts), noise_curve,
        real_curve,
    )  # fmt: skip


def _curve(
    plan: AlignPlan, aligned: MergedAlignment, c: int, counts: list[int] | None
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the curve of a class, from its images of the commonest box; NaN where there are fewer than asked for."""
    members = np.flatnonzero(aligned.good & (aligned.reference == c))
    boxes = np.bincount(plan.geometry_of[members], minlength=len(plan.geometries))
    g = int(np.argmax(boxes))
    members = members[plan.geometry_of[members] == g]
    counts = curve_counts(len(members)) if counts is None else counts
    possible = [count for count in counts if count <= len(members)]
    found = likeness_curve(
        plan.geometries[g].source, plan.place_in[members], aligned.poses.take(members),
        plan.images.ctf_of(members), plan.references[c], possible, plan.sum_settings(g),
        reference_mask_px(plan),
    )  # fmt: skip
    return counts, np.concatenate([found, np.full(len(counts) - len(possible), np.nan)])


def write_null_test(
    null: NullTest, run: RunDirectory, class_numbers: NDArray[np.int64], pixel_size_angstrom: float
) -> None:
    """Write null_averages.mrcs, one image for each class, and null_test.star with the blocks `classes` and `curve`."""
    write_stack(run.staged(STACK), null.averages, pixel_size_angstrom)
    stack = name_from_here(run.path / STACK)
    m = len(null.averages)
    classes: dict[str, ArrayLike] = {
        "rlnReferenceImage": [image_name(i, stack) for i in range(m)],
        "rlnClassNumber": class_numbers,
        "cryoalignCount": null.members,
    }
    curve: dict[str, ArrayLike] = {
        "rlnClassNumber": np.full(len(null.counts), null.curve_class),
        "cryoalignCount": np.array(null.counts, np.int64),
        "cryoalignNoiseCorrelation": null.noise_correlation,
        # Files hold no NaN: -2 is no correlation.
        "cryoalignCorrelation": np.where(np.isnan(null.real_correlation), -2.0, null.real_correlation),
    }
    write_star(run.staged(TABLE), {"classes": text_table(classes), "curve": text_table(curve)})
