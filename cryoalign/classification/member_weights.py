"""How much each neighbour counts in an average: the weights that leave the smallest expected error.

The mean of an image's neighbours is off its clean view by their noise, which a flat mean holds lowest, and by views a
few degrees away, which blur it and of which the nearest know best. With c_j the covariance of what neighbour j and the
image show, C_jl that of two neighbours, and r the noise of one image over its signal, sum_j w_j y_j has the smallest
expected square error for w = (C + r I)^-1 c (simple kriging; Cressie, "Statistics for Spatial Data", 1993, section
3.4). So near views count more, members that lie alone on their side of the view more than those in a crowd, and all
the same where noise is all that matters.

Covariances are read from the graph: a power of the affinity that falls with the angle between views about as the
covariance of simulated images of a ribosome does (0.86 at 11 degrees, where the affinity is 0.55).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity import affinity_features
from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.features import Features
from cryoalign.classification.mfca import POWER
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.settings import ClassificationSettings
from cryoalign.core.steerable.basis import multiplicity
from cryoalign.core.tiles import TILE, run_tiles

LIKENESS = 0.3
"""Power of the affinity that is taken for the covariance of two views."""
LEAST = 0.05
"""Weight that every member has, at least: who is listed is averaged."""


def noise_ratio(features: Features) -> float:
    """Return the noise of one image over its signal, in the disc that is compared; inf without signal."""
    signal = float((multiplicity(features.frequency) * np.maximum(features.eigenvalue, 0)).sum())
    return float(np.pi * features.basis.radius_px**2 / signal) if signal > 0 else np.inf


def member_weights(
    embedding: Embedding,
    features: Features,
    lists: NeighbourLists,
    settings: ClassificationSettings,
    *,
    signal: bool = True,
) -> NDArray[np.float32]:
    """Weigh the members of every image's average.

    Parameters
    ----------
    embedding
        Of the graph in which the lists were found.
    features
        The images.
    lists
        Who is averaged.
    settings
        The algorithm, threads. Clusters of k-means know no near and far: all members weigh 1.
    signal
        Whether there is any; without, the graph knows nothing, and all members weigh 1.

    Returns
    -------
    ndarray
        float32 (n, k) from `LEAST` to 1, the largest of each image 1; 0 where there is no neighbour.
    """
    ratio = noise_ratio(features)
    if not signal or settings.algorithm == "kmeans" or not np.isfinite(ratio):
        return np.where(lists.index >= 0, np.float32(1), np.float32(0))
    power = POWER if settings.algorithm == "mfca" else 2.0
    return kriging_weights(embedding, lists, ratio, power=power, threads=settings.threads)


def kriging_weights(
    embedding: Embedding, lists: NeighbourLists, ratio: float, *, power: float = 2.0, threads: int = 1
) -> NDArray[np.float32]:
    """Return the weights of listed neighbours.

    Parameters
    ----------
    embedding, lists
        As for :func:`member_weights`.
    ratio
        Noise of one image over its signal, positive.
    power
        Power of the eigenvalues in the affinity.
    threads
        Threads; they change no result.
    """
    rows = affinity_features(embedding, power)
    weight = np.zeros(lists.index.shape, np.float32)

    def compute(begin: int) -> None:
        tile = slice(begin, begin + TILE)
        weight[tile] = _tile_weights(rows, begin, lists.index[tile], lists.mirror[tile], ratio)

    run_tiles(compute, range(0, len(lists), TILE), threads)
    return weight


def _tile_weights(
    rows: NDArray[np.float32], begin: int, index: NDArray[np.int32], mirror: NDArray[np.bool_], ratio: float
) -> NDArray[np.float32]:
    count, k = index.shape
    present = index >= 0
    own = np.arange(begin, begin + count, dtype=np.int32)[:, None]
    group = np.concatenate([own, np.where(present, index, 0)], axis=1)
    side = np.concatenate([np.ones((count, 1), np.float32), np.where(mirror, np.float32(-1), np.float32(1))], axis=1)
    square = np.zeros((count, k + 1, k + 1), np.float32)
    for part in range(rows.shape[1]):
        real, imaginary = rows[group, part, 0], rows[group, part, 1] * side[..., None]
        both = np.concatenate([real, imaginary], axis=2)
        turned = np.concatenate([imaginary, -real], axis=2)
        square += np.matmul(both, both.transpose(0, 2, 1)) ** 2 + np.matmul(turned, both.transpose(0, 2, 1)) ** 2
    covariance = np.clip(square / np.float32(rows.shape[1]), 0.0, 1.0).astype(np.float64) ** LIKENESS
    there = np.where(present, 1.0, 0.0)
    to_view = covariance[:, 0, 1:] * there
    among = covariance[:, 1:, 1:] * there[:, :, None] * there[:, None, :]
    among += (ratio + 1.0 - np.einsum("njj->nj", among))[:, :, None] * np.eye(k)
    found = np.linalg.solve(among, to_view[..., None])[..., 0]
    most = np.maximum(found.max(axis=1, initial=0.0), 1e-30)[:, None]
    return np.where(present, np.clip(found / most, LEAST, 1.0), 0.0).astype(np.float32)
