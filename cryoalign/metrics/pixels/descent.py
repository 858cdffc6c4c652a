"""Gradient descent with a line search over angle and shift, for any measure and many images at once.

Steps go against the gradient, eta grad E subtracted, of the *moving* image. Angle (times half the mask's radius) and
shift are all in pixels, and the gradient is bent by the curvature seen so far (BFGS); a step is halved until it gains
enough (J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed., algorithms 3.1 and 6.1). Rows do not see one
another: each takes its own steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Energy = Callable[[NDArray[np.int64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Rows (k,) and their poses (k, 3), psi in degrees, dx and dy in pixels, to E (k,) and dE/d(psi, dx, dy) (k, 3)."""

_ENOUGH = 1e-4  # Armijo's share of the gain that the gradient promises
_HALVINGS = 12


@dataclass(frozen=True)
class DescentSettings:
    """How far and how fine to go.

    Parameters
    ----------
    radius_px
        Lever arm that turns angles into pixels.
    first_step_px, longest_step_px
        Length of the first step, and the longest allowed.
    tolerance_px
        A row is done when a step is shorter.
    max_rounds
        Evaluations of a row at most.
    max_shift_px
        Radius of the disc that shifts stay in; 0 = angles only.
    """

    radius_px: float
    first_step_px: float = 0.5
    longest_step_px: float = 2.0
    tolerance_px: float = 0.003
    max_rounds: int = 50
    max_shift_px: float = np.inf


def descend(
    energy: Energy,
    start: NDArray[np.float64],
    settings: DescentSettings,
    window: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find a minimum near each start.

    Parameters
    ----------
    energy
        What is made small; called with the rows that are still on their way.
    start
        Psi in degrees, dx, dy in pixels, float64 (m, 3).
    settings
        Lengths and limits.
    window
        Lowest and highest psi of each row in degrees, (m, 2); None for no limit.

    Returns
    -------
    poses, values
        Float64 (m, 3) and (m,); a row's value is never above that at its start.
    """
    m = len(start)
    unit = np.array([np.rad2deg(1.0) / settings.radius_px, 1.0, 1.0])
    free = np.array([1.0, 1.0, 1.0]) if settings.max_shift_px > 0 else np.array([1.0, 0.0, 0.0])

    def limited(rows: NDArray[np.int64], u: NDArray[np.float64]) -> NDArray[np.float64]:
        return _limit(u * unit, settings.max_shift_px, None if window is None else window[rows]) / unit

    def evaluate(rows: NDArray[np.int64], u: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        value, slope = energy(rows, u * unit)
        return value, slope * (unit * free)

    everyone = np.arange(m)
    x = limited(everyone, np.asarray(start, dtype=np.float64) / unit)
    value, slope = evaluate(everyone, x)
    inverse = np.zeros((m, 3, 3))
    direction = np.zeros((m, 3))
    halvings = np.zeros(m, np.int64)
    step = np.ones(m)
    active = np.ones(m, bool)
    for i in range(m):
        active[i] = _start_afresh(inverse[i], direction[i], slope[i], settings)
    for _ in range(settings.max_rounds):
        rows = np.flatnonzero(active)
        if len(rows) == 0:
            break
        trial = limited(rows, x[rows] + step[rows, None] * direction[rows])
        new_value, new_slope = evaluate(rows, trial)
        for at, i in enumerate(rows.tolist()):
            moved = trial[at] - x[i]
            length = float(np.sqrt((moved**2).sum()))
            if new_value[at] <= value[i] + _ENOUGH * min(float(slope[i] @ moved), 0.0) and length > 0:
                bend = new_slope[at] - slope[i]
                x[i], value[i], slope[i] = trial[at], new_value[at], new_slope[at]
                _bend(inverse[i], moved, bend, first=not inverse[i].any())
                step[i], halvings[i] = 1.0, 0
                downhill = _next_direction(inverse[i], direction[i], slope[i], settings)
                active[i] = downhill and length > settings.tolerance_px
            else:
                step[i] *= 0.5 if halvings[i] < 2 else 0.25
                halvings[i] += 1
                short = step[i] * float(np.sqrt((direction[i] ** 2).sum())) < settings.tolerance_px
                if short or halvings[i] > _HALVINGS:
                    active[i] = False
    return x * unit, value


def _limit(poses: NDArray[np.float64], max_shift_px: float, window: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Bring shifts back to their disc and angles to their window."""
    length = np.hypot(poses[:, 1], poses[:, 2])
    shrink = np.where(length > max_shift_px, max_shift_px / np.maximum(length, 1e-300), 1.0)
    poses[:, 1:] *= shrink[:, None]
    if window is not None:
        poses[:, 0] = np.clip(poses[:, 0], window[:, 0], window[:, 1])
    return poses


def _start_afresh(
    inverse: NDArray[np.float64], direction: NDArray[np.float64], slope: NDArray[np.float64], settings: DescentSettings
) -> bool:
    """Take the plain gradient, at the length of a first step; False where there is none."""
    inverse[...] = 0.0
    length = float(np.sqrt((slope**2).sum()))
    if not length > 0:
        return False
    direction[...] = -slope * (settings.first_step_px / length)
    return True


def _bend(inverse: NDArray[np.float64], moved: NDArray[np.float64], bend: NDArray[np.float64], *, first: bool) -> None:
    """Update the inverse curvature by BFGS; left alone where the step saw no positive curvature."""
    curvature = float(moved @ bend)
    if curvature <= 1e-12 * float(np.sqrt((moved**2).sum() * (bend**2).sum())):
        return
    if first:
        inverse[...] = np.eye(3) * (curvature / float(bend @ bend))
    left = np.eye(3) - np.outer(moved, bend) / curvature
    inverse[...] = left @ inverse @ left.T + np.outer(moved, moved) / curvature


def _next_direction(
    inverse: NDArray[np.float64], direction: NDArray[np.float64], slope: NDArray[np.float64], settings: DescentSettings
) -> bool:
    """Go down the bent gradient, no farther than the longest step."""
    if not inverse.any():
        return _start_afresh(inverse, direction, slope, settings)
    direction[...] = -(inverse @ slope)
    if float(direction @ slope) >= 0.0:
        return _start_afresh(inverse, direction, slope, settings)
    length = float(np.sqrt((direction**2).sum()))
    if length > settings.longest_step_px:
        direction *= settings.longest_step_px / length
    return length > 0.1 * settings.tolerance_px
