"""Descent of poses on a measure of pixels, at one level of the pyramid: many images at once, each on its own.

dE/dpose is the sum over the mask of dE/dpixel (the measure's) times dpixel/dpose
(:mod:`cryoalign.metrics.pixels.moving`); steps are those of :mod:`cryoalign.metrics.pixels.descent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.metrics.pixels.descent import DescentSettings, descend
from cryoalign.metrics.pixels.masked_pixels import masked, reference_pixels
from cryoalign.metrics.pixels.moving import MovingImages
from cryoalign.metrics.pixels.pyramid import Level

if TYPE_CHECKING:
    from cryoalign.metrics.pixels.pixel_measure import PixelMeasure


@dataclass(eq=False)
class Climbers:
    """Poses on their way: whose they are, int64 (m,); psi, dx, dy (m, 3); mirror; cost, lower is better."""

    image: NDArray[np.int64]
    pose: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    cost: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> Climbers:
        """Return some of them."""
        return Climbers(self.image[rows], self.pose[rows], self.mirror[rows], self.cost[rows])


def climb(
    measure: PixelMeasure,
    climbers: Climbers,
    level: Level,
    row: int,
    moving: MovingImages,
    max_shift_px: float,
    windows: tuple[NDArray[np.float64], float] | None,
) -> None:
    """Send all poses downhill at one level, in place.

    Parameters
    ----------
    measure
        Its value at the optimum goes to ``cost``, negated where higher is better.
    climbers
        Changed.
    level, row
        The reference is this image of this level.
    moving
        The images, at the same level.
    max_shift_px
        Radius of the disc of shifts, in pixels of the raw images.
    windows
        Centre of psi for each image, and half width, in degrees; None = free.
    """
    fixed, sign = reference_pixels(level, row), 1.0 if measure.lower_is_better else -1.0

    def energy(rows: NDArray[np.int64], poses: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        who = climbers.image[rows]
        placed = Poses(poses[:, 0], poses[:, 1], poses[:, 2], climbers.mirror[rows])
        pixels, by_pose = moving.with_slopes(who, placed)
        value, by_pixel = measure.compare(fixed, masked(pixels, moving.level, who), slopes=True)
        gradient = np.empty((len(rows), 3))
        _chain(by_pose, by_pixel, gradient)
        return sign * value, sign * gradient

    last = level.scale == 1.0
    settings = DescentSettings(
        radius_px=0.5 * np.sqrt(len(level.inside) / np.pi) * level.scale,
        first_step_px=0.3 * level.scale,
        longest_step_px=level.scale,
        tolerance_px=0.003 if last else 0.1 * level.scale,
        max_rounds=40 if last else 12,
        max_shift_px=max_shift_px,
    )
    climbers.pose, climbers.cost = descend(energy, climbers.pose, settings, _ranges(climbers, windows))


def _ranges(climbers: Climbers, windows: tuple[NDArray[np.float64], float] | None) -> NDArray[np.float64] | None:
    """Return lowest and highest psi of each climber, (m, 2), on the side of the circle where it stands."""
    if windows is None:
        return None
    psi, (centre, half) = climbers.pose[:, 0], windows
    middle = psi + wrap_degrees(centre[climbers.image] - psi)
    return np.stack([middle - half, middle + half], axis=1)


@kernel(nogil=True)
def _chain(by_pose, by_pixel, gradient):  # type: ignore[no-untyped-def]
    """Sum dE/dpixel dpixel/dpose over the pixels of each row, in order."""
    for i in range(by_pose.shape[0]):
        for k in range(3):
            total = 0.0
            for p in range(by_pose.shape[2]):
                total += by_pose[i, k, p] * by_pixel[i, p]
            gradient[i, k] = total
