"""When two poses are the same registration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, wrap_degrees

ALIKE_DEG, ALIKE_PX, ALIKE_SCALE = 5.0, 2.0, 0.03
"""Poses nearer to each other than this, in all three, are the same registration."""
ALIKE = f"within {ALIKE_DEG:g}°, {ALIKE_PX:g} px and {100 * ALIKE_SCALE:g} % of scale"
"""The same in words."""


def same_registration(
    one: Poses, scale_one: NDArray[np.float64], other: Poses, scale_other: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell where poses and scales are alike."""
    turn = np.abs(wrap_degrees(one.psi - other.psi)) < ALIKE_DEG
    apart = np.hypot(one.dx - other.dx, one.dy - other.dy) < ALIKE_PX
    scale = np.abs(np.log(scale_one / scale_other)) < ALIKE_SCALE
    return np.asarray(turn & apart & scale & (one.mirror == other.mirror))
