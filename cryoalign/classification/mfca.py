"""Multi-frequency class averaging: the 2 k + 1 leading eigenvectors of each frequency, and viewing angles from them.

On evenly spread views the leading eigenvalue of W^(k) has multiplicity 2 k + 1, and |<Psi_i, Psi_j>| =
((1 + cos theta_ij) / 2)^k for rows of its eigenvectors scaled to unit length.
(Gao, Fan, Zhao, "Representation theoretic patterns in multi-frequency class averaging", arXiv 1906.01082.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity import pair_affinities
from cryoalign.classification.diffusion import Embedding, diffuse
from cryoalign.synchronization.edges import EdgeList

POWER = 0.0
"""Power of the eigenvalues in the affinity: they are equal in theory."""


def class_averaging_vectors(edges: EdgeList, k_max: int, *, threads: int = 1) -> Embedding:
    """Find the 2 k + 1 leading eigenvectors at k = 1..K; the affinity uses them unweighted (`POWER`)."""
    counts = tuple(2 * k + 1 for k in range(1, k_max + 1))
    return diffuse(edges, k_max, counts, tolerance=1e-2, threads=threads)


def leading_vectors(embedding: Embedding) -> Embedding:
    """Keep the 2 k + 1 leading eigenvectors of each frequency."""
    counts = [2 * k + 1 for k in embedding.frequency]
    values = tuple(v[:c] for v, c in zip(embedding.eigenvalue, counts, strict=True))
    vectors = tuple(np.ascontiguousarray(x[:, :c]) for x, c in zip(embedding.vector, counts, strict=True))
    return Embedding(embedding.mirror, embedding.frequency, values, vectors)


def viewing_angles_deg(
    embedding: Embedding, index: NDArray[np.int32], mirror: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Estimate the angle between the views of listed pairs.

    cos theta = 2 a_k^(1/k) - 1 at each frequency, a_k = |<Psi_i, Psi_j>|; the median over the frequencies.

    Parameters
    ----------
    embedding
        Eigenvectors, 2 k + 1 at least for each k; more are left out.
    index, mirror
        Pairs (i, index[i, s]), int32 and bool (n, k); -1 for none.

    Returns
    -------
    ndarray
        float32 (n, k), degrees in [0, 180]; nan where there is no pair.
    """
    squares = pair_affinities(leading_vectors(embedding), index, mirror, power=POWER).astype(np.float64)
    k = np.asarray(embedding.frequency, np.float64)
    cosine = np.median(2 * np.clip(squares, 0, 1) ** (0.5 / k) - 1, axis=2)
    return np.where(index >= 0, np.degrees(np.arccos(cosine)), np.nan).astype(np.float32)
