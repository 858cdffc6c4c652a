"""Every way to synchronise a simulated graph by name, and how near it comes to the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from cryoalign.simulation.graphs import SimulatedGraph
from cryoalign.synchronization.edges import EdgeList, every_edge
from cryoalign.synchronization.phases import phase_graph
from cryoalign.synchronization.power import multi_frequency_power_method, power_method
from cryoalign.synchronization.ppe import periodogram_peaks
from cryoalign.synchronization.settings import PUBLISHED_K_MAX, SyncSettings
from cryoalign.synchronization.spectral import top_eigenvectors
from cryoalign.synchronization.synchronise import Synchronization, synchronise

from .agreement import agreement, correlation
from .sync_baselines import cycle_consistent_angles, least_residual_angles

Make = Callable[[int], SimulatedGraph]
BASELINES = {"cycles": cycle_consistent_angles, "IRLS": least_residual_angles}


def edges_of(graph: SimulatedGraph) -> EdgeList:
    """Return the edges alone, as the solver is given them."""
    return every_edge(graph.n, graph.i, graph.j, graph.angle_deg, graph.mirror, graph.shift_px)


def solved(graph: SimulatedGraph, method: str = "auto", k_max: int | None = None) -> Synchronization:
    """Synchronise with one of cryoalign's algorithms."""
    return synchronise(edges_of(graph), SyncSettings(algorithm=method, k_max=k_max))  # type: ignore[arg-type]


def angles_of(graph: SimulatedGraph, method: str, k_max: int | None = None) -> NDArray[np.float64]:
    """Return psi of every node by an algorithm or a baseline, degrees; without what `synchronise` says beside it."""
    if method in BASELINES:
        return BASELINES[method](edges_of(graph)).psi_deg
    if method == "auto":
        return solved(graph, method, k_max).psi_deg
    entries = phase_graph(edges_of(graph))
    if method == "ppe":
        return np.degrees(np.angle(periodogram_peaks(entries, k_max or PUBLISHED_K_MAX)[0]))
    phases = top_eigenvectors(entries).phases
    if method == "gpm":
        phases = power_method(entries, phases)
    elif method == "mfgpm":
        phases = multi_frequency_power_method(entries, phases, k_max or PUBLISHED_K_MAX)
    elif method != "spectral":
        raise ValueError(method)
    return np.degrees(np.angle(phases))


def correlations(make: Make, seeds: Iterable[int], method: str, k_max: int | None = None) -> NDArray[np.float64]:
    """Return Corr of each seed; for connected graphs without mirrors."""
    graphs = map(make, seeds)
    return np.array([correlation(angles_of(graph, method, k_max), graph.psi_deg) for graph in graphs])


def judged(make: Make, seeds: Iterable[int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return Corr of auto and whether it saw a signal, for each seed."""
    pairs = [(graph, solved(graph)) for graph in map(make, seeds)]
    corr = np.array([correlation(found.psi_deg, graph.psi_deg) for graph, found in pairs])
    return corr, np.array([found.signal for _, found in pairs])


def worst_component(graph: SimulatedGraph, found: Synchronization) -> float:
    """Return the least Corr over the components of two nodes or more, handedness included."""
    worst = 1.0
    for component in range(1, int(graph.component.max()) + 1):
        rows = graph.component == component
        if rows.sum() > 1:
            truth = graph.truth.take(rows)
            got = agreement(found.psi_deg[rows], truth.psi, found.mirror[rows], truth.mirror)
            worst = min(worst, got.correlation)
    return worst
