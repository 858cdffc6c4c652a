"""Angle and handedness together, for graphs with mirrored edges.

An edge that contradicts in hand is wrong, and one that is wrong is wrong in angle and hand alike: solved together each
helps the other. Start from the top eigenvectors of growing numbers of frequencies, let the votes settle from each
start, and keep what explains the edges best. Where starts disagree (on graphs of neighbours, whose slow modes mix), the
edges are weighted by their probability to be right and the spectra taken again, while that explains the edges better.

Once the hands are known the edges can be turned into one handedness, s_i angle_ij ~ psi_j - psi_i, without those that
contradict: an ordinary graph, half of whose wrong edges are gone, for any algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.handed_start import handed_starts
from cryoalign.synchronization.handed_votes import HandedVotes, handed_votes
from cryoalign.synchronization.phases import phase_graph

_K_MAX = 32
_SURE = 0.3
"""Weight of frequency 1 from which one start is enough: its eigenvectors are then near the truth everywhere."""
_AGREE = 0.002
"""Starts agree when the log-likelihoods they lead to differ by no more than this share."""
_REWEIGHTINGS = 3
_LEAST_TRUST = 1e-3


@dataclass(frozen=True, eq=False)
class Handed:
    """Angles and handedness of the nodes of a component, free up to one rotation and one handedness.

    Parameters
    ----------
    psi_rad
        float64 (n,).
    mirror
        bool (n,).
    eigenvalues
        Frequency -> its three largest eigenvalues, falling; the first two are one, split by noise.
    """

    psi_rad: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    eigenvalues: dict[int, NDArray[np.float64]]


def solve_handed(
    edges: EdgeList,
    *,
    k_max: int | None = None,
    votes: bool = True,
    start: Handed | None = None,
    weights: bool = True,
    seed: int = 0,
    threads: int = 1,
) -> Handed:
    """Solve for the angle and the handedness of every node.

    Parameters
    ----------
    edges
        A connected graph, some of its edges mirrored.
    k_max
        Highest frequency; 32 if None.
    votes
        Let votes settle, as above; else what the spectra say is returned as it is.
    start
        A good answer of most of the edges, on which the votes of all settle; no spectra are taken then.
    weights
        Use the weights of the edges.
    seed
        Seed of the eigenvectors' start.
    threads
        Threads; the result does not depend on it.
    """
    graph = phase_graph(edges, weights=weights, threads=threads)
    if start is not None and votes:
        last = handed_votes(graph, start.psi_rad, start.mirror)
        return Handed(last.psi_rad, last.mirror, start.eigenvalues)
    k_max = k_max or _K_MAX
    best: HandedVotes | None = None
    eigenvalues: dict[int, NDArray[np.float64]] = {}
    settled = False
    for spectral in handed_starts(graph, k_max, seed=seed):
        eigenvalues = spectral.eigenvalues
        if not votes:
            found = Handed(spectral.psi_rad, spectral.mirror, eigenvalues)
            continue
        now = handed_votes(graph, spectral.psi_rad, spectral.mirror)
        settled = spectral.weight >= _SURE or (best is not None and _about(now.log_likelihood, best.log_likelihood))
        if best is None or now.log_likelihood > best.log_likelihood:
            best = now
        if settled:
            break
    if best is None:
        return found
    given = np.float32(1) if graph.weight is None else graph.weight
    for _ in range(0 if settled else _REWEIGHTINGS):
        trusted = replace(graph, weight=(given * np.maximum(best.trust, _LEAST_TRUST)).astype(np.float32))
        tries = []
        for spectral in handed_starts(trusted, min(k_max, 4), seed=seed):
            tries.append(handed_votes(graph, spectral.psi_rad, spectral.mirror))
        again = max(tries, key=lambda one: one.log_likelihood)
        if again.log_likelihood <= best.log_likelihood:
            break
        before, best = best, again
        if _about(best.log_likelihood, before.log_likelihood):
            break
    return Handed(best.psi_rad, best.mirror, eigenvalues)


def one_handed(edges: EdgeList, mirror: NDArray[np.bool_]) -> EdgeList:
    """Turn edges into one handedness: angles that psi_j - psi_i should be, none mirrored, same order.

    Parameters
    ----------
    edges
        The graph.
    mirror
        Handedness of the nodes, bool (n,).

    Returns
    -------
    EdgeList
        Edges whose mirror contradicts the nodes' have weight 0; shifts are as they were and no longer belong.
    """
    agrees = edges.mirror == (mirror[edges.i] ^ mirror[edges.j])
    angle = np.where(mirror[edges.i] & (edges.angle_deg != 180), -edges.angle_deg, edges.angle_deg)
    weight = np.where(agrees, edges.weight, np.float32(0))
    none = np.zeros(len(edges), bool)
    return EdgeList(edges.n, edges.i, edges.j, angle, none, edges.shift_px, weight)


def _about(one: float, other: float) -> bool:
    return abs(one - other) <= _AGREE * max(abs(one), abs(other), 1e-3)
