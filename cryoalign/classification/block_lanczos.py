"""Leading eigenvectors of a large symmetric operator: block Lanczos with full orthogonalisation and thick restarts.

A block of vectors is multiplied at once, so that the graph is read once for many vectors, and all else is matrix
products. (Golub and Van Loan, Matrix Computations, 10.3; Wu and Simon, SIAM J. Matrix Anal. Appl. 2000, for restarts.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

_BLOCK = 25
_DENSE = 400
"""Below this many rows the whole matrix is made and solved."""


def leading_eigenvectors(
    apply: Callable[[NDArray], NDArray],
    rows: int,
    count: int,
    dtype: type[np.float32] | type[np.complex64],
    accurate: int,
    tolerance: float = 1e-2,
    max_restarts: int = 12,
) -> tuple[NDArray[np.float64], NDArray]:
    """Find the algebraically largest eigenvalues of a real symmetric or complex Hermitian operator of norm about 1.

    The start vectors are fixed: equal input gives equal bytes.

    Parameters
    ----------
    apply
        Multiplies vectors (rows, b) of ``dtype`` by the operator.
    rows
        Size of the operator.
    count
        Eigenvectors wanted, at most ``rows``.
    dtype
        float32 or complex64.
    accurate
        Leading vectors that must be accurate. The others, up to ``count``, are the best of the space that was built
        for these: at the edge of a continuum single eigenvectors mean nothing and cost much.
    tolerance
        Largest residual |S u - lambda u| / lambda of an accurate vector.
    max_restarts
        Restarts after which what has been reached is returned.

    Returns
    -------
    values
        float64 (count,), falling.
    vectors
        ``dtype`` (rows, count), orthonormal columns.
    """
    dimension = max(3 * count + _BLOCK, count + 5 * _BLOCK)
    if rows <= max(_DENSE, 2 * dimension):
        values, vectors = np.linalg.eigh(_dense(apply, rows, dtype))
        return values[::-1][:count].copy(), np.ascontiguousarray(vectors[:, ::-1][:, :count]).astype(dtype)
    basis = np.zeros((rows, dimension), dtype)
    projected = np.zeros((dimension, dimension), np.complex128 if dtype is np.complex64 else np.float64)
    block = _orthonormal(_start(rows, dtype))[0]
    filled = 0
    for restart in range(max_restarts + 1):
        while filled + _BLOCK <= dimension:
            here = slice(filled, filled + _BLOCK)
            basis[:, here] = block
            filled += _BLOCK
            block = apply(block)
            # Twice is enough (Parlett): one pass leaves what rounding put back.
            column = _project_out(basis[:, :filled], block) + _project_out(basis[:, :filled], block)
            projected[:filled, here] = column
            projected[here, :filled] = column.conj().T
            block, coupling = _orthonormal(block)
            if np.abs(np.diagonal(coupling)).min() < 1e-4:
                # The block hardly leaves the space that has been reached: what is left is rounding, in any direction.
                _project_out(basis[:, :filled], block)
                block = _orthonormal(block)[0]
        values, small = np.linalg.eigh(projected[:filled, :filled])
        values, small = values[::-1], small[:, ::-1]
        residual = np.linalg.norm(coupling @ small[filled - _BLOCK :, :accurate], axis=0)
        if (residual <= tolerance * np.abs(values[:accurate])).all() or restart == max_restarts:
            break
        kept = count + _BLOCK
        basis[:, :kept] = basis[:, :filled] @ small[:, :kept].astype(dtype)
        projected[:] = 0
        np.fill_diagonal(projected[:kept, :kept], values[:kept])
        filled = kept
    return values[:count].copy(), basis[:, :filled] @ small[:, :count].astype(dtype)


def _start(rows: int, dtype: type) -> NDArray:
    rng = np.random.default_rng(20190416)
    block = rng.standard_normal((rows, _BLOCK), dtype=np.float32)
    if dtype is np.complex64:
        return block + np.complex64(1j) * rng.standard_normal((rows, _BLOCK), dtype=np.float32)
    return block


def _orthonormal(block: NDArray) -> tuple[NDArray, NDArray]:
    q, r = scipy.linalg.qr(block, mode="economic", check_finite=False)
    return np.ascontiguousarray(q), r


def _project_out(basis: NDArray, block: NDArray) -> NDArray:
    """Remove the basis from a block in place; return the coefficients."""
    coefficients = (basis.T @ block.conj()).conj()
    block -= basis @ coefficients
    return coefficients


def _dense(apply: Callable[[NDArray], NDArray], rows: int, dtype: type) -> NDArray:
    unit: NDArray = np.eye(rows, dtype=dtype)
    parts = [apply(np.ascontiguousarray(unit[:, at : at + _BLOCK])) for at in range(0, rows, _BLOCK)]
    whole = np.concatenate(parts, axis=1).astype(np.complex128 if dtype is np.complex64 else np.float64)
    return (whole + whole.conj().T) / 2
