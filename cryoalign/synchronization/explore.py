"""Messages of one frequency, then of many from two starts, and the one that is explained best.

The first frequency alone is best where noise is additive, many are where errors are gross. Which holds is asked of
edges that the messages are made to forget (belief.py's own gain flatters a wrong answer of many frequencies by up to
2.5 nats for each node). One nat for each node must be gained, as a wrong answer gains up to half of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.belief import Belief, posterior_moments, propagate, summed_votes
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.held_out import splits
from cryoalign.synchronization.phases import PhaseGraph, phase_graph
from cryoalign.synchronization.settings import SyncSettings
from cryoalign.synchronization.spectral import TopEigenvectors, top_eigenvectors

FREQUENCIES = 16
"""Frequencies of the messages where the user does not say."""

SURE = 0.8
"""Mean |m| from which an answer is taken without trying other starts."""

_PRODUCTS = 4e7  # entries x frequencies up to which eigenvectors of many frequencies are affordable
_PLAIN = 5.0  # nats for each node from which no test is needed
_FORGET = 12  # steps that forget held-out edges


@dataclass(frozen=True, eq=False)
class Explored:
    """What `explore` found.

    Parameters
    ----------
    belief
        The answer.
    spectral
        Frequency -> its top eigenvectors.
    """

    belief: Belief
    spectral: dict[int, TopEigenvectors]


def explore(edges: EdgeList, settings: SyncSettings, graph: PhaseGraph) -> Explored:
    """Solve a connected graph.

    Parameters
    ----------
    edges
        Edges without mirrors.
    settings
        Highest frequency (16 if None), use of weights, seed, threads.
    graph
        The same edges by node.
    """
    many, seed = settings.k_max or FREQUENCIES, settings.seed
    spectral = {1: top_eigenvectors(graph, 1, seed=seed)}
    f, q = strength(graph, spectral[1])
    start = (np.sqrt(q) * spectral[1].phases[:, None]).astype(np.complex64)
    one = propagate(graph, start, np.array([f]), 20, seed=seed)
    if many == 1:
        return Explored(one, spectral)
    fields = summed_votes(graph, one.moments, graph.relative_weight()) * one.coefficients
    wide = posterior_moments(graph, fields, many)
    found = [one, propagate(graph, wide, np.full(many, one.coefficients[0]), 40, seed=seed)]
    if found[1].sureness < SURE or found[1].gain < one.gain:
        affordable = max(2, int(min(many, _PRODUCTS / max(len(graph.index), 1))))
        f_all, start = _joint_start(graph, spectral, affordable, seed)
        found.append(propagate(graph, start, f_all, 60, seed=seed))
    return Explored(_better(edges, settings, found), spectral)


def strength(graph: PhaseGraph, top: TopEigenvectors) -> tuple[float, float]:
    """Return f_k and the squared correlation with the truth of a frequency from its top eigenvalue.

    A spike f of a random matrix with entries of mean square 1 / d is seen as f + 1 / (d f), and its eigenvector has
    the squared correlation 1 - 1 / (d f^2) (Benaych-Georges and Nadakuditi, Adv. Math. 2011).
    """
    weight = graph.relative_weight()
    square = 1.0 if weight is None else float(np.mean(weight.astype(np.float64) ** 2))
    noise = square * graph.n / max(len(graph.index), 1)
    value = float(top.values[0]) if len(top.values) else 0.0
    f = min((value + np.sqrt(max(value**2 - 4 * noise, 0.0))) / 2, 0.99)
    f = max(f, np.sqrt(noise))
    return f, max(0.02, 1 - noise / f**2)


def _joint_start(
    graph: PhaseGraph, spectral: dict[int, TopEigenvectors], k_max: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.complex64]]:
    """Gather the eigenvectors of all frequencies, their global phases removed by what lower ones say of x^k."""
    f = np.zeros(k_max)
    moments = np.zeros((graph.n, k_max), np.complex64)
    votes = np.zeros((graph.n, k_max), np.complex128)
    for k in range(1, k_max + 1):
        if k not in spectral:
            spectral[k] = top_eigenvectors(graph, k, seed=seed)
        f[k - 1], q = strength(graph, spectral[k])
        vector = np.sqrt(q) * spectral[k].phases
        if k > 1:
            expected = posterior_moments(graph, votes[:, : k - 1] * f[: k - 1], k)[:, k - 1]
            turn = complex((vector.conj() * expected).sum())
            vector = vector * (turn / abs(turn) if abs(turn) > 0 else 1)
        moments[:, k - 1] = vector
        votes[:, k - 1] = graph.multiply(graph.turns(k), vector)
    return f, moments


def _better(edges: EdgeList, settings: SyncSettings, found: list[Belief]) -> Belief:
    """Choose between the belief of one frequency, which comes first, and those of many."""
    nat = edges.n / max(len(edges), 1)
    best = max(found[1:], key=lambda one: one.gain)
    gained = best.gain - max(found[0].gain, 0.0)
    if gained > _PLAIN * nat:
        return best
    if gained < nat:  # a flattering gain that is not enough
        return found[0]
    held = next(splits(edges, settings.seed))
    graph = phase_graph(edges.take(~held), weights=settings.weights, threads=settings.threads)
    gains = []
    for one in found:
        forgot = propagate(graph, one.moments, one.coefficients, _FORGET, seed=settings.seed, tolerance=0)
        gains.append(forgot.log_likelihood(edges.take(held)))
    best_of_many = int(np.argmax(gains[1:])) + 1
    return found[best_of_many] if gains[best_of_many] - max(gains[0], 0.0) > nat else found[0]
