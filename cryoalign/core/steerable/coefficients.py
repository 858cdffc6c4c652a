"""What rotations and mirrors do to steerable coefficients.

For a_k = sum of image f(r) e^{-ik phi} with real f: a rotation by psi multiplies by e^{-ik psi}, the flip of x
(phi to pi - phi) gives (-1)^k conj(a_k).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def rotated(
    coefficients: NDArray[np.complex64], frequency: NDArray[np.integer], psi_deg: ArrayLike
) -> NDArray[np.complex64]:
    """Return the coefficients of rotated images.

    Parameters
    ----------
    coefficients
        Shape (n, P).
    frequency
        Angular frequencies, shape (P,).
    psi_deg
        RELION's psi in degrees, shape (n,) or one for all.

    Returns
    -------
    NDArray
        complex64, shape (n, P).
    """
    turns = np.atleast_1d(np.deg2rad(np.asarray(psi_deg, dtype=np.float64)))[:, None] * frequency
    return np.asarray(coefficients * np.exp(-1j * turns), dtype=np.complex64)


def mirrored(coefficients: NDArray[np.complex64], frequency: NDArray[np.integer]) -> NDArray[np.complex64]:
    """Return the coefficients (n, P) of images whose x is flipped about the pixel L // 2: exact."""
    sign = np.where(frequency % 2 == 0, 1, -1).astype(np.float32)
    return np.asarray(np.conj(coefficients) * sign)


def multiplicity(frequency: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return how often each component counts in a product of real images: 1 for k = 0, else 2, for k and -k."""
    return np.where(np.asarray(frequency) == 0, 1, 2).astype(np.float32)
