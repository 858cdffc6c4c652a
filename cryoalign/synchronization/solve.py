"""One connected component: its phases by any algorithm, and how well they explain edges they have not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.belief import posterior_moments, propagate, summed_votes
from cryoalign.synchronization.components import components
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.explore import SURE, Explored, explore
from cryoalign.synchronization.forest import forest_poses, is_tree
from cryoalign.synchronization.handedness import Handed, one_handed, solve_handed
from cryoalign.synchronization.held_out import (
    FREQUENCIES,
    SIGNAL_Z,
    HeldOut,
    held_out_residuals,
    score,
    shrunk_coefficients,
    splits,
    splits_needed,
)
from cryoalign.synchronization.phases import PhaseGraph, phase_graph
from cryoalign.synchronization.polish import polish
from cryoalign.synchronization.power import multi_frequency_power_method, power_method
from cryoalign.synchronization.ppe import periodogram_peaks
from cryoalign.synchronization.settings import PUBLISHED_K_MAX, SyncSettings
from cryoalign.synchronization.settle import SPARSE, explained, settle
from cryoalign.synchronization.spectral import top_eigenvectors

_PLAIN_Z = 10.0  # no more splits are needed once held-out edges agree so much better than chance
_FALL = 3.0  # standard errors by which a plain answer must explain held-out edges better to replace auto's
_WORTH = 0.01  # share of the log-likelihood below which a gain is not worth another answer
_SETTLE = 8  # steps that take in the edges which had been held out
_HOPELESS = 1.6  # standard deviations below the pace of a signal at which it is given up, one time in 20 wrongly


TREE = "tree (nothing to check)"
"""What gave the answer of a component in which no edge closes a cycle."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Answer of a component.

    Parameters
    ----------
    phases
        e^{i psi}, complex128 (n,), free up to one rotation.
    used
        What gave it.
    eigenvalues
        Frequency -> its top eigenvalues.
    held_out
        What edges that were not used say of the algorithm's answers.
    residual_rad
        Residuals of those edges, float64.
    """

    phases: NDArray[np.complex128]
    used: str
    eigenvalues: dict[int, NDArray[np.float64]]
    held_out: HeldOut
    residual_rad: NDArray[np.float64]


def solve(edges: EdgeList, settings: SyncSettings) -> Solution:
    """Solve a connected component without mirrors."""
    if settings.algorithm == "auto" and is_tree(edges):
        return Solution(np.exp(1j * forest_poses(edges)[0]), TREE, {}, HeldOut(), np.zeros(0))
    return _solve_auto(edges, settings) if settings.algorithm == "auto" else _solve_plain(edges, settings)


def solve_mirrored(edges: EdgeList, settings: SyncSettings) -> tuple[NDArray[np.bool_], EdgeList, Solution]:
    """Solve a connected component with mirrors.

    Angles and hands are found together, then the edges are turned into one handedness and solved as any others.

    Returns
    -------
    mirror
        Handedness of the nodes, bool (n,).
    edges
        All edges, turned into one handedness; those that contradict it have weight 0.
    solution
        Phases in that handedness.
    """
    if settings.algorithm == "auto" and is_tree(edges):
        psi, mirror = forest_poses(edges)
        return mirror, one_handed(edges, mirror), Solution(np.exp(1j * psi), TREE, {}, HeldOut(), np.zeros(0))
    residuals: list[NDArray[np.float64]] = []
    known: Handed | None = None
    for held in _splits(edges, settings):
        answer = _handed(edges.take(~held), settings)
        both = one_handed(edges, answer.mirror)
        residuals.append(held_out_residuals(both, held, np.exp(1j * answer.psi_rad)))
        if score(np.concatenate(residuals))[0].z > _PLAIN_Z:
            known = answer if len(residuals) == 1 else None
            break
    pooled = np.concatenate(residuals)
    # What most edges have found is taken on by all.
    handed = _handed(edges, settings, known)
    turned = one_handed(edges, handed.mirror)
    name: str
    used = turned.take(turned.weight > 0)
    phases, name = np.exp(1j * handed.psi_rad), settings.algorithm
    if np.all(components(used) == 1):
        found = solve(used, settings)
        # One nat for each node is what an answer can gain by chance.
        gain = explained(used, phases) - explained(used, found.phases)
        if settings.algorithm == "auto" and gain > edges.n:
            phases = polish(_graph(used, settings), phases)
        else:
            phases, name = found.phases, found.used
    return handed.mirror, turned, Solution(phases, name, handed.eigenvalues, score(pooled)[0], pooled)


def _handed(edges: EdgeList, settings: SyncSettings, start: Handed | None = None) -> Handed:
    votes = settings.algorithm != "spectral"
    found = solve_handed(
        edges,
        k_max=settings.k_max,
        votes=votes,
        start=start,
        weights=settings.weights,
        seed=settings.seed,
        threads=settings.threads,
    )
    if settings.algorithm != "auto" or len(edges) > SPARSE * edges.n:
        return found
    # Over long chains the spectra mix up hands; a walk does not, where edges are right.
    psi, mirror = forest_poses(edges)
    agreeing = [int((one_handed(edges, hands).weight > 0).sum()) for hands in (mirror, found.mirror)]
    return Handed(psi, mirror, found.eigenvalues) if agreeing[0] > agreeing[1] else found


def confidence(
    graph: PhaseGraph, phases: NDArray[np.complex128], residual_rad: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return |E e^{i psi}| of each node given its neighbours' votes, float64 (n,), in [0, 1].

    Each vote has the density of residuals of edges that were held out, so it is worth what edges are known to be worth:
    nothing where those residuals are uniform, or where there were none.
    """
    f = shrunk_coefficients(residual_rad, FREQUENCIES)
    if not f.any():
        return np.zeros(graph.n)
    powers = phases[:, None] ** np.arange(1, FREQUENCIES + 1)
    fields = summed_votes(graph, powers.astype(np.complex64), graph.relative_weight()) * f
    return np.clip(np.abs(posterior_moments(graph, fields, 1)[:, 0]).astype(np.float64), 0, 1)


