"""A particle with a formula: a sum of Gaussian blobs, in the pixels and in Fourier space, at any pose.

Nothing here uses the package, so that what it renders can judge the package's conventions and accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Blobs:
    """Blobs at offsets (x, y) from the centre pixel box // 2, in pixels, with widths (standard deviations), heights."""

    x: np.ndarray
    y: np.ndarray
    width: np.ndarray
    height: np.ndarray

    def at(self, x, y):
        """Evaluate the density at points in pixels from the centre."""
        total = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)))
        for bx, by, w, h in zip(self.x, self.y, self.width, self.height, strict=True):
            total += h * np.exp(-((x - bx) ** 2 + (y - by) ** 2) / (2 * w**2))
        return total

    def images(self, box, psi=0.0, dx=0.0, dy=0.0, mirror=False):
        """Render image(q) = density(R(psi) (F^m q + d)) for n poses in degrees and pixels, float64 (n, box, box)."""
        psi, dx, dy, mirror = np.broadcast_arrays(*(np.atleast_1d(v) for v in (psi, dx, dy, mirror)))
        offset = np.arange(box) - box // 2
        qy, qx = np.meshgrid(offset, offset, indexing="ij")
        result = np.empty((len(psi), box, box))
        for i in range(len(psi)):
            c, s = np.cos(np.deg2rad(psi[i])), np.sin(np.deg2rad(psi[i]))
            x, y = (-qx if mirror[i] else qx) + dx[i], qy + dy[i]
            result[i] = self.at(c * x - s * y, s * x + c * y)
        return result

    def image(self, box, **pose):
        """Render one image, float64 (box, box)."""
        return self.images(box, **pose)[0]

    def transform(self, box, kx, ky):
        """Evaluate sum over q of image(q) exp(-2 pi i k.q / box) from the Gaussian's formula, k in Fourier pixels."""
        total = np.zeros(np.shape(kx), complex)
        for bx, by, w, h in zip(self.x, self.y, self.width, self.height, strict=True):
            envelope = h * 2 * np.pi * w**2 * np.exp(-2 * (np.pi * w / box) ** 2 * (kx**2 + ky**2))
            total += envelope * np.exp(-2j * np.pi / box * (kx * bx + ky * by))
        return total


def random_blobs(rng, radius, count=12, width=(1.5, 3.0)):
    """Scatter blobs evenly over a disc, radius in pixels."""
    r, a = radius * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    return Blobs(r * np.cos(a), r * np.sin(a), rng.uniform(*width, count), rng.uniform(0.5, 1.5, count))


def degrees_apart(a, b):
    """Return a - b brought into [-180, 180)."""
    return (np.asarray(a) - np.asarray(b) + 180.0) % 360.0 - 180.0


def rms(values):
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def random_poses(rng, n, reach):
    """Draw psi in degrees and (dx, dy) in a disc of a radius in pixels."""
    r, a = reach * np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    return rng.uniform(-180, 180, n), r * np.cos(a), r * np.sin(a)
