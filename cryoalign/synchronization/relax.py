"""Robust least squares of all angles at once, for graphs of few cycles.

Votes move a node at a time, so that an error spread over a long chain of edges never leaves it; here every round solves
sum_ij w_ij (r_ij - (d_j - d_i))^2 for the corrections d of all nodes (Gauss and Newton; conjugate gradients), w_ij the
probability that an edge is right under a normal and a uniform density of residuals, as in polish.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import LinearOperator, cg

from cryoalign.synchronization.edges import EdgeList

_ROUNDS = 8
_STEPS = 2000  # of conjugate gradients: on a chain one is needed for each node
_LEAST_SIGMA = 0.02  # radians; less would trust the edges of a tree that fit by construction alone
_SCALE = np.deg2rad(3.0)
_DONE = 1e-7


def wrapped(edges: EdgeList, psi_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the residuals of unmirrored edges, float64 (E,), in radians."""
    gap = np.deg2rad(edges.angle_deg.astype(np.float64)) - psi_rad[edges.j] + psi_rad[edges.i]
    return np.asarray(gap - 2 * np.pi * np.round(gap / (2 * np.pi)))


def loss(edges: EdgeList, phases: NDArray[np.complex128]) -> float:
    """Return the sum of log(1 + (residual / 3 degrees)^2) (Cauchy's loss)."""
    return float(np.log1p((wrapped(edges, np.angle(phases)) / _SCALE) ** 2).sum())


def relax(edges: EdgeList, phases: NDArray[np.complex128], *, weights: bool = True) -> NDArray[np.complex128]:
    """Bring phases to the robust least-squares answer near them, complex128 (n,).

    Parameters
    ----------
    edges
        Edges without mirrors.
    phases
        A start, complex128 (n,).
    weights
        Use the weights of the edges.
    """
    psi, n = np.angle(phases), edges.n
    given = edges.weight.astype(np.float64) if weights else (edges.weight > 0).astype(np.float64)
    share, sigma = 0.5, 0.3
    for _ in range(_ROUNDS):
        error = wrapped(edges, psi)
        for _ in range(5):
            normal = share * np.exp(-0.5 * (error / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
            right = normal / (normal + (1 - share) / (2 * np.pi))
            share = float(np.clip(right.mean(), 1e-3, 0.999))
            sigma = float(np.sqrt(max((right * error**2).sum() / max(right.sum(), 1e-9), _LEAST_SIGMA**2)))
        w = right * given
        pull = np.bincount(edges.j, w * error, n) - np.bincount(edges.i, w * error, n)
        degree = np.bincount(edges.i, w, n) + np.bincount(edges.j, w, n)
        scale = degree + 1e-9 * max(degree.max(), 1e-300)  # islands are free to turn
        joined = coo_array((w, (edges.i, edges.j)), shape=(n, n)).tocsr()
        matrix = diags_array(scale) - joined - joined.T
        inverse = LinearOperator((n, n), matvec=lambda x, scale=scale: x / scale)
        move, _ = cg(matrix, pull, rtol=1e-9, maxiter=_STEPS, M=inverse)
        psi = psi + move
        if np.max(np.abs(move)) < _DONE:
            break
    return np.exp(1j * psi)
