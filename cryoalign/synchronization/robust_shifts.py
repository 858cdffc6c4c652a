"""One origin for each image once its angle is known, from the shifts on edges of which many are wrong.

Pose i carries the centre of image i to c_i = R(psi_i) d_i in the common frame. The edge (angle, d_ij, m_ij), which
brings image j onto image i, is P_i^-1 o P_j; with F the flip of x, and R and m_i from the solved poses, its shift is

    d_ij = F^m_i R(-psi_j) (c_j - c_i),    hence    c_j - c_i = b_ij = R(psi_j) F^m_i d_ij,

without mirrors d_j - R(psi_i - psi_j) d_i. In the common frame x and y part, and both have the same matrix, a graph
Laplacian: (sum_e w_e |c_j - c_i - b_e|^2) by conjugate gradients, w re-weighted from the residuals r (Huber's weights
first, convex, then Geman and McClure's (1 + r^2 / c^2)^-2, which let go of wrong edges altogether; Black and
Rangarajan, IJCV 1996), with c a multiple of a scale that is estimated from the residuals in each round.

All images of a component may be followed by one common shift and no edge changes: what is free is chosen so that the
geometric median of the c_i is 0. Where the shifts of the images are as often to one side as to the other, that is the
centre of what they show. Edges between images that look alike but are not in one component's frame have no say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from cryoalign.core.poses import rotate_points
from cryoalign.synchronization.edges import EdgeList, adjacency

_HUBER_ROUNDS = 4
_HUBER = 1.35
_GEMAN_MCCLURE = 3.0
"""Scales at which the weights turn: 95 % efficient for normal residuals each."""
_LEAST_SCALE_PX = 1e-3
_MOST_ROUNDS = 25
_STILL_PX = 0.01
"""Rounds end when no origin moved further, or this share of the scale if that is more."""
_TOLERANCE = 1e-5
_RAYLEIGH_MEDIAN = np.sqrt(2 * np.log(2))


@dataclass(frozen=True, eq=False)
class RobustShifts:
    """Origins of images and how far the edges are from them.

    Parameters
    ----------
    origin_px
        d = (dx, dy) of each image's pose, float64 (n, 2); 0 for images without edges.
    weight
        The last weights of the edges, times those given, float32 (E,), in [0, 1] where those are; 0 for edges whose
        mirror contradicts the poses.
    scale_px
        Estimated standard deviation of the shifts of good edges, along one axis.
    rounds
        Rounds of re-weighting.
    """

    origin_px: NDArray[np.float64]
    weight: NDArray[np.float32]
    scale_px: float
    rounds: int


def robust_shifts(
    edges: EdgeList,
    psi_deg: ArrayLike,
    mirror: ArrayLike,
    component: ArrayLike,
    inlier: ArrayLike | None = None,
) -> RobustShifts:
    """Find the origin of every image, angles and handedness being known.

    Parameters
    ----------
    edges
        The graph with its shifts; its weights count.
    psi_deg, mirror
        The solved poses, (n,) degrees and bool.
    component
        A number for the component of each image, (n,).
    inlier
        Probability of each edge to be right, from its angle, (E,); 1 if omitted.
    """
    n = edges.n
    psi, flips = np.asarray(psi_deg, dtype=np.float64), np.asarray(mirror, dtype=bool)
    prior = edges.weight * (np.float32(1) if inlier is None else np.asarray(inlier, dtype=np.float32))
    prior = np.where(edges.mirror == (flips[edges.i] ^ flips[edges.j]), prior, 0).astype(np.float64)
    wanted = _in_common_frame(edges, psi, flips)
    graph = adjacency(edges)
    centre = np.zeros((n, 2))
    weight, scale, rounds = prior, np.inf, 0
    while rounds < _MOST_ROUNDS and (prior > 0).any():
        before = centre
        product, diagonal = _laplacian(n, graph.start, graph.index, weight[graph.edge])
        right = np.stack([_incidence(edges, weight * wanted[:, axis]) for axis in (0, 1)], axis=1)
        centre = _conjugate_gradients(product, diagonal, right, centre)
        residual = _residual(edges, centre, wanted)
        scale = _scale(residual, prior, edges.n)
        rounds += 1
        if rounds <= _HUBER_ROUNDS:
            weight = prior * np.minimum(1, _HUBER * scale / np.maximum(residual, 1e-9))
            continue
        weight = prior / np.square(1 + np.square(residual / (_GEMAN_MCCLURE * scale)))
        if np.abs(centre - before).max() < max(_STILL_PX, _STILL_PX * scale):
            break
    centre -= _free_shift(centre, np.asarray(component))
    x, y = rotate_points(-psi, centre[:, 0], centre[:, 1])
    return RobustShifts(
        np.stack([x, y], axis=1),
        weight.astype(np.float32),
        float(scale) if np.isfinite(scale) else 0.0,
        rounds,
    )


def _in_common_frame(edges: EdgeList, psi: NDArray, flips: NDArray) -> NDArray[np.float64]:
    """Return b_ij = R(psi_j) F^m_i d_ij of every edge, (E, 2)."""
    x = np.where(flips[edges.i], -1.0, 1.0) * edges.shift_px[:, 0]
    return np.stack(rotate_points(psi[edges.j], x, edges.shift_px[:, 1]), axis=1)


def _residual(edges: EdgeList, centre: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    gap = centre[edges.j]
    gap -= centre[edges.i]
    gap -= wanted
    return np.hypot(gap[:, 0], gap[:, 1])


def _incidence(edges: EdgeList, flow: NDArray) -> NDArray[np.float64]:
    """Return what flows into each image less what flows out."""
    return np.asarray(np.bincount(edges.j, flow, edges.n) - np.bincount(edges.i, flow, edges.n))


def _scale(residual: NDArray, prior: NDArray, n: int) -> float:
    """Estimate the standard deviation along one axis of residuals of which many may belong to wrong edges.

    The median length (that of a Rayleigh distribution), again among those under 3 scales until it stays: wrong edges
    lie far out. A least-squares fit of n unknowns takes its share of the residuals, which is given back.
    """
    used = np.flatnonzero(prior > 0.5 * prior.max())
    length = np.sort(residual[used])
    kept, scale = len(length), np.inf
    for _ in range(30):
        scale = max(float(np.median(length[:kept])) / _RAYLEIGH_MEDIAN, _LEAST_SCALE_PX) if kept else _LEAST_SCALE_PX
        fewer = int(np.searchsorted(length, 3 * scale, "right"))
        if fewer >= kept:
            break
        kept = fewer
    return scale * float(np.sqrt(kept / max(kept - n, 0.25 * kept, 1)))


def _laplacian(
    n: int, start: NDArray, index: NDArray, entry_weight: NDArray
) -> tuple[Callable[[NDArray], NDArray], NDArray[np.float64]]:
    """Return v -> L v for (n, 2) vectors, and the diagonal of L."""
    narrow = np.int32 if start[-1] < 2**31 else np.int64
    across = csr_array((entry_weight, index.astype(narrow, copy=False), start.astype(narrow)), shape=(n, n))
    diagonal = np.asarray(across.sum(axis=1)).ravel()
    return (lambda v: diagonal[:, None] * v - across @ v), diagonal


def _conjugate_gradients(
    product: Callable[[NDArray], NDArray], diagonal: NDArray, right: NDArray, start: NDArray
) -> NDArray[np.float64]:
    """Solve L x = right for both columns, from ``start``; what L does not determine stays as it starts.

    einsum sums in a fixed order; a BLAS product would depend on its threads.
    """
    scale = np.where(diagonal > 0, 1 / np.where(diagonal > 0, diagonal, 1), 0)[:, None]
    found = start.copy()
    left = right - product(found)
    direction = scale * left
    energy = np.einsum("nc,nc->c", left, direction)
    limit = _TOLERANCE**2 * np.einsum("nc,nc->c", right, scale * right)
    for _ in range(500):
        if (energy <= limit).all():
            break
        image = product(direction)
        curvature = np.einsum("nc,nc->c", direction, image)
        step = np.where(curvature > 0, energy / np.where(curvature > 0, curvature, 1), 0)
        found += step * direction
        left -= step * image
        turned = scale * left
        before, energy = energy, np.einsum("nc,nc->c", left, turned)
        direction = turned + np.where(before > 0, energy / np.where(before > 0, before, 1), 0) * direction
    return found


def _free_shift(centre: NDArray, component: NDArray) -> NDArray[np.float64]:
    """Return the geometric median of each component's centres (Weiszfeld), at each image, (n, 2)."""
    label = np.unique(component, return_inverse=True)[1].ravel()
    count = np.bincount(label)
    middle = np.stack([np.bincount(label, centre[:, axis]) / count for axis in (0, 1)], axis=1)
    for _ in range(60):
        pull = 1 / np.maximum(np.hypot(*(centre - middle[label]).T), 1e-3)
        total = np.bincount(label, pull)
        moved = np.stack([np.bincount(label, pull * centre[:, axis]) / total for axis in (0, 1)], axis=1)
        done = np.abs(moved - middle).max() < 1e-6
        middle = moved
        if done:
            break
    found: NDArray[np.float64] = middle[label]
    return found
