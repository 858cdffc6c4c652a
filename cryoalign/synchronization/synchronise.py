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
from cryoalign.synchronization.error_density import ResidualDensity, inlier_probability, residual_density
from cryoalign.synchronization.held_out import SIGNAL_Z, HeldOut
from cryoalign.synchronization.phases import phase_graph
from cryoalign.synchronization.settings import SyncSettings
from cryoalign.synchronization.solve import confidence, solve, solve_mirrored


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
        In [0, 1], float64 (n,): expected cosine of the error of a node's angle, given its neighbours' angles and what
        held-out edges show an edge to be worth: 0 nothing is known, 1 exact. It falls with a wide peak of the votes and
        with a second one alike. Isolated nodes and graphs without any cycle have 0.
    residual_deg
        Edge angle minus what psi says, float32 (E,), in (-180, 180]; mirrors respected.
    inlier
        Probability that an edge is right: of the peak of the residuals, not of their uniform part, float32 (E,).
    density
        Density of the residuals of all edges.
    eigenvalues
        Frequency -> its largest eigenvalues in the largest component, falling.
    held_out_log_likelihood
        Mean over held-out edges of log(density of the residual / uniform): 0 is no better than chance.
    signal
        Whether held-out edges are explained better than angles at random would be (held_out.py); where no edge closes a
        cycle nothing can be checked and it is True, without any edge False.
    algorithm_used
        What gave the answer in each component with edges, e.g. "auto" or "spectral (fallback)".
    isolated
        Nodes without edges, bool (n,).
    timings
        Stage -> CPU seconds.
    checkable
        Whether any edge that was held out closed a cycle with the others.
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
    checkable: bool = True

    @property
    def median_residual_deg(self) -> float:
        """The median size of residuals, each counted as much as its edge is likely right."""
        size = np.abs(self.residual_deg.astype(np.float64))
        order = np.argsort(size, kind="stable")
        share = np.cumsum(self.inlier[order].astype(np.float64))
        return float(size[order][np.searchsorted(share, share[-1] / 2)]) if share[-1] > 0 else float(np.median(size))


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
    sure = np.zeros(edges.n)
    used: list[str] = []
    eigenvalues: dict[int, NDArray[np.float64]] = {}
    tested = HeldOut()
    done = 0
    for nodes, _, part in component_edges(edges, component):
        found = _solve(part, settings)
        eigenvalues = eigenvalues or found.eigenvalues
        psi[nodes], mirror[nodes], sure[nodes] = found.psi_deg, found.mirror, found.confidence
        tested = tested + found.held_out
        used.append(found.used)
        done += len(part)
        if progress is not None:
            progress(done / len(edges))
    solved = time.process_time()
    residual = residuals(edges, psi, mirror)
    # An edge that contradicts the hands of its nodes says nothing of angles and is wrong.
    agrees = edges.mirror == (mirror[edges.i] ^ mirror[edges.j])
    inlier = np.zeros(len(edges), np.float32)
    inlier[agrees] = inlier_probability(residual[agrees])
    checkable = tested.null_variance > 0 or tested.tested > 0
    return Synchronization(
        psi_deg=psi,
        mirror=mirror,
        component=component,
        confidence=sure,
        residual_deg=residual,
        inlier=inlier,
        density=residual_density(residual[agrees]),
        eigenvalues=eigenvalues,
        held_out_log_likelihood=tested.log_likelihood,
        signal=tested.z > SIGNAL_Z if checkable else len(used) > 0,
        algorithm_used=tuple(used),
        isolated=np.bincount(np.concatenate([edges.i, edges.j]), minlength=edges.n) == 0,
        timings={"solve": solved - began, "edges": time.process_time() - solved},
        checkable=checkable,
    )


@dataclass(frozen=True, eq=False)
class _Component:
    psi_deg: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    used: str
    eigenvalues: dict[int, NDArray[np.float64]]
    held_out: HeldOut


def _solve(edges: EdgeList, settings: SyncSettings) -> _Component:
    """Solve a component; its first node comes to 0, unmirrored."""
    mirror = np.zeros(edges.n, bool)
    if edges.mirror.any():
        mirror, edges, found = solve_mirrored(edges, settings)
    else:
        found = solve(edges, settings)
    graph = phase_graph(edges, weights=settings.weights, threads=settings.threads)
    sure = confidence(graph, found.phases, found.residual_rad)
    psi = np.rad2deg(np.angle(found.phases * np.conj(found.phases[0])))
    if mirror[0]:  # a frame that is flipped turns every angle round
        psi, mirror = -psi, ~mirror
    return _Component(wrap_degrees(psi), mirror, sure, found.used, found.eigenvalues, found.held_out)


def residuals(edges: EdgeList, psi_deg: NDArray[np.float64], mirror: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return edge angle minus the angle that the nodes' poses give, float32 (E,), in (-180, 180].

    The pose of j onto i is P_i^-1 o P_j = (m_i xor m_j, s_i (psi_j - psi_i)) with s = -1 where i is mirrored, since
    F R(a) = R(-a) F. Where an edge's mirror contradicts the nodes' the residual says nothing of the angles.
    """
    expected = psi_deg[edges.j] - psi_deg[edges.i]
    expected[mirror[edges.i]] *= -1
    return wrap_degrees(edges.angle_deg - expected).astype(np.float32)
