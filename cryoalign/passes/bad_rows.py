"""What becomes of rows whose image cannot be used: an error, or a reason in skipped.star."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.runs.rundir import RunDirectory

REASONS = {0: "", 1: "NaN or infinite", 2: "constant image"}
"""Why a row was left out, by code."""


def reason_code(reason: str) -> int:
    """Return the code of what :func:`cryoalign.io.stacks.bad_images` said."""
    for code, words in REASONS.items():
        if words and words in reason:
            return code
    raise ValueError(f"an unknown reason to skip an image: {reason}")


def write_skipped(run: RunDirectory, particles: ParticleSet, codes: NDArray[np.integer]) -> dict[str, str]:
    """Write skipped.star, the rows left out with their reasons, where there are any.

    Parameters
    ----------
    run, particles
        The run and its particles.
    codes
        0, or why a row was left out (key of ``REASONS``), shape (n,).

    Returns
    -------
    dict
        The file and what it holds, for the report; empty where no row was left out.
    """
    rows = np.flatnonzero(codes)
    if not len(rows):
        return {}
    reasons = [REASONS[int(code)] for code in codes[rows]]
    write_particles(run.staged("skipped.star"), particles.take(rows).with_columns({"cryoalignReason": reasons}))
    return {"skipped.star": "rows left out, with the reason"}


def unusable_image(particles: ParticleSet, row: int, reason: str) -> InputError:
    """Return the error about the image of a 0-based row, naming its file, row and image."""
    path, file_row = particles.where(row)
    return InputError(
        f"this image cannot be used: {reason}",
        path=path,
        row=file_row,
        value=particles.image_names()[row],
        hint="--on-bad-image skip leaves such images out",
    )
