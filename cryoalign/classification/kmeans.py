"""k-means on rotation invariants: the plain way to classes, for comparison.

(Lloyd, IEEE Trans. Information Theory 1982; seeds by Arthur and Vassilvitskii, SODA 2007, each the best of several
draws.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError

_ROWS = 4096
_DRAWS = 8
_SEED_ROWS = 20
"""Points for each centre among which the first centres are chosen, evenly from all."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of n points: ``label`` int32 (n,), ``centre`` float32 (K, D), ``distance`` to the own centre (n,)."""

    label: NDArray[np.int32]
    centre: NDArray[np.float32]
    distance: NDArray[np.float32]


def kmeans(points: NDArray[np.float32], n_clusters: int, *, seed: int = 0, iterations: int = 30) -> Clusters:
    """Cluster points; equal input and seed give equal bytes.

    Parameters
    ----------
    points
        float32 (n, D).
    n_clusters
        K, at most n.
    seed
        Seed of the first centres.
    iterations
        Most rounds; it stops earlier when no label changes.

    Raises
    ------
    InputError
        More clusters than points.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    if not 1 <= n_clusters <= len(points):
        raise InputError(f"{n_clusters} clusters of {len(points)} images", hint="ask for fewer classes")
    step = max(1, len(points) // (_SEED_ROWS * n_clusters))
    centre = _seeds(points[::step], n_clusters, np.random.default_rng(seed))
    label = np.full(len(points), -1, np.int32)
    for _ in range(iterations):
        previous = label
        label, square = _nearest(points, centre)
        if np.array_equal(label, previous):
            break
        centre = _means(points, label, square, centre)
    label, square = _nearest(points, centre)
    return Clusters(label, centre, np.sqrt(square))


def _nearest(points: NDArray[np.float32], centre: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    label, square = np.empty(len(points), np.int32), np.empty(len(points), np.float32)
    half = (centre.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    for first in range(0, len(points), _ROWS):
        part = points[first : first + _ROWS]
        short = half - part @ centre.T
        here = np.argmin(short, axis=1)
        label[first : first + _ROWS] = here
        own = 2 * short[np.arange(len(part)), here] + (part**2).sum(axis=1)
        square[first : first + _ROWS] = np.maximum(own, 0)
    return label, square


def _seeds(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    chosen = [int(rng.integers(len(points)))]
    square = ((points - points[chosen[0]]) ** 2).sum(axis=1, dtype=np.float64)
    for _ in range(count - 1):
        total = np.cumsum(square)
        draws = np.searchsorted(total, rng.uniform(0, total[-1], _DRAWS), side="right")
        draws = np.minimum(draws, len(points) - 1)
        trials = [np.minimum(square, ((points - points[row]) ** 2).sum(axis=1, dtype=np.float64)) for row in draws]
        best = int(np.argmin([trial.sum() for trial in trials]))
        chosen.append(int(draws[best]))
        square = trials[best]
    return points[chosen].copy()


def _means(
    points: NDArray[np.float32], label: NDArray[np.int32], square: NDArray[np.float32], old: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Average each cluster; one that lost its points starts again at the point farthest from its own centre."""
    count = np.bincount(label, minlength=len(old))
    by_label = points[np.argsort(label, kind="stable")].astype(np.float64)
    full = np.flatnonzero(count)
    centre = old.copy()
    centre[full] = np.add.reduceat(by_label, (np.cumsum(count) - count)[full]) / count[full, None]
    farthest = np.argsort(-square, kind="stable")
    for at, empty in enumerate(np.flatnonzero(count == 0)):
        centre[empty] = points[farthest[at]]
    return centre
