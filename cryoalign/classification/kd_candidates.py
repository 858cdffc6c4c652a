"""Near views of many images by a k-d tree on the eigenvectors of the lowest frequency.

The three leading eigenvectors at k = 1, scaled to unit rows z, satisfy |<z_i, z_j>| = (1 + cos theta_ij) / 2 on evenly
spread views: the nine real numbers of z z* know nothing of in-plane angles, and |z_i z_i* - z_j z_j*|^2 =
2 - 2 |<z_i, z_j>|^2 is a distance that a tree can search, where all pairs would cost n^2. Mirroring conjugates z.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cryoalign.classification.diffusion import Embedding


def view_features(embedding: Embedding) -> NDArray[np.float64]:
    """Return the nine features of each image's view at the lowest frequency, float64 (n, 9); conjugating negates 6:."""
    z = embedding.vector[0][:, :3].astype(np.complex128)
    length = np.linalg.norm(z, axis=1)
    z = z / np.where(length > 0, length, 1)[:, None]
    rows, columns = np.triu_indices(3, 1)
    off = np.sqrt(2) * z[:, rows] * z[:, columns].conj()
    return np.concatenate([np.abs(z) ** 2, off.real, off.imag], axis=1)


def tree_candidates(embedding: Embedding, count: int, *, threads: int = 1) -> NDArray[np.int32]:
    """Propose the nearest views of each image, mirrored ones included if the graph has mirrors.

    Parameters
    ----------
    embedding
        Eigenvectors of n images; the first part must hold three at least.
    count
        Images to propose.
    threads
        Threads; they change no result.

    Returns
    -------
    ndarray
        int32 (n, count), ascending rows, -1 where fewer were found (an image twice, plain and mirrored, counts once).
    """
    features = view_features(embedding)
    n = len(features)
    points = features
    if embedding.mirror:
        points = np.concatenate([features, features * np.repeat([1.0, -1.0], [6, 3])])
    found = KDTree(points).query(features, min(count + 1, len(points)), workers=max(1, threads))[1] % n
    found[found == np.arange(n)[:, None]] = -1
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    # What is missing goes to the front; the longest list decides nothing, since one entry is always the image itself.
    found.sort(axis=1)
    return found[:, -count:].astype(np.int32)
