"""Leading eigenvectors against a dense solver and against known spectra."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.block_lanczos import leading_eigenvectors


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("rows", [120, 500])
def test_eigenvalues_of_a_random_matrix(dtype, rows):
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((rows, rows))
    if dtype is np.complex64:
        matrix = matrix + 1j * rng.standard_normal((rows, rows))
    matrix = matrix + matrix.conj().T
    matrix = (matrix / np.linalg.norm(matrix, 2)).astype(dtype)
    values, vectors = leading_eigenvectors(lambda x: matrix @ x, rows, 20, dtype, 20, 1e-4, 60)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[::-1][:20], atol=2e-5)
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(20), atol=1e-4)
    assert np.linalg.norm(matrix @ vectors - vectors * values.astype(np.float32), axis=0).max() < 3e-4


def test_equal_eigenvalues_and_an_exhausted_space():
    # Rank 8 with one value five times: the space is exhausted at the first block, what follows is rounding.
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.standard_normal((1500, 8)))[0].astype(np.float32)
    spectrum = np.array([0.9] * 5 + [0.5, 0.3, 0.2], np.float32)
    values, vectors = leading_eigenvectors(
        lambda x: basis @ (spectrum[:, None] * (basis.T @ x)), 1500, 30, np.float32, 8
    )
    np.testing.assert_allclose(values[:8], spectrum, atol=1e-5)
    np.testing.assert_allclose(values[8:], 0, atol=1e-5)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(30), atol=1e-4)
