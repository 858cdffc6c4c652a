"""Two methods to compare with: cycle consistency, and re-weighted least squares. For benchmarks and documentation only.

Cycle consistency, in the spirit of CEMP (Lerman and Shi, Found. Comput. Math. 22, 1689-1741, 2022). Of a triangle of
right edges the angles add up to 0. With H_ij = e^{-i angle_ij} a triangle (i, j, k) is off by
|1 - conj(H_ij) H_ik H_kj|^2 / 4, from 0 to 1. The corruption level s_ij of an edge is the mean of that over k, each
triangle weighted by e^{-beta (s_ik + s_kj)} with the levels of the round before, while beta grows: triangles of trusted
edges come to decide. (CEMP takes the distance, we its square, so that a round is two matrix products.) The angles are
then those of the top eigenvector of the graph weighted by e^{-beta s}, divided by its degrees.

Re-weighted least squares (IRLS): the same eigenvector, each edge weighted by 1 / its residual, again and again, which
heads for the least sum of residuals instead of squares.

Both take a full n x n matrix. They are baselines of our own, not the authors' programs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from cryoalign.core.errors import InputError
from cryoalign.synchronization.edges import EdgeList

MOST_NODES = 4000


@dataclass(frozen=True, eq=False)
class BaselineAngles:
    """What a baseline finds.

    Parameters
    ----------
    psi_deg
        Angle of each node, float64 (n,), in (-180, 180], free up to a constant.
    level
        Corruption level or mean residual of each edge, float64 (E,), from 0 (right) to 1.
    """

    psi_deg: NDArray[np.float64]
    level: NDArray[np.float64]


def cycle_consistent_angles(edges: EdgeList, *, rounds: int = 20, last_beta: float = 32.0) -> BaselineAngles:
    """Synchronise by triangles.

    Parameters
    ----------
    edges
        A connected graph without mirrors, each pair once; weights are not looked at.
    rounds
        How often levels are found anew; beta grows from 1 to ``last_beta`` by equal factors.

    Raises
    ------
    InputError
        For mirrors, or more nodes than a full matrix should have.
    """
    phase, joined = _matrix(edges)
    weight = joined
    level = np.full((edges.n, edges.n), 0.5)
    for beta in np.geomspace(1.0, last_beta, rounds):
        cycles = weight @ weight
        closed = ((weight * phase) @ (weight * phase) * phase.conj()).real
        # An edge in no triangle that counts keeps the level of a toss.
        known = cycles > 1e-12 * cycles.max()
        level = np.where(known, (1 - closed / np.where(known, cycles, 1.0)) / 2, 0.5)
        weight = joined * np.exp(-beta * level)
    return BaselineAngles(_top_angles(weight * phase, weight.sum(axis=1)), level[edges.i, edges.j])


def least_residual_angles(edges: EdgeList, *, rounds: int = 30, floor: float = 0.02) -> BaselineAngles:
    """Synchronise by re-weighted least squares, from the unweighted eigenvector.

    Parameters
    ----------
    edges
        As in `cycle_consistent_angles`.
    rounds
        Eigenvectors after the first.
    floor
        Residuals |1 - e^{i r}| / 2 below this count as this.
    """
    phase, weight = _matrix(edges)
    joined = weight
    angles = _top_angles(phase, weight.sum(axis=1))
    residual = np.zeros_like(weight)
    for _ in range(rounds):
        x = np.exp(1j * np.deg2rad(angles))
        residual = np.abs(1 - phase.conj() * np.outer(x, x.conj())) / 2
        weight = joined / np.maximum(residual, floor)
        angles = _top_angles(weight * phase, weight.sum(axis=1))
    return BaselineAngles(angles, residual[edges.i, edges.j])


def _matrix(edges: EdgeList) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Return H and which pairs are joined, (n, n), without a diagonal."""
    if edges.n > MOST_NODES:
        raise InputError(f"a baseline for at most {MOST_NODES} nodes", value=edges.n)
    if edges.mirror.any():
        raise InputError("a baseline for graphs without mirrors")
    phase = np.zeros((edges.n, edges.n), np.complex128)
    phase[edges.i, edges.j] = np.exp(-1j * np.deg2rad(edges.angle_deg.astype(np.float64)))
    phase[edges.j, edges.i] = phase[edges.i, edges.j].conj()
    return phase, (np.abs(phase) > 0).astype(np.float64)


def _top_angles(matrix: NDArray[np.complex128], degree: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles of the top eigenvector of D^-1/2 H D^-1/2, in degrees."""
    root = 1 / np.sqrt(np.maximum(degree, 1e-300))
    n = len(matrix)
    vector = eigh(root[:, None] * matrix * root, subset_by_index=(n - 1, n - 1))[1][:, 0]
    return np.degrees(np.angle(vector))
