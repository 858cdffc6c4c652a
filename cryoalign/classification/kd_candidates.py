"""Near views of many images by a k-d tree on a few coordinates of the view, where all pairs would cost n^2.

The affinity is a kernel on the views: its leading components (kernel PCA; Schoelkopf, Smola, Mueller, Neural
Computation 1998) are smooth functions of the view alone, harmonics of low degree on evenly spread views, and know
nothing of in-plane angles. They are extended from a few hundred landmarks to all images (Nystroem; Williams and
Seeger, NIPS 2001). With mirrors the kernel splits into an even and an odd part, plain +- mirrored: mirroring an image
negates its odd coordinates. (The nine real numbers of the three leading eigenvectors at k = 1 would do in theory. On
graphs of near neighbours their gap to the next is about the share of the sphere that an image's neighbours cover:
too small to be told from noise.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from threadpoolctl import threadpool_limits

from cryoalign.classification.affinity_kernels import add_squares
from cryoalign.core.tiles import TILE

LANDMARKS = 500
ODD, EVEN = 10, 6
"""Coordinates of either kind: harmonics of degrees 1 and 3, 0 and 2; without mirrors, degrees 0 to 3."""


@dataclass(frozen=True, eq=False)
class ViewCoordinates:
    """Coordinates of n views, float64 (n, d): ``even`` ones stay, ``odd`` ones change sign when mirrored."""

    even: NDArray[np.float64]
    odd: NDArray[np.float64]

    def points(self, mirrored: bool = False) -> NDArray[np.float64]:
        """Return all coordinates of the views, or of the mirrored views, (n, d)."""
        return np.concatenate([self.even, -self.odd if mirrored else self.odd], axis=1)


def view_coordinates(
    features: NDArray[np.float32], mirror: bool, *, odd: int = ODD, even: int = EVEN
) -> ViewCoordinates:
    """Find smooth coordinates of the views.

    Parameters
    ----------
    features
        float32 (n, K, 2, m) of `cryoalign.classification.affinity.affinity_features`.
    mirror
        Whether the graph has mirrors; if not, all ``odd + even`` coordinates are called even.
    odd, even
        Coordinates of either kind.
    """
    n = len(features)
    landmarks = np.unique(np.arange(LANDMARKS) * n // LANDMARKS)
    kernel = _kernel(features, features[landmarks], mirror)
    if not mirror:
        return ViewCoordinates(_components(kernel[0], landmarks, odd + even), np.zeros((n, 0)))
    return ViewCoordinates(
        _components(kernel[0] + kernel[1], landmarks, even), _components(kernel[0] - kernel[1], landmarks, odd)
    )


def _kernel(features: NDArray[np.float32], landmarks: NDArray[np.float32], mirror: bool) -> NDArray[np.float32]:
    """Return affinities of all images with landmarks, (1 or 2, n, landmarks)."""
    n, frequencies = features.shape[:2]
    out = np.zeros((1 + mirror, n, len(landmarks)), np.float32)
    with threadpool_limits(1, user_api="blas"):
        for first in range(0, n, TILE):
            tile = features[first : first + TILE]
            for k in range(frequencies):
                ours = np.concatenate([tile[:, k, 0], tile[:, k, 1]])
                products = (ours @ landmarks[:, k, part].T for part in (0, 1))
                add_squares(*products, np.float32(1 / frequencies), out[:, first : first + TILE])
    return out


def _components(kernel: NDArray[np.float32], landmarks: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(kernel[landmarks].astype(np.float64))
    count = min(count, int((values > 1e-6 * values[-1]).sum()))
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    return kernel @ (vectors / np.sqrt(values))


def tree_candidates(coordinates: ViewCoordinates, mirror: bool, count: int, *, threads: int = 1) -> NDArray[np.int32]:
    """Propose the nearest views of each image.

    Parameters
    ----------
    coordinates
        Of n views.
    mirror
        Mirrored views count as well.
    count
        Images to propose, cut to n - 1.
    threads
        Threads; they change no result.

    Returns
    -------
    ndarray
        int32 (n, count), ascending rows, -1 where fewer were found (an image twice, plain and mirrored, counts once).
    """
    ours = coordinates.points()
    n = len(ours)
    count = min(count, n - 1)
    points = np.concatenate([ours, coordinates.points(True)]) if mirror else ours
    found = KDTree(points).query(ours, min(count + 1, len(points)), workers=max(1, threads))[1] % n
    found[found == np.arange(n)[:, None]] = -1
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    # What is missing goes to the front: one entry at least, the image itself.
    found.sort(axis=1)
    return found[:, -count:].astype(np.int32)


def neighbours_of_neighbours(index: NDArray[np.int32], near: int, reach: int) -> NDArray[np.int32]:
    """Propose, beside each image's list, the first ``reach`` of the lists of its first ``near``; repeats become -1.

    Parameters
    ----------
    index
        Lists of n images, int32 (n, k), -1 for none.

    Returns
    -------
    ndarray
        int32 (n, k + near reach), ascending.
    """
    n = len(index)
    nearest = index[:, :near]
    second = np.where((nearest >= 0)[..., None], index[nearest, :reach], -1).reshape(n, -1)
    found = np.concatenate([index, second], axis=1)
    found[found == np.arange(n)[:, None]] = -1
    found.sort(axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
    return found