def _solve_plain(edges: EdgeList, settings: SyncSettings) -> Solution:
    phases, eigenvalues = _plain(_graph(edges, settings), settings)
    residuals: list[NDArray[np.float64]] = []
    for held in _splits(edges, settings):
        answer, _ = _plain(_graph(edges.take(~held), settings), settings)
        residuals.append(held_out_residuals(edges, held, answer))
        if score(np.concatenate(residuals))[0].z > _PLAIN_Z:
            break
    pooled = np.concatenate(residuals)
    return Solution(phases, settings.algorithm, eigenvalues, score(pooled)[0], pooled)


def _plain(graph: PhaseGraph, settings: SyncSettings) -> tuple[NDArray[np.complex128], dict[int, NDArray[np.float64]]]:
    k_max = settings.k_max or PUBLISHED_K_MAX
    if settings.algorithm == "ppe":
        return periodogram_peaks(graph, k_max, seed=settings.seed)
    top = top_eigenvectors(graph, 1, seed=settings.seed)
    phases = top.phases
    if settings.algorithm == "gpm":
        phases = power_method(graph, phases)
    elif settings.algorithm == "mfgpm":
        phases = multi_frequency_power_method(graph, phases, k_max)
    return phases, {1: top.values}


def _solve_auto(edges: EdgeList, settings: SyncSettings) -> Solution:
    """Explore shares of the edges first: what they say of the rest chooses between auto and the plain answers."""
    names = ("auto", "spectral (fallback)", "gpm (fallback)")
    residuals: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    graph = _graph(edges, settings)
    seen: list[Explored] = []
    cuts = _splits(edges, settings)

    def clear(held: NDArray[np.bool_]) -> bool:
        part = edges.take(~held)
        train = _graph(part, settings)
        seen.append(explore(part, settings, train))
        top = seen[-1].spectral[1].phases
        answers = (settle(part, train, seen[-1].belief, top, settings), top, power_method(train, top, tolerance=1e-3))
        for name, answer in zip(names, answers, strict=True):
            residuals[name].append(held_out_residuals(edges, held, answer))
        return score(np.concatenate(residuals["auto"]))[0].z > _PLAIN_Z

    for done, held in enumerate(cuts, 1):
        z = -np.inf if clear(held) else max(score(np.concatenate(parts))[0].z for parts in residuals.values())
        if z < SIGNAL_Z * np.sqrt(done / len(cuts)) - _HOPELESS:  # or clear
            break
    scores = {name: score(np.concatenate(parts)) for name, parts in residuals.items()}
    used = "auto"
    if len(scores["auto"][1]) > 2:
        for name in names[1:]:
            gain = scores[name][1] - scores[used][1]
            least = _WORTH * max(scores[used][0].log_likelihood, 0.0)
            if gain.mean() > _FALL * gain.std() / np.sqrt(len(gain)) + least:
                used = name
    if used != "auto":
        top_all = top_eigenvectors(graph, 1, seed=settings.seed)
        phases = top_all.phases if used == names[1] else power_method(graph, top_all.phases)
        eigenvalues = {1: top_all.values}
    else:
        first = seen[0]
        if first.belief.sureness > SURE and scores["auto"][0].z > _PLAIN_Z:
            # What most edges have found is taken on by all.
            belief = propagate(graph, first.belief.moments, first.belief.coefficients, _SETTLE, seed=settings.seed)
            spectral = first.spectral
        else:
            every = explore(edges, settings, graph)
            belief, spectral = every.belief, every.spectral
            if belief.moments.shape[1] > 1 and belief.sureness > SURE:  # given up too early?
                any(clear(held) for held in cuts[len(seen) :])
                scores["auto"] = score(np.concatenate(residuals["auto"]))
        eigenvalues = {k: spectral[k].values for k in sorted(spectral)}
        phases = settle(edges, graph, belief, spectral[1].phases, settings)
    return Solution(phases, used, eigenvalues, scores[used][0], np.concatenate(residuals[used]))


def _graph(edges: EdgeList, settings: SyncSettings) -> PhaseGraph:
    return phase_graph(edges, weights=settings.weights, threads=settings.threads)


def _splits(edges: EdgeList, settings: SyncSettings) -> list[NDArray[np.bool_]]:
    every = splits(edges, settings.seed)
    return [held for _, held in zip(range(splits_needed(len(edges))), every, strict=False)]
