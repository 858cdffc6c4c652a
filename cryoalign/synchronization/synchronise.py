"""One global angle for every node of a graph from the angles of its edges: what commands call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import wrap_degrees
from cryoalign.synchronization.components import component_edges, components
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.phases import phase_graph
from cryoalign.synchronization.settings import SyncSettings
from cryoalign.synchronization.spectral import top_eigenvectors

BINS = 128


@dataclass(frozen=True, eq=False)
class ResidualDensity:
    """Density of the residuals of edges.

    Parameters
    ----------
    centres_deg
        Centres of the bins, float64 (B,), from -180.
    density
        Probability per degree, float64 (B,): its mean times 360 is 1.
    """

    centres_deg: NDArray[np.float64]
    density: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Synchronization:
    """Angles of all nodes and what the edges say of them.

    Parameters
    ----------
    psi_deg
        Angle of each node, float64 (n,), in (-180, 180]; the first node of a component has 0.
    mirror
        Whether a node is mirrored, bool (n,); the first of a component is not.
    component
        Component of each node, int64 (n,), from 1, by falling size, ties by first node.
    confidence
        In [0, 1], float64 (n,): length of the mean of e^{i psi} under what the neighbours' votes leave of a node's
        angle; 0 nothing is known, 1 an angle to itself. Isolated nodes have 0.
    residual_deg
        Edge angle minus what psi says, float32 (E,), in (-180, 180]; mirrors respected.
    inlier
        Probability that an edge belongs to the peak of the residual density and not to its uniform part, float32 (E,).
    density
        Density of the residuals of all edges.
    eigenvalues
        Frequency -> its largest eigenvalues in the largest component, falling.
    held_out_log_likelihood
        Mean over held-out edges of log(density of the residual / uniform): 0 is no better than chance.
    signal
        Whether held-out edges are explained better than chance would.
    algorithm_used
        What gave the answer in each component with edges, e.g. "auto" or "spectral (fallback)".
    isolated
        Nodes without edges, bool (n,).
    timings
        Stage -> CPU seconds.
    """

    psi_deg: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    component: NDArray[np.int64]
    confidence: NDArray[np.float64]
    residual_deg: NDArray[np.float32]
    inlier: NDArray[np.float32]
    density: ResidualDensity
    eigenvalues: dict[int, NDArray[np.float64]]
    held_out_log_likelihood: float
    signal: bool
    algorithm_used: tuple[str, ...]
    isolated: NDArray[np.bool_]
    timings: dict[str, float] = field(default_factory=dict)


def synchronise(
    edges: EdgeList,
    settings: SyncSettings | None = None,
    progress: Callable[[float], None] | None = None,
) -> Synchronization:
    """Find the angle of every node, each connected component alone.

    Parameters
    ----------
    edges
        Edges of the graph; those of weight 0 are not used (their residuals are).
    settings
        Algorithm and seed.
    progress
        Called with the share of the work that is done.
    """
    settings = settings or SyncSettings()
    began = time.process_time()
    component = components(edges)
    psi = np.zeros(edges.n)
    mirror = np.zeros(edges.n, bool)
    used: list[str] = []
    eigenvalues: dict[int, NDArray[np.float64]] = {}
    for nodes, _, part in component_edges(edges, component):
        top = top_eigenvectors(
            phase_graph(part, weights=settings.weights, threads=settings.threads), seed=settings.seed
        )
        if not eigenvalues:
            eigenvalues[1] = top.values
        psi[nodes] = np.rad2deg(np.angle(top.phases * np.conj(top.phases[0])))
        used.append("spectral")
        if progress is not None:
            progress(float(np.mean(component <= len(used))))
    residual = residuals(edges, psi, mirror)
    count, cuts = np.histogram(residual, BINS, (-180, 180))
    density = (count + 0.5) / (count + 0.5).sum() * BINS
    inlier = np.maximum(0, 1 - density.min() / density)
    bins = np.minimum(((residual + 180) * (BINS / 360)).astype(int), BINS - 1)
    likelihood = float(np.mean(np.log(density[bins]))) if len(edges) else 0.0
    isolated = np.bincount(np.concatenate([edges.i, edges.j]), minlength=edges.n) == 0
    return Synchronization(
        psi_deg=psi,
        mirror=mirror,
        component=component,
        confidence=np.where(isolated, 0.0, 1.0),
        residual_deg=residual,
        inlier=inlier[bins].astype(np.float32),
        density=ResidualDensity((cuts[1:] + cuts[:-1]) / 2, density / 360),
        eigenvalues=eigenvalues,
        held_out_log_likelihood=likelihood,
        signal=likelihood > 0.004,
        algorithm_used=tuple(used),
        isolated=isolated,
        timings={"angles": time.process_time() - began},
    )


def residuals(edges: EdgeList, psi_deg: NDArray[np.float64], mirror: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return edge angle minus the angle that the nodes' poses give, float32 (E,), in (-180, 180].

    The pose of j onto i is P_i^-1 o P_j = (m_i xor m_j, s_i (psi_j - psi_i)) with s = -1 where i is mirrored, since
    F R(a) = R(-a) F. Where an edge's mirror contradicts the nodes' the residual says nothing of the angles.
    """
    expected = psi_deg[edges.j] - psi_deg[edges.i]
    expected[mirror[edges.i]] *= -1
    return wrap_degrees(edges.angle_deg - expected).astype(np.float32)
