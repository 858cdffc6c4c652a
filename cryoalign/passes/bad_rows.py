"""What becomes of rows whose image cannot be used: an error, or a reason in skipped.star."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.io.stacks import bad_images
from cryoalign.runs.rundir import RunDirectory

WHERE_IT_STANDS_OUT = ("background's deviation", "background's level", "largest value")
"""What an image can differ in from the others of its stack."""
CONSTANT_BACKGROUND, STANDS_OUT = 3, 4
REASONS = {
    0: "", 1: "NaN or infinite", 2: "constant image", CONSTANT_BACKGROUND: "constant background outside the mask",
    **{STANDS_OUT + at: f"the {what} stands out from the stack" for at, what in enumerate(WHERE_IT_STANDS_OUT)},
}  # fmt: skip
"""Why a row was left out, by code."""
LOOK = np.dtype([("reason", np.int8), ("stands_out", np.int8), ("z", np.float32), ("hot_pixels", np.int32)])
"""What reading found of an image: the code of the reason why it is left out, or 0; 1 + the place in
``WHERE_IT_STANDS_OUT``, or 0, and by how many robust standard deviations; and the hot pixels that were replaced."""


def reason_code(reason: str) -> int:
    """Return the code of what :func:`cryoalign.io.stacks.bad_images` said."""
    for code, words in REASONS.items():
        if words and words in reason:
            return code
    raise ValueError(f"an unknown reason to skip an image: {reason}")


def write_skipped(run: RunDirectory, particles: ParticleSet, look: NDArray) -> dict[str, str]:
    """Write skipped.star, the rows left out with their reasons, where there are any.

    Parameters
    ----------
    run, particles
        The run and its particles.
    look
        ``LOOK`` (n,).

    Returns
    -------
    dict
        The file and what it holds, for the report; empty where no row was left out.
    """
    codes = look["reason"]
    rows = np.flatnonzero(codes)
    if not len(rows):
        return {}
    reasons = [REASONS[int(code)] for code in codes[rows]]
    write_particles(run.staged("skipped.star"), particles.take(rows).with_columns({"cryoalignReason": reasons}))
    return {"skipped.star": "rows left out, with the reason"}


def reason_in_words(image: NDArray[np.float32], code: int) -> str:
    """Return why an image cannot be used, with what its pixels say of it."""
    listed = bad_images(image[None])
    return listed[0][1] if listed else REASONS[code]


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
