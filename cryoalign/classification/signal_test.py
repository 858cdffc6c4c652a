"""Is there a signal at all? Neighbours are found with half of the components and tested on the other half.

Any set of images has nearest neighbours, and among images of noise these look alike where they were compared: every
figure of a graph can be good by choice. Components that did not choose are independent in noise, so the covariance of
neighbours over them is 0 but for its known scatter; images of one particle agree there too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.all_pairs import all_neighbours
from cryoalign.classification.classification import LEAST_SHARE, LEAST_Z, SignalTest
from cryoalign.classification.llr import pair_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.steerable.basis import multiplicity

NEIGHBOURS = 5
"""Neighbours of each image that are tested."""
MOST_IMAGES = 3000
"""Images tested, evenly spaced; more would say the same."""


def measure_signal(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    eigenvalue: NDArray[np.floating],
    *,
    mirror: bool = True,
    threads: int = 1,
) -> SignalTest:
    """Compare neighbours in components that did not choose them, once with either half of the components.

    Parameters
    ----------
    coefficients, frequency, eigenvalue
        Components of n images, as features have them.
    mirror
        Whether mirrored images count as neighbours.
    threads
        Threads; they change no result.

    Returns
    -------
    SignalTest
        z is the mean of both halves' z times the root of 2, share the mean of both shares.
    """
    n = len(coefficients)
    taken = evenly_spread(MOST_IMAGES, n)
    images = coefficients[taken]
    # Alternate components by falling eigenvalue: both halves hold strong ones, and every frequency lends to both.
    rank = np.empty(len(frequency), np.int64)
    rank[np.argsort(-np.asarray(eigenvalue), kind="stable")] = np.arange(len(frequency))
    z, share = np.zeros(2), np.zeros(2)
    for half in (0, 1):
        chooses, tests = rank % 2 == half, rank % 2 != half
        if not chooses.any() or not tests.any():
            continue
        weights = pair_weights("llr", frequency[chooses], eigenvalue[chooses])
        own = images[:, chooses]
        lists = all_neighbours(
            weights.weighted(own), frequency[chooses], min(NEIGHBOURS, len(images) - 1), weights.own_terms(own),
            mirror=mirror, threads=threads,
        )  # fmt: skip
        z[half], share[half] = _held_out(images[:, tests], frequency[tests], eigenvalue[tests], lists)
    total, mean_share = float(z.sum() / np.sqrt(2.0)), float(share.mean())
    return SignalTest(total, mean_share, total >= LEAST_Z and mean_share >= LEAST_SHARE)


def _held_out(
    images: NDArray[np.complex64], frequency: NDArray[np.int64], eigenvalue: NDArray[np.floating], lists: NeighbourLists
) -> tuple[float, float]:
    """Return z and share of the covariance of neighbours, each pair once."""
    i, s = np.nonzero(lists.index >= 0)
    j = lists.index[i, s].astype(np.int64)
    _, once = np.unique(np.minimum(i, j) * len(images) + np.maximum(i, j), return_index=True)
    i, j, s = i[once], j[once], s[once]
    flipped, turn = lists.mirror[i, s], np.deg2rad(lists.angle_deg[i, s].astype(np.float64))
    m = multiplicity(frequency).astype(np.float64)
    sign = np.where(frequency % 2 == 0, 1.0, -1.0)
    power = np.mean(images.real.astype(np.float64) ** 2 + images.imag.astype(np.float64) ** 2, axis=0)
    product = np.zeros(len(i))
    for p, k in enumerate(frequency):
        other = images[j, p]
        other = np.where(flipped, sign[p] * other.conj(), other)
        product += m[p] * np.real(images[i, p] * other.conj() * np.exp(1j * k * turn))
    # Of two independent images the product of a component has variance m^2 v^2 / 2 (k = 0: v^2).
    scatter = np.sqrt(np.sum(m * power**2) / len(product))
    signal = float(np.sum(m * np.maximum(eigenvalue, 0.0)))
    mean = float(product.mean())
    return mean / float(scatter), mean / signal if signal > 0 else 0.0
