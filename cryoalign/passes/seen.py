"""What reading the images of a run found: said once, and counted in run.json."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.io.particles import ParticleSet
from cryoalign.passes.bad_rows import REASONS, WHERE_IT_STANDS_OUT
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.normalised import NormalisedSource
from cryoalign.runs.rundir import RunDirectory

_NAMED = 5


def say_what_was_seen(run: RunDirectory, images: ParticleImages, look: NDArray) -> dict[str, Any]:
    """Say what was taken off and mended, warn of images that stand out with the worst rows, and count both.

    Parameters
    ----------
    run, images
        The run and its images.
    look
        ``LOOK`` of each row of the table, (n,).

    Returns
    -------
    dict
        For run.json: rows left out by reason, images with hot pixels, images that stand out, and by what the images of
        each geometry were divided (the median over a sample), None where they were read as they are.
    """
    counts: dict[str, Any] = {
        f"skipped: {words}": int((look["reason"] == code).sum()) for code, words in REASONS.items() if code
    }
    hot, out = look["hot_pixels"] > 0, look["stands_out"] > 0
    counts |= {"with hot pixels": int(hot.sum()), "standing out": int(out.sum())}
    scales = [_scale(group.source) for group in images.groups]
    if hot.any():
        run.log.info("%d hot pixels in %d images were replaced as they were read", look["hot_pixels"].sum(), hot.sum())
    if out.any():
        worst = np.flatnonzero(out)[np.argsort(-look["z"][out], kind="stable")][:_NAMED]
        rows = ", ".join(_in_words(images.particles, int(row), look[row]) for row in worst)
        named = rows if len(worst) == out.sum() else f"worst {rows}"
        skipped = bool(look["reason"][out].all())
        what_to_do = "they are left out" if skipped else "--on-bad-image skip leaves them out"
        run.warn(f"{int(out.sum())} of {len(look)} images stand out from the stack: {named}; {what_to_do}")
    return {words: count for words, count in counts.items() if count} | {"normalised by": scales}


def _scale(source: object) -> float | None:
    if not (isinstance(source, NormalisedSource) and source.stack.has_noise):
        return None
    return float(f"{source.stack.scale:.6g}")


def _in_words(particles: ParticleSet, row: int, look: np.void) -> str:
    where = WHERE_IT_STANDS_OUT[look["stands_out"] - 1]
    return f"row {particles.where(row)[1]} by its {where} (z = {look['z']:.0f})"
