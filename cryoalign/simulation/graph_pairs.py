"""Which nodes of a simulated graph are joined: all pairs, pairs at random, or neighbours on a sphere.

Pairs at random (Erdos and Renyi) are found by drawing the gaps between one pair and the next, which are geometric
(Batagelj and Brandes, Phys. Rev. E 71, 036113, 2005): the cost is that of the edges, not of all pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Pairs = tuple[NDArray[np.int32], NDArray[np.int32]]


def random_pairs(n: int, probability: float, rng: np.random.Generator) -> Pairs:
    """Join each pair of n nodes with a probability.

    Returns
    -------
    tuple
        i and j, int32 (E,), i < j, sorted by (i, j).
    """
    starts = np.cumsum(np.r_[0, np.arange(n - 1, 0, -1)]) if n else np.zeros(1, np.int64)
    total = n * (n - 1) // 2
    if total == 0 or probability <= 0:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    if probability >= 1:
        place = np.arange(total)
    else:
        expected = total * probability
        count = int(expected + 6 * np.sqrt(expected) + 16)
        pieces, last = [], -1
        while last < total:
            # Gaps beyond all pairs end the search; cut there, so that sums stay within 64 bits.
            gaps = np.minimum(rng.geometric(probability, count), total + 1)
            pieces.append(last + np.cumsum(gaps))
            last = int(pieces[-1][-1])
        place = np.concatenate(pieces)
        place = place[: np.searchsorted(place, total)]
    i = np.searchsorted(starts, place, side="right") - 1
    j = place - starts[i] + i + 1
    return i.astype(np.int32), j.astype(np.int32)


def neighbour_pairs(n: int, k: int, rng: np.random.Generator) -> Pairs:
    """Throw n points on a sphere and join each with its k nearest: i and j as in `random_pairs`, each pair once."""
    points = rng.standard_normal((n, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    found = KDTree(points).query(points, k + 1)[1][:, 1:]
    rows, others = np.repeat(np.arange(n), k), found.ravel()
    code = np.unique(np.minimum(rows, others) * n + np.maximum(rows, others))
    return (code // n).astype(np.int32), (code % n).astype(np.int32)
