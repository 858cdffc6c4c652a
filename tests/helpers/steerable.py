"""What rotations and mirrors do to steerable coefficients, and principal components back and forth: by definition.

For a_k = sum of image f(r) e^{-ik phi} with real f: a rotation by psi multiplies by e^{-ik psi}, the flip of x
(phi to pi - phi) gives (-1)^k conj(a_k).
"""

from __future__ import annotations

import numpy as np


def rotated(coefficients, frequency, psi_deg):
    """Return the coefficients (n, P) of images rotated by RELION's psi in degrees, (n,) or one for all: complex64."""
    turns = np.atleast_1d(np.deg2rad(np.asarray(psi_deg, dtype=np.float64)))[:, None] * frequency
    return np.asarray(coefficients * np.exp(-1j * turns), dtype=np.complex64)


def mirrored(coefficients, frequency):
    """Return the coefficients (n, P) of images whose x is flipped about the pixel L // 2: exact."""
    sign = np.where(frequency % 2 == 0, 1, -1).astype(np.float32)
    return np.asarray(np.conj(coefficients) * sign)


def projected(pca, coefficients):
    """Return components (n, P) of coefficients (n, P0) of the basis: complex64."""
    return np.asarray((coefficients - pca.mean) @ pca.vectors, dtype=np.complex64)


def back(pca, components):
    """Return coefficients (n, P0) of the basis from components (n, P): complex64."""
    return np.asarray(components @ pca.vectors.T + pca.mean, dtype=np.complex64)
