"""References that the user gives; from the second round on, averages of all particles, low-passed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.strategy import Round, Strategy
from cryoalign.core.filters import apply_ring_gain, bandpass

REFERENCE_LOWPASS_ANGSTROM = 20.0
"""Averages that become references carry noise; without independent halves nothing finer is trusted."""


class GivenReferences(Strategy):
    """Start from the references that were given (projection matching), and stay in their frame."""

    words: ClassVar[str] = "align to --reference"
    title: ClassVar[str] = "Alignment to references"
    needs_reference: ClassVar[bool] = True
    iterations: ClassVar[int] = 1
    why_whole: ClassVar[str] = ""


def low_passed_averages(done: Round) -> NDArray[np.float32]:
    """Return the averages of a round, low-passed; classes without members keep their reference. (m, L, L)."""
    gain = bandpass(done.given.shape[-1], done.pixel_size_angstrom, REFERENCE_LOWPASS_ANGSTROM)
    averages = apply_ring_gain(done.averages.averages, gain)
    filled = done.counts.sum(axis=1) > 0
    return np.where(filled[:, None, None], averages, done.given).astype(np.float32)
