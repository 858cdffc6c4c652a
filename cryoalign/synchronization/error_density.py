"""The density of the edges' errors, and how probably each edge is right.

An edge is right with the probability 1 - (local false discovery rate) (Efron, "Large-scale simultaneous hypothesis
testing", JASA 2004): wrong edges have uniform residuals, so their share of the density at r is the density far from 0.
The density is taken to fall with |r| (Grenander's estimate: the least concave majorant of the distribution), which
needs no bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 128
_FAR_DEG = 120.0  # from here on residuals are taken to be those of wrong edges
_STEPS = 720  # of |r|; a quarter of a degree


@dataclass(frozen=True, eq=False)
class ResidualDensity:
    """Density of the residuals of edges.

    Parameters
    ----------
    centres_deg
        Centres of the bins, float64 (128,), from -180.
    density
        Probability per degree, float64 (128,): its sum times the width of a bin is 1; uniform where there are no edges.
    """

    centres_deg: NDArray[np.float64]
    density: NDArray[np.float64]


def residual_density(residual_deg: NDArray[np.float32]) -> ResidualDensity:
    """Count residuals in (-180, 180] in 128 bins."""
    count, cuts = np.histogram(residual_deg, BINS, (-180, 180))
    share = count / count.sum() if count.sum() else np.full(BINS, 1 / BINS)
    return ResidualDensity((cuts[1:] + cuts[:-1]) / 2, share * BINS / 360)


def inlier_probability(residual_deg: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability that each edge is right, float32 (E,)."""
    if len(residual_deg) == 0:
        return np.zeros(0, np.float32)
    size = np.abs(residual_deg)
    bins = np.minimum((size * (_STEPS / 180)).astype(np.int64), _STEPS - 1)
    density = _falling(np.bincount(bins, minlength=_STEPS) / len(size) * _STEPS)
    wrong = float(np.mean(size > _FAR_DEG)) * 180 / (180 - _FAR_DEG)
    return np.asarray(np.clip(1 - wrong / np.maximum(density, 1e-12), 0, 1)[bins], dtype=np.float32)


def _falling(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest falling sequence: neighbours that rise are pooled (as the least concave majorant)."""
    level: list[float] = []
    length: list[int] = []
    for value in values:
        level.append(float(value))
        length.append(1)
        while len(level) > 1 and level[-2] <= level[-1]:
            total = length[-2] + length[-1]
            level[-2] = (level[-2] * length[-2] + level[-1] * length[-1]) / total
            length[-2] = total
            level.pop()
            length.pop()
    return np.repeat(level, length)
