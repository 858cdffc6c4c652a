"""What becomes of rows whose image cannot be used: an error, or a reason in skipped.star."""

from __future__ import annotations

from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet

REASONS = {0: "", 1: "NaN or infinite", 2: "constant image"}
"""Why a row was left out, by code."""


def reason_code(reason: str) -> int:
    """Return the code of what :func:`cryoalign.io.stacks.bad_images` said."""
    for code, words in REASONS.items():
        if words and words in reason:
            return code
    raise ValueError(f"an unknown reason to skip an image: {reason}")


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
