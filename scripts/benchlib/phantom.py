"""A molecule of Gaussian atoms with analytic projections: truth that owes nothing to any interpolation.

An atom at r (pixels) of standard deviation s projects to a 2D Gaussian of the same s, and a pose moves its centre
exactly: aligned(R(psi)(q + d)) = image(q), so an atom at p in the aligned frame lies at q = R(-psi) p - d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Phantom:
    """Atoms: centres (a, 3) as x, y, z in box fractions, standard deviations (a,) in box fractions, weights (a,)."""

    centres: NDArray[np.float64]
    widths: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def make(
        cls, seed: int = 10, n_atoms: int = 50, radius: float = 0.3, widths: tuple[float, float] = (0.015, 0.027)
    ) -> Phantom:
        """Draw atoms from a flattened, off-centre ball: no symmetry, no mirror plane."""
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(n_atoms, 3))
        points *= (rng.random(n_atoms) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
        points *= radius * np.array([1.0, 0.8, 0.9])
        return cls(points, rng.uniform(*widths, n_atoms), rng.uniform(0.5, 1.5, n_atoms))

    def projected_atoms(self, rot_deg: float, tilt_deg: float) -> NDArray[np.float64]:
        """Return the atoms' (x, y) in box fractions, seen along (rot, tilt), psi = 0, in RELION's Euler angles."""
        a, b = np.deg2rad([rot_deg, tilt_deg])
        # RELION's matrix A(rot, tilt, 0), rows = image axes; the projection is along the third row.
        matrix = np.array(
            [
                [np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), -np.sin(b)],
                [-np.sin(a), np.cos(a), 0.0],
            ]
        )
        return self.centres @ matrix.T

    def project(
        self, box: int, rot: ArrayLike, tilt: ArrayLike, psi: ArrayLike, dx: ArrayLike, dy: ArrayLike
    ) -> NDArray[np.float32]:
        """Draw images (n, box, box) of the given views and poses (degrees, pixels)."""
        rot, tilt, psi, dx, dy = np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(v, float)) for v in (rot, tilt, psi, dx, dy))
        )
        axis = np.arange(box) - box // 2
        width = self.widths * box
        images = np.empty((len(psi), box, box), np.float32)
        for i in range(len(psi)):
            p = self.projected_atoms(rot[i], tilt[i]) * box
            c, s = np.cos(np.deg2rad(psi[i])), np.sin(np.deg2rad(psi[i]))
            x = c * p[:, 0] + s * p[:, 1] - dx[i]
            y = -s * p[:, 0] + c * p[:, 1] - dy[i]
            gx = np.exp(-0.5 * ((axis[None] - x[:, None]) / width[:, None]) ** 2)
            gy = np.exp(-0.5 * ((axis[None] - y[:, None]) / width[:, None]) ** 2) * (self.weights / width)[:, None]
            images[i] = gy.T @ gx
        return images

    def density(self, box: int) -> NDArray[np.float32]:
        """Sample the molecule on a cubic grid (box, box, box) [z, y, x], for programs that project maps."""
        axis = np.arange(box) - box // 2
        out = np.zeros((box, box, box))
        for centre, width, weight in zip(self.centres * box, self.widths * box, self.weights, strict=True):
            gx, gy, gz = (np.exp(-0.5 * ((axis - c) / width) ** 2) for c in centre)
            out += (weight / width**2) * gz[:, None, None] * gy[None, :, None] * gx[None, None, :]
        return out.astype(np.float32)


def uniform_views(n: int) -> tuple[NDArray, NDArray]:
    """Spread n viewing directions over the sphere (Fibonacci points); rot and tilt in degrees."""
    i = np.arange(n) + 0.5
    return np.mod(i * 180 * (3 - np.sqrt(5)), 360), np.rad2deg(np.arccos(1 - 2 * i / n))


def cone_views(n: int, half_angle_deg: float, axis_tilt_deg: float = 60.0) -> tuple[NDArray, NDArray]:
    """Spread n viewing directions over a cone round (rot 0, axis_tilt); rot and tilt in degrees."""
    i = np.arange(n) + 0.5
    phi = i * np.pi * (3 - np.sqrt(5))
    theta = np.arccos(1 - (1 - np.cos(np.deg2rad(half_angle_deg))) * i / n)
    x, y, z = np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)
    b = np.deg2rad(axis_tilt_deg)
    x, z = np.cos(b) * x + np.sin(b) * z, -np.sin(b) * x + np.cos(b) * z
    return np.mod(np.rad2deg(np.arctan2(y, x)), 360), np.rad2deg(np.arccos(np.clip(z, -1, 1)))
