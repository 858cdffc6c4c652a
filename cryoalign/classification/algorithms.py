"""The ways to find views in a graph of neighbours, side by side: the published algorithms, and plain clustering.

"mfvdm" compares images by multi-frequency vector diffusion maps, "vdm" by those of one frequency as first published
(Singer and Wu, Communications on Pure and Applied Mathematics 2012; Singer, Zhao, Shkolnisky, Hadani, SIAM J. Imaging
Sci. 2011), "mfca" by the few eigenvectors that evenly spread views have, "kmeans" by rotation invariants of the images
alone, without the graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity import best_affine
from cryoalign.classification.diffusion import Embedding, diffuse
from cryoalign.classification.features import Features
from cryoalign.classification.invariants import candidate_vectors
from cryoalign.classification.kmeans import kmeans
from cryoalign.classification.mfca import POWER, class_averaging_vectors
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.raw_neighbours import best_listed
from cryoalign.classification.reweight import reweight
from cryoalign.classification.settings import ClassificationSettings
from cryoalign.synchronization.edges import EdgeList

VECTORS, FREQUENCIES = 80, 5
"""Eigenvectors at each frequency, and frequencies, of the diffusion maps."""
CLUSTER_SIZE = 50
"""Images to a cluster, on average, where nobody says how many clusters."""
_CANDIDATES = 4
"""Images of a cluster that are compared exactly with each: so many times the neighbours wanted, the most alike."""


def embed(edges: EdgeList, settings: ClassificationSettings) -> Embedding:
    """Return the eigenvectors of the graph that an algorithm uses; k-means has those of "mfvdm", to draw.

    Parameters
    ----------
    edges
        The raw graph.
    settings
        The algorithm, its highest frequency, whether edges are weighted anew.
    """
    k_max = FREQUENCIES if settings.k_max is None else settings.k_max
    vectors = max(3, min(VECTORS, edges.n // 4))
    threads = settings.threads
    if settings.reweight:
        edges, embedding = reweight(edges, k_max, vectors, threads=threads)
        if settings.algorithm in ("mfvdm", "kmeans"):
            return embedding
    if settings.algorithm == "mfca":
        return class_averaging_vectors(edges, min(k_max, max(1, (edges.n // 4 - 1) // 2)), threads=threads)
    if settings.algorithm == "vdm":
        return diffuse(edges, 1, vectors, tolerance=1e-2, threads=threads)
    return diffuse(edges, k_max, vectors, threads=threads)


def nearest_views(
    embedding: Embedding, features: Features, settings: ClassificationSettings, count: int, *, power: float = 2.0
) -> NeighbourLists:
    """Return the nearest views of each image as an algorithm has it.

    Parameters
    ----------
    embedding
        From :func:`embed`.
    features
        The images, which k-means alone looks at.
    settings
        The algorithm.
    count
        Length of the lists.
    power
        Power of the eigenvalues in the affinity of the diffusion maps.
    """
    if settings.algorithm == "kmeans":
        return _cluster_mates(features, settings, min(count, len(features) - 1))
    if settings.algorithm == "mfca":
        return best_affine(embedding, count, power=POWER, threads=settings.threads)
    return best_affine(embedding, count, power=power, threads=settings.threads)


def _cluster_mates(features: Features, settings: ClassificationSettings, count: int) -> NeighbourLists:
    """Return the nearest images of each one's own cluster, by exact score; lists may be short."""
    plain, mirrored = candidate_vectors(features)
    if settings.search.mirror:
        # What a mirror leaves alone: an image and its mirror image fall into one cluster.
        plain = np.ascontiguousarray(plain[:, (plain == mirrored).all(axis=0)])
    n = len(features)
    clusters = settings.clusters or max(1, n // CLUSTER_SIZE)
    label = kmeans(plain, min(clusters, n), seed=settings.seed).label
    rows = np.full((n, min(_CANDIDATES * count, n)), -1, np.int32)
    for cluster in range(int(label.max()) + 1):
        members = np.flatnonzero(label == cluster)
        kept = min(len(members), rows.shape[1])
        rows[members, :kept] = members[_most_alike(plain[members], kept)]
    return best_listed(features, settings.search, rows, count)


def _most_alike(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the places of the ``count`` points with the largest product for each, itself among them, (m, count)."""
    if count == len(points):
        return np.broadcast_to(np.arange(count), (count, count))
    return np.argsort(-(points @ points.T), axis=1, kind="stable")[:, :count]
