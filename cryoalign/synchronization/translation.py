"""Translation synchronisation: one centre for each image, from the shifts on the edges of the graph.

Image i should be moved by t_i before anything else. If q is an offset in image j, then moved by t_j it stands at
q + t_j, and the edge (psi, d, m) that was found between the *unmoved* images carries it to R(psi)(F^m q + d) in image
i, which moved stands at R(psi)(F^m q + d) + t_i. The edge between the *moved* images should have no shift,
R(psi) F^m (q + t_j), for all q: t_i - R(psi) F^m t_j + R(psi) d = 0. So

    minimise  sum_ij w_ij |t_i - R(psi_ij) F^m_ij t_j + R(psi_ij) d_ij|^2 + mu mean(diagonal) sum_i |t_i|^2

by conjugate gradients. A field t_i that is one 3-D translation seen from each view costs nearly nothing and stays
free; mu keeps it, and images without edges, near 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import rotate_points
from cryoalign.synchronization.edges import EdgeList


def synchronise_shifts(edges: EdgeList, *, mu: float = 0.03, tolerance: float = 1e-4) -> NDArray[np.float32]:
    """Find the shift of every image that makes the shifts of the edges vanish.

    Parameters
    ----------
    edges
        Trusted edges, measured between images as they stood (if those had been moved already, the result is what they
        must be moved by in addition). Leave out the edges that are not trusted (`EdgeList.take`) or give them weight 0.
    mu
        Ridge, as a share of the mean diagonal.
    tolerance
        Relative residual at which to stop.

    Returns
    -------
    ndarray
        t, float32 (n, 2), x then y, in the pixels of the edges: moved by +t_i, images of one view share a centre. As
        the d of a pose, t_i is the origin of image i (rlnOriginX/Y in pixels).
    """
    from scipy.sparse import csr_array, diags_array  # slow to import, not needed where there are no shifts
    from scipy.sparse.linalg import LinearOperator, cg

    n = edges.n
    weight = edges.weight.astype(np.float64)
    i, j = edges.i.astype(np.int64), edges.j.astype(np.int64)
    radians = np.deg2rad(edges.angle_deg.astype(np.float64))
    cosine, sine = np.cos(radians), np.sin(radians)
    sign = np.where(edges.mirror, -1.0, 1.0)
    # R(psi) F^m = [[c m, -s], [s m, c]]; unknowns are x_0..x_n-1, y_0..y_n-1.
    turn = ((cosine * sign, -sine), (sine * sign, cosine))
    offset = [-part for part in rotate_points(edges.angle_deg, edges.shift_px[:, 0], edges.shift_px[:, 1])]
    rows = np.concatenate([i, i, i + n, i + n])
    columns = np.concatenate([j, j + n, j, j + n])
    values = -np.concatenate([weight * turn[a][b] for a in (0, 1) for b in (0, 1)])
    across = csr_array((values, (rows, columns)), shape=(2 * n, 2 * n))
    degree = np.tile(np.bincount(i, weight, n) + np.bincount(j, weight, n), 2)
    ridge = mu * degree.mean()
    normal = across + across.T + diags_array(degree + ridge)
    right = np.zeros((2, n))
    for a in (0, 1):
        right[a] += np.bincount(i, weight * offset[a], n)
        # The normal equations of t_j carry the transposed turn.
        right[a] -= np.bincount(j, weight * (turn[0][a] * offset[0] + turn[1][a] * offset[1]), n)
    diagonal = degree + ridge
    if ridge == 0:
        return np.zeros((n, 2), np.float32)
    scaled = LinearOperator((2 * n, 2 * n), matvec=lambda x: x / diagonal, dtype=np.float64)
    found = cg(normal, right.ravel(), rtol=tolerance, maxiter=500, M=scaled)[0]
    return np.ascontiguousarray(found.reshape(2, n).T, dtype=np.float32)
