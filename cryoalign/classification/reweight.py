"""Weights for the edges of a graph some of whose edges are wrong at random: 1 - local false discovery rate.

How far an edge agrees with the eigenvectors, q_ij = Re sum_k exp(-i k alpha_ij) <Z_i^(k), Z_j^(k)> / K with
Z = lambda^(1/2) u scaled to unit rows, is spread about a mode if the edge is wrong, and higher if it is right. The null
density is empirical: the histogram's lower half, mirrored at its mode. (Efron, Large-Scale Inference, 2010, chapters 5
and 6. A heuristic here: edges share images.) For graphs whose errors are random and many. On graphs made from images
most edges are about right, and the "null" would be the signal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity import affinity_features
from cryoalign.classification.affinity_kernels import agreement
from cryoalign.classification.diffusion import Embedding, diffuse
from cryoalign.synchronization.edges import EdgeList

_BINS = 256
_SMOOTHING_BINS = 3.0
_ROUNDS = 2  # more feed on themselves
_TOLERANCE = 1e-2


def reweight(edges: EdgeList, k_max: int, n_vectors: int = 50, *, threads: int = 1) -> tuple[EdgeList, Embedding]:
    """Weigh edges by how well they agree with the eigenvectors of the graph, and find these again, in rounds.

    Parameters
    ----------
    edges
        The graph.
    k_max, n_vectors, threads
        As in `cryoalign.classification.diffusion.diffuse`.

    Returns
    -------
    edges
        The graph, its weights multiplied by the probability of each edge; as it was where nothing stands out.
    embedding
        Its eigenvectors.
    """
    weighted = edges
    embedding = diffuse(edges, k_max, n_vectors, tolerance=_TOLERANCE, threads=threads)
    for _ in range(_ROUNDS):
        probability = (1 - local_false_discovery_rate(edge_agreement(embedding, edges))).astype(np.float32)
        weight = edges.weight * probability
        if not (weight > 0).any():
            # Nothing stands out from the null: the graph is left as it was.
            return edges, embedding
        weighted = edges.with_weight(weight)
        embedding = diffuse(weighted, k_max, n_vectors, tolerance=_TOLERANCE, threads=threads)
    return weighted, embedding


def edge_agreement(embedding: Embedding, edges: EdgeList) -> NDArray[np.float32]:
    """Return q of every edge, float32 (E,) in [-1, 1]."""
    out = np.zeros(len(edges), np.float32)
    frequency = np.asarray(embedding.frequency, np.int64)
    angle = np.deg2rad(edges.angle_deg)
    agreement(affinity_features(embedding, 1.0), frequency, edges.i, edges.j, angle, edges.mirror, out)
    return out


def local_false_discovery_rate(value: NDArray[np.float32]) -> NDArray[np.float64]:
    """Estimate the probability that each value comes from the null, whose mode is the histogram's.

    Parameters
    ----------
    value
        Statistics, (E,); what is not null is higher.

    Returns
    -------
    ndarray
        float64 (E,) in [0, 1], falling with the value; 1 below the mode.
    """
    from scipy.ndimage import gaussian_filter1d  # slow to import, rarely needed

    low, high = float(value.min()), float(value.max())
    if not high > low:
        return np.ones(len(value))
    edges = np.linspace(low, high, _BINS + 1)
    centre = (edges[:-1] + edges[1:]) / 2
    density = gaussian_filter1d(np.histogram(value, edges)[0].astype(np.float64), _SMOOTHING_BINS, mode="constant")
    mode = centre[np.argmax(density)]
    null = np.interp(2 * mode - centre, centre, density, left=0.0)
    rate = np.where(centre <= mode, 1.0, np.minimum(1.0, null / np.maximum(density, 1e-12)))
    return np.interp(value, centre, np.minimum.accumulate(rate))
