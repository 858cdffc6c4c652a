"""RELION's Euler angles: rot, tilt, psi about Z, Y, Z.

A(rot, tilt, psi) carries a point of the map to the frame of the projection, whose first two coordinates are the
image's x and y (Heymann, Chagoyen & Belnap 2005, J. Struct. Biol. 151, 196).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation


def euler_matrices(rot_deg: ArrayLike, tilt_deg: ArrayLike, psi_deg: ArrayLike) -> NDArray[np.float64]:
    """Return A(rot, tilt, psi), float64 of shape (n, 3, 3), acting on (x, y, z); angles in degrees, broadcast."""
    angles = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, np.float64)) for a in (rot_deg, tilt_deg, psi_deg)))
    return np.asarray(Rotation.from_euler("ZYZ", np.stack(angles, axis=-1), degrees=True).inv().as_matrix())


def even_directions(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (rot, tilt) in degrees of views spread evenly over the sphere, each of shape (count,).

    A Fibonacci lattice (Swinbank & Purser 2006, Q. J. R. Meteorol. Soc. 132, 1769).
    """
    step = np.arange(count, dtype=np.float64)
    tilt = np.degrees(np.arccos(1.0 - (2.0 * step + 1.0) / count))
    rot = np.mod(step * 180.0 * (3.0 - np.sqrt(5.0)), 360.0)
    return rot, tilt
