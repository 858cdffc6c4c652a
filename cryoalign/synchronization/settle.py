"""The last word on an answer: votes under the density of its residuals, from several starts.

Messages may stop at a wrong answer, or leave a few nodes between two angles. Each start is therefore taken on by votes
(votes.py) whose kernel is the log density of the residuals, estimated anew in each round, and polished. Starts are the
messages' own answer and that of the second stage of Gao and Zhao (power.py), which finds its way from the first
eigenvector by itself. The one that explains the edges best is kept. Where the messages found no more
than one frequency it must explain one nat for each node more than they do: by chance votes gain less than half of one.

Graphs of few cycles have nothing to vote on: there robust least squares (relax.py) and the walk along a spanning forest
(forest.py) compete.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.belief import Belief
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.forest import forest_poses
from cryoalign.synchronization.held_out import log_density, phase_residuals, score, shrunk_coefficients
from cryoalign.synchronization.phases import PhaseGraph
from cryoalign.synchronization.polish import polish
from cryoalign.synchronization.power import multi_frequency_power_method
from cryoalign.synchronization.relax import loss, relax
from cryoalign.synchronization.settings import PUBLISHED_K_MAX, SyncSettings
from cryoalign.synchronization.votes import BINS, best_votes

SPARSE = 8
"""Edges for each node up to which errors of long chains are looked for."""

_SURE = 0.9  # sureness from which nodes stand close enough to their angle to be polished
_SMALL = 1000  # nodes up to which the few that sure messages leave between two angles are worth a look
_LARGE = 1_500_000  # entries from which only messages are worth their time; they do not fail on so many
_NEAR_TREE = 1.5  # edges for each node up to which a tree may be the best start
_KERNEL = 32  # frequencies of the kernel
_BINS = 4 * BINS
_STEPS = 20
_LEAST_SIGMA = 1e-3  # radians


def settle(
    edges: EdgeList, graph: PhaseGraph, belief: Belief, first: NDArray[np.complex128], settings: SyncSettings
) -> NDArray[np.complex128]:
    """Return the phases of a belief, or better ones, complex128 (n,).

    Parameters
    ----------
    edges, graph
        The edges, as a list and by node.
    belief
        What messages found.
    first
        Phases of the first eigenvector, complex128 (n,).
    settings
        Highest frequency, use of weights.
    """
    many = belief.moments.shape[1] > 1
    close = many and belief.sureness > _SURE
    best = polish(graph, belief.phases) if close else belief.phases
    if settings.k_max == 1:
        return best
    if len(graph.index) <= _LARGE and not (close and edges.n > _SMALL):
        k_max = settings.k_max or PUBLISHED_K_MAX
        starts = [belief.phases, multi_frequency_power_method(graph, first, k_max, tolerance=1e-3, steps=2 * _STEPS)]
        answers = [_votes(edges, graph, start) for start in starts]
        if close:
            best = max([best, *(polish(graph, one) for one in answers)], key=lambda one: _likelihood(edges, one))
        else:
            gains = [explained(edges, one) for one in answers]
            if max(gains) > explained(edges, best) + edges.n:
                best = polish(graph, answers[int(np.argmax(gains))])
    if len(edges) <= SPARSE * edges.n:
        answers = [best, relax(edges, best, weights=settings.weights)]
        if len(edges) <= _NEAR_TREE * edges.n:
            walked = np.exp(1j * forest_poses(edges)[0])
            answers.append(relax(edges, walked, weights=settings.weights))
        best = answers[int(np.argmin([loss(edges, answer) for answer in answers]))]
    return best


def explained(edges: EdgeList, phases: NDArray[np.complex128]) -> float:
    """Return how many nats an answer explains of the edges it was made of."""
    return score(phase_residuals(edges, phases))[0].score


def _votes(edges: EdgeList, graph: PhaseGraph, phases: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Let votes under the density of the residuals settle."""
    circle = 2 * np.pi * np.arange(_BINS) / _BINS
    for _ in range(_STEPS):
        kernel = log_density(shrunk_coefficients(phase_residuals(edges, phases), _KERNEL), circle)
        last, phases = phases, np.exp(1j * best_votes(graph, np.angle(phases), kernel))
        if np.mean(np.abs(phases - last)) < 1e-3:
            break
    return phases


def _likelihood(edges: EdgeList, phases: NDArray[np.complex128]) -> float:
    """Return the log-likelihood of residuals that are normal or uniform, as polish.py takes them, in nats.

    It sees how exactly edges agree, by which a node between two angles is decided, but rewards chance where few do.
    """
    square = phase_residuals(edges, phases) ** 2
    share, sigma = 0.5, 0.3
    for _ in range(30):
        normal = share * np.sqrt(2 * np.pi) / sigma * np.exp(-0.5 * square / sigma**2)
        right = normal / (normal + 1 - share)
        share = float(np.clip(right.mean(), 1e-3, 0.999))
        sigma = float(np.sqrt(max((right * square).sum() / max(right.sum(), 1e-9), _LEAST_SIGMA**2)))
    normal = share * np.sqrt(2 * np.pi) / sigma * np.exp(-0.5 * square / sigma**2)
    return float(np.log(normal + 1 - share).sum())
