"""A built-in asymmetric particle of Gaussian atoms, with projections known in closed form.

A Gaussian of width s projects to a Gaussian of width s, so that a projection is a sum of separable terms: no map, no
interpolation, no error but float32's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.poses import Poses
from cryoalign.simulation.euler import euler_matrices


@dataclass(frozen=True, eq=False)
class Phantom:
    """Gaussian atoms in A, relative to the centre of the box.

    Parameters
    ----------
    position_angstrom
        Shape (a, 3), x, y, z.
    width_angstrom
        Standard deviation of each atom, shape (a,).
    weight
        Integral of each atom, shape (a,).
    """

    position_angstrom: NDArray[np.float64]
    width_angstrom: NDArray[np.float64]
    weight: NDArray[np.float64]

    def project(
        self, rot_deg: ArrayLike, tilt_deg: ArrayLike, poses: Poses, box: int, pixel_size_angstrom: float
    ) -> NDArray[np.float32]:
        """Project n times, see `Projector`: line integrals in weight per pixel, sampled at the pixel centres."""
        matrices = euler_matrices(rot_deg, tilt_deg, poses.psi)
        centre = np.einsum("nij,aj->nia", matrices[:, :2], self.position_angstrom) / pixel_size_angstrom
        offset = np.arange(box) - box // 2
        width = self.width_angstrom / pixel_size_angstrom
        images = np.empty((len(matrices), box, box), np.float32)
        for i in range(len(matrices)):
            # One image at a time: a batched product could depend on the batch in its last bits.
            along_x = _gaussian(offset, centre[i, 0] - poses.dx[i], width)
            along_y = _gaussian(offset, centre[i, 1] - poses.dy[i], width) * self.weight[:, None]
            images[i] = along_y.T @ along_x
        return images


def _gaussian(offset: NDArray, centre: NDArray, width: NDArray) -> NDArray[np.float64]:
    """Return normalised Gaussians in pixels, shape (atoms, pixels)."""
    t = (offset[None, :] - centre[:, None]) / width[:, None]
    return np.exp(-0.5 * t * t) / (np.sqrt(2.0 * np.pi) * width[:, None])


# Lobes of the built-in particle: x, y, z, radius (fractions of the particle's diameter) and number of atoms.
_LOBES = (
    (0.00, -0.02, 0.03, 0.190, 60),
    (0.30, 0.10, -0.06, 0.140, 36),
    (-0.25, 0.20, 0.12, 0.115, 26),
    (0.02, 0.35, -0.15, 0.090, 18),
    (-0.15, -0.35, 0.08, 0.100, 20),
    (0.18, -0.22, 0.32, 0.075, 14),
    (-0.36, -0.10, -0.20, 0.065, 10),
)
_BODY_SHARE = 0.4


def built_in_phantom(diameter_angstrom: float, atom_width_angstrom: float) -> Phantom:
    """Return the built-in particle: seven unequal lobes, no symmetry, the same at every call.

    Parameters
    ----------
    diameter_angstrom
        Size of the particle in A.
    atom_width_angstrom
        Standard deviation of its atoms in A: what limits its resolution. Each lobe also has a broad body.

    Returns
    -------
    Phantom
        Total weight 1, centre of mass at the origin.
    """
    generator = np.random.Generator(np.random.Philox(20))
    position, width, weight = [], [], []
    for x, y, z, radius, atoms in _LOBES:
        scatter = np.clip(generator.standard_normal((atoms, 3)), -1.8, 1.8) * radius / np.sqrt(2.0)
        position.append(np.array([[x, y, z]]) + np.concatenate([scatter, np.zeros((1, 3))]))
        width.append(np.append(np.full(atoms, atom_width_angstrom), 0.6 * radius * diameter_angstrom))
        share = generator.uniform(0.5, 1.5, atoms)
        weight.append(np.append((1.0 - _BODY_SHARE) * share, _BODY_SHARE * atoms))
    weights = np.concatenate(weight) / np.concatenate(weight).sum()
    positions = np.concatenate(position)
    positions = (positions - weights @ positions) * diameter_angstrom
    return Phantom(positions, np.maximum(np.concatenate(width), atom_width_angstrom), weights)
