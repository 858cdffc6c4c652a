"""How well an answer explains edges that it has not seen, and whether that is more than chance.

An algorithm solves a share of the edges; the residuals of the others, which no node was fitted to, show the density of
errors. Its Fourier coefficients come from one half of them and score the other half, so that nothing is counted twice:
the mean of log(density / uniform) is 0 or less where the answer says nothing of unseen edges. With angles at random
each edge's score has the known mean and variance of log density over the circle, so the sum has a z-score of its own,
whatever the graph; there is no fixed cut-off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.components import components
from cryoalign.synchronization.edges import EdgeList

SHARE = 0.15
"""Share of the edges that is held out."""

SIGNAL_Z = 3.5
"""z-score from which the edges agree better than chance (one time in 4,000 by chance)."""

FREQUENCIES = 16
_MOST = 200_000  # edges of a split that are tested
_FINE = 4096
_ENOUGH = 8000  # edges tested, after which further splits add nothing


@dataclass(frozen=True)
class HeldOut:
    """Sums over tested edges.

    Parameters
    ----------
    tested
        Number of edges tested.
    score
        Sum of log(density / uniform) over them.
    null_mean, null_variance
        Mean and variance of that sum if angles were at random.
    """

    tested: int = 0
    score: float = 0.0
    null_mean: float = 0.0
    null_variance: float = 0.0

    def __add__(self, other: HeldOut) -> HeldOut:
        """Pool two lots of edges."""
        return HeldOut(
            self.tested + other.tested,
            self.score + other.score,
            self.null_mean + other.null_mean,
            self.null_variance + other.null_variance,
        )

    @property
    def log_likelihood(self) -> float:
        """Mean log(density / uniform) of an edge; 0 where nothing could be tested."""
        return self.score / self.tested if self.tested else 0.0

    @property
    def z(self) -> float:
        """Standard deviations above what random angles give."""
        return (self.score - self.null_mean) / np.sqrt(self.null_variance) if self.null_variance > 0 else 0.0


def splits(edges: EdgeList, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield masks of held-out edges: disjoint, 15 % of the pairs each, all of them together every edge at most once.

    All edges of a pair are held out together: lists of neighbours have many pairs twice, with nearly the same angle,
    and an edge whose twin was used has been seen.
    """
    first = first_of_pair(edges)
    pair = np.cumsum(first) - 1
    count = int(first.sum())
    order = np.random.default_rng([seed, 41]).permutation(count)
    parts = max(1, min(count, int(np.ceil(1 / SHARE))))
    for part in range(parts):
        mask = np.zeros(count, bool)
        mask[order[part * count // parts : (part + 1) * count // parts]] = True
        yield mask[pair]


def first_of_pair(edges: EdgeList) -> NDArray[np.bool_]:
    """Tell which edges are the first between their two nodes, bool (E,)."""
    new = np.ones(len(edges), bool)
    new[1:] = (np.diff(edges.i) != 0) | (np.diff(edges.j) != 0)
    return new


def splits_needed(count: int) -> int:
    """Return how many splits a graph of so many edges is worth."""
    return int(np.clip(np.ceil(_ENOUGH / max(1, SHARE * count)), 1, int(np.ceil(1 / SHARE))))


def held_out_residuals(edges: EdgeList, held: NDArray[np.bool_], phases: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the residuals of held-out edges that close a cycle with the others, float64, in radians.

    Of several edges between two nodes the first is tested: they are no independent witnesses.

    Parameters
    ----------
    edges
        Edges without mirrors; those of weight 0 are neither tested nor cycles.
    held
        Which are held out, bool (E,).
    phases
        The answer of the others, complex128 (n,).
    """
    island = components(edges.take(~held))
    rows = np.flatnonzero(held & (edges.weight > 0) & first_of_pair(edges))
    known = island[edges.i[rows]] == island[edges.j[rows]]
    known &= np.cumsum(known) <= _MOST
    return phase_residuals(edges.take(rows[known]), phases)


def phase_residuals(edges: EdgeList, phases: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return edge angle minus psi_j - psi_i of unmirrored edges, float64 (E,), in radians."""
    turn = np.exp(1j * np.deg2rad(edges.angle_deg.astype(np.float64)))
    return np.asarray(np.angle(turn * phases[edges.i] * phases[edges.j].conj()))


def score(residual_rad: NDArray[np.float64], k_max: int = FREQUENCIES) -> tuple[HeldOut, NDArray[np.float64]]:
    """Score residuals, each half by the density of the other.

    Returns
    -------
    sums
        Over all residuals.
    each
        log(density / uniform) of each residual, float64.
    """
    each = np.zeros(len(residual_rad))
    sums = HeldOut()
    halves = [np.arange(len(residual_rad)) % 2 == half for half in (0, 1)]
    for this, other in (halves, halves[::-1]):
        f = shrunk_coefficients(residual_rad[other], k_max)
        circle = log_density(f, 2 * np.pi * np.arange(16 * k_max) / (16 * k_max))
        each[this] = log_density(f, residual_rad[this])
        count = int(this.sum())
        part = HeldOut(count, float(each[this].sum()), float(circle.mean() * count), float(circle.var() * count))
        sums = sums + part
    return sums, each


def shrunk_coefficients(residual_rad: NDArray[np.float64], k_max: int) -> NDArray[np.float64]:
    """Return E cos k r for k = 1..K, each shrunk by its share of noise, float64 (K,)."""
    if len(residual_rad) == 0:
        return np.zeros(k_max)
    k = np.arange(1, k_max + 1)[:, None]
    if len(residual_rad) > _FINE:  # counted in bins so narrow that no frequency sees them
        place = np.round(residual_rad * (_FINE / (2 * np.pi))).astype(np.int64) % _FINE
        count = np.bincount(place, minlength=_FINE) / len(residual_rad)
        mean, twice = _waves(k_max) @ count
    else:
        mean, twice = np.cos(k * residual_rad).mean(axis=1), np.cos(2 * k * residual_rad).mean(axis=1)
    square = (1 + twice) / 2 / len(residual_rad)
    shrink = np.clip(1 - square / np.maximum(mean, 1e-12) ** 2, 0, 1)
    # Fejer's weights keep the sum of a truncated series positive.
    taper = 1 - np.arange(1, k_max + 1) / (k_max + 1)
    return np.asarray(np.clip(mean, 0, 1) * shrink * taper)


@lru_cache(maxsize=8)
def _waves(k_max: int) -> NDArray[np.float64]:
    """Return cos k r and cos 2 k r at the middle of the bins, float64 (2, K, bins)."""
    turn = 2 * np.pi * np.arange(_FINE) / _FINE
    k = np.arange(1, k_max + 1)[:, None]
    return np.stack([np.cos(k * turn), np.cos(2 * k * turn)])


def log_density(f: NDArray[np.float64], residual_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log of 1 + 2 sum_k f_k cos k r, floored at 1 % of uniform."""
    k = np.arange(1, len(f) + 1)
    value = np.ones(len(residual_rad))
    for order, coefficient in zip(k, f, strict=True):
        if coefficient > 0:
            value += 2 * coefficient * np.cos(order * residual_rad)
    return np.log(np.maximum(value, 0.01))
