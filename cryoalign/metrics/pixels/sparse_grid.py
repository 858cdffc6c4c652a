"""All rotations and coarse shifts at a low band, and the few best peaks of that table.

The reference is turned once for every angle and each image shifted once for every shift, so that a pair only compares
pixels: with aligned(R(psi)(q + d)) = image(q), a measure of reference(o) and aligned(o) over a disc is one of
reference(R(psi) p) and image(p - d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.coarse import shift_grid
from cryoalign.metrics.measure import SearchLimits
from cryoalign.metrics.pixels.pyramid import Level

_STEP_PX = 0.8  # of the level's pixels: the spacing of shifts, and of angles at three quarters of the mask's radius


@dataclass(frozen=True, eq=False)
class PoseGrid:
    """The poses of the table: every angle with every shift, mirrored ones after the others.

    Parameters
    ----------
    psi_deg
        Evenly over the circle, (A,).
    shift_px
        (S, 2) in pixels of the raw images.
    mirror
        Whether mirrored images come too.
    spacing_px
        Between shifts, in pixels of the raw images.
    """

    psi_deg: NDArray[np.float64]
    shift_px: NDArray[np.float64]
    mirror: bool
    spacing_px: float

    def columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return dx, dy and mirror of the columns of the table, those without the mirror first."""
        copies = 2 if self.mirror else 1
        dx, dy = np.tile(self.shift_px, (copies, 1)).T
        return dx, dy, np.repeat(np.arange(copies) > 0, len(self.shift_px))


def pose_grid(level: Level, limits: SearchLimits) -> PoseGrid:
    """Choose angles and shifts for a level."""
    radius = np.sqrt(len(level.inside) / np.pi)
    angles = 4 * int(np.ceil(2 * np.pi * 0.75 * radius / _STEP_PX / 4))
    spacing = _STEP_PX * level.scale
    shifts = shift_grid(limits.max_shift_px, spacing) if limits.max_shift_px > 0 else np.zeros((1, 2))
    psi = np.arange(angles, dtype=np.float64) * (360.0 / angles)
    return PoseGrid(psi, np.asarray(shifts, np.float64), limits.mirror, float(spacing))


def turned_references(level: Level, row: int, grid: PoseGrid) -> NDArray[np.float32]:
    """Return a reference seen from every angle, float32 (A, P): reference(R(psi) p)."""
    n = len(grid.psi_deg)
    poses = Poses(-grid.psi_deg, np.zeros(n), np.zeros(n))
    turned = resample(level.images[row : row + 1], poses, image_of=np.zeros(n, np.int64))
    return np.ascontiguousarray(turned.reshape(n, -1)[:, level.inside])


def shifted_images(level: Level, row: int, grid: PoseGrid) -> NDArray[np.float32]:
    """Return an image at every shift, mirrored ones after, float32 (S or 2 S, P): image(F^m (p - d))."""
    dx, dy, mirror = grid.columns()
    poses = Poses(np.zeros(len(dx)), dx / level.scale, dy / level.scale, mirror)
    shifted = resample(level.images[row : row + 1], poses, image_of=np.zeros(len(dx), np.int64))
    return np.ascontiguousarray(shifted.reshape(len(dx), -1)[:, level.inside])


def best_peaks(
    cost: NDArray[np.float64], grid: PoseGrid, most: int, window: tuple[float, float] | None = None
) -> Poses:
    """Return the poses of the lowest peaks of a table.

    Parameters
    ----------
    cost
        Lower is better, (A, columns).
    grid
        What its rows and columns are.
    most
        Peaks wanted; two cells share a peak if they are neighbours in angle and in shift.
    window
        Centre and half width of the angles allowed, in degrees; one step beyond is looked at too.
    """
    dx, dy, mirror = grid.columns()
    step = 360.0 / len(grid.psi_deg)
    cost = np.array(cost, dtype=np.float64)
    if window is not None:
        cost[np.abs(wrap_degrees(grid.psi_deg - window[0])) > window[1] + step] = np.inf
    chosen: list[tuple[int, int]] = []
    while len(chosen) < most:
        a, s = divmod(int(np.argmin(cost)), cost.shape[1])
        if not np.isfinite(cost[a, s]):
            break
        chosen.append((a, s))
        turn = np.abs(wrap_degrees(grid.psi_deg - grid.psi_deg[a])) <= 2.5 * step
        near = (np.hypot(dx - dx[s], dy - dy[s]) <= 2.1 * grid.spacing_px) & (mirror == mirror[s])
        cost[np.ix_(turn, near)] = np.inf
    rows, columns = (np.array(v, np.int64) for v in zip(*chosen, strict=True)) if chosen else (np.zeros(0, int),) * 2
    return Poses(grid.psi_deg[rows], dx[columns], dy[columns], mirror[columns])
