"""Short unit vectors that no rotation changes: similar views have a large product, whatever their in-plane angles.

The bispectrum of the strongest components, scaled to length 1 image by image, then its principal components. With
mirrored images thrown in, real and imaginary parts are uncorrelated, so that each principal component belongs to one of
them: a mirror keeps the former and changes the sign of the latter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.features import Features
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.steerable.basis import GEMM_ROWS
from cryoalign.core.steerable.bispectrum import bispectrum_invariants, bispectrum_terms
from cryoalign.core.tiles import run_tiles

N_TERMS = 2000
"""Terms of the bispectrum."""
SIZE = 200
"""Length of the vectors, at most."""
SAMPLE = 4096
"""Principal components come from so many images at most, evenly spaced."""
_EXTRA, _ROUNDS, _SEED = 32, 2, 1


def candidate_vectors(features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return vectors whose products propose neighbours.

    Parameters
    ----------
    features
        The images.

    Returns
    -------
    plain, mirrored
        Unit vectors of the images and of the mirrored images, float32 (n, D), D <= SIZE; they differ in the signs of
        whole columns only.
    """
    coefficients, n = features.coefficients, len(features)
    terms = bispectrum_terms(features.frequency, features.eigenvalue, N_TERMS)
    rows = evenly_spread(SAMPLE, n)
    sample = _unit_bispectrum(coefficients[rows], terms)
    mean = sample.real.mean(axis=0)
    even, even_variance = _principal_axes(np.ascontiguousarray(sample.real) - mean)
    odd, odd_variance = _principal_axes(np.ascontiguousarray(sample.imag))
    # The largest variances of both kinds together.
    kept = np.argsort(-np.concatenate([even_variance, odd_variance]), kind="stable")[:SIZE]
    even = even[:, np.sort(kept[kept < len(even_variance)])]
    odd = odd[:, np.sort(kept[kept >= len(even_variance)]) - len(even_variance)]
    plain = np.empty((n, even.shape[1] + odd.shape[1]), np.float32)

    def compute(begin: int) -> None:
        tile = _unit_bispectrum(coefficients[begin : begin + GEMM_ROWS], terms)
        found = np.concatenate([(tile.real - mean) @ even, np.ascontiguousarray(tile.imag) @ odd], axis=1)
        length = np.sqrt(np.sum(found * found, axis=1, keepdims=True))
        plain[begin : begin + GEMM_ROWS] = found / np.maximum(length, np.finfo(np.float32).tiny)

    run_tiles(compute, range(0, n, GEMM_ROWS), features.threads)
    sign = np.repeat(np.array([1, -1], np.float32), [even.shape[1], odd.shape[1]])
    return plain, plain * sign


def _unit_bispectrum(coefficients: NDArray[np.complex64], terms: NDArray[np.int64]) -> NDArray[np.complex64]:
    """Return the bispectrum of images scaled to length 1, so that no bright one rules the principal components."""
    product = bispectrum_invariants(coefficients, terms)
    squares = product.view(np.float32) ** 2
    length = np.sqrt(squares.sum(axis=1, keepdims=True))
    return np.asarray(product / np.maximum(length, np.finfo(np.float32).tiny))


def _principal_axes(sample: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return up to `SIZE` principal axes (T, D) and variances, largest first, by subspace iteration.

    Halko, Martinsson & Tropp 2011, SIAM Rev. 53, 217; the start is random but always the same.
    """
    generator = np.random.Generator(np.random.Philox(_SEED))
    width = min(SIZE + _EXTRA, *sample.shape)
    basis = generator.standard_normal((sample.shape[1], width)).astype(np.float32)
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(sample.T @ (sample @ basis))
    seen = sample @ basis
    value, vector = np.linalg.eigh((seen.T @ seen).astype(np.float64) / max(len(sample), 1))
    keep = np.arange(width)[::-1][:SIZE]
    return basis @ vector[:, keep].astype(np.float32), value[keep]
