"""The moving image and its slopes: pixels inside the mask at any pose, and how they change with angle and shift.

aligned(o) = image(F R(-psi) o - F d) for offsets o from the centre (:mod:`cryoalign.core.poses`), so

    d aligned / d(dx, dy) = -F grad(image),    d aligned / d psi = grad(image) . F dR(-psi)/dpsi o,

with grad(image) from its Fourier coefficients, resampled at the same pose: the derivative is of the moving image. Every
look-up goes back to the raw pixels of the level, once, by Fourier interpolation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.masks import centre_offsets
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.metrics.pixels.pyramid import Level


def slope_images(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each image with its slopes along x and y per pixel, float32 (n, 3, L, L)."""
    box = images.shape[-1]
    k = np.fft.fftfreq(box)
    if box % 2 == 0:
        k[box // 2] = 0.0  # no sine at the Nyquist frequency
    result = np.empty((len(images), 3, box, box), np.float32)
    for i, image in enumerate(images):
        spectrum = np.fft.fft2(image)
        result[i, 0] = image
        result[i, 1] = np.fft.ifft2(2j * np.pi * k[None, :] * spectrum).real
        result[i, 2] = np.fft.ifft2(2j * np.pi * k[:, None] * spectrum).real
    return result


class MovingImages:
    """Images of a level that can be looked at from any pose.

    Parameters
    ----------
    level
        Images; poses are given in pixels of the raw images.
    """

    def __init__(self, level: Level) -> None:
        self.level = level
        self._slopes: NDArray[np.float32] | None = None
        x, y = (offset.ravel()[level.inside] for offset in centre_offsets(level.box))
        self._x, self._y = x.astype(np.float32), y.astype(np.float32)

    def pixels(self, rows: NDArray[np.int64], poses: Poses) -> NDArray[np.float32]:
        """Return the pixels inside the mask of images at poses, float32 (m, P)."""
        level = self.level
        placed = Poses(poses.psi, poses.dx / level.scale, poses.dy / level.scale, poses.mirror)
        moved = resample(level.images, placed, image_of=np.asarray(rows, np.int64))
        return moved.reshape(len(poses), -1)[:, level.inside]

    def with_slopes(self, rows: NDArray[np.int64], poses: Poses) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the pixels (m, P) and their derivatives by psi (degrees), dx and dy (raw pixels), (m, 3, P)."""
        level, m = self.level, len(poses)
        if self._slopes is None:
            self._slopes = slope_images(level.images).reshape(-1, level.box, level.box)
        at = np.argsort(np.asarray(rows), kind="stable")  # poses of one image next to one another
        placed = Poses(poses.psi, poses.dx / level.scale, poses.dy / level.scale, poses.mirror).take(np.repeat(at, 3))
        # Image by image: its pixels at all poses, then its two slopes at all poses.
        source = (3 * np.asarray(rows, np.int64)[at][:, None] + np.arange(3)).ravel()
        order = np.argsort(source, kind="stable")
        looked = resample(self._slopes, placed.take(order), image_of=source[order])
        fields = np.empty((m, 3, len(level.inside)), np.float32)
        place = np.repeat(at, 3)[order]
        fields[place, source[order] % 3] = looked.reshape(3 * m, -1)[:, level.inside]
        sign = np.where(poses.mirror, -1.0, 1.0).astype(np.float32)[:, None]
        c, s = (f(np.deg2rad(poses.psi)).astype(np.float32)[:, None] for f in (np.cos, np.sin))
        gx, gy = sign * fields[:, 1], fields[:, 2]
        slopes = np.empty_like(fields)
        # R(-psi) o = (c x + s y, -s x + c y); its derivative by psi is (-s x + c y, -c x - s y).
        slopes[:, 0] = gx * (c * self._y - s * self._x) - gy * (c * self._x + s * self._y)
        slopes[:, 0] *= np.float32(np.pi / 180.0)
        slopes[:, 1] = -gx / np.float32(level.scale)
        slopes[:, 2] = -gy / np.float32(level.scale)
        return np.ascontiguousarray(fields[:, 0]), slopes
