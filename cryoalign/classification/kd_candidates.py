"""Near views of many images by the cells of a k-d tree, where all pairs would cost n^2.

The affinity to a few hundred landmarks is a kernel on the views. Walks between images and landmarks (landmark
diffusion maps; Coifman and Lafon, Appl. Comput. Harmon. Anal. 2006; Long and Ferguson, Adv. Eng. Softw. 2019) have
leading singular vectors that are smooth functions of the view alone, harmonics of low degree on evenly spread views,
and know nothing of in-plane angles. With mirrors the kernel splits into an even and an odd part, plain +- mirrored:
mirroring an image negates its odd coordinates. The kernel must be broad, or landmarks do not reach each other: so it
is made with the few leading eigenvectors of each frequency. (The nine real numbers of the three leading ones at k = 1
would do in theory. On graphs of near neighbours their gap to the next is too small to be told from noise.)

A k-d tree (Bentley, Comm. ACM 1975) parts the images into cells of near views. All images of a cell are compared with
the images nearest to its middle, which is a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity_kernels import tile_affinities
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.tiles import TILE

LANDMARKS = 500
LEADING = 8
"""Eigenvectors at each frequency that make the kernel."""
ODD, EVEN = 10, 5
"""Coordinates of either kind: harmonics of degrees 1 and 3, and 2; without mirrors, degrees 1 to 3."""
CELL = 128
"""Most images in a cell."""


@dataclass(frozen=True, eq=False)
class ViewCoordinates:
    """Coordinates of n views, float32 (n, d): ``even`` ones stay, ``odd`` ones change sign when mirrored."""

    even: NDArray[np.float32]
    odd: NDArray[np.float32]

    def points(self) -> NDArray[np.float32]:
        """Return all coordinates of the views, (n, d)."""
        return np.concatenate([self.even, self.odd], axis=1)


def view_coordinates(features: NDArray[np.float32], mirror: bool) -> ViewCoordinates:
    """Find smooth coordinates of the views.

    Parameters
    ----------
    features
        float32 (n, K, 2, m) of `cryoalign.classification.affinity.affinity_features`.
    mirror
        Whether the graph has mirrors; if not, all coordinates are called even.
    """
    n = len(features)
    landmarks = evenly_spread(LANDMARKS, n)
    leading = features[..., :LEADING]
    length = np.sqrt((leading**2).sum(axis=(2, 3), keepdims=True))
    leading = np.where(length > 1e-6, leading / np.maximum(length, 1e-6), 0).astype(np.float32)
    kernel = np.empty((1 + mirror, n, len(landmarks)), np.float32)
    for first in range(0, n, TILE):
        kernel[:, first : first + TILE] = tile_affinities(leading[first : first + TILE], leading[landmarks], mirror)
    plus = kernel.sum(axis=0)
    ours = np.maximum(plus.sum(axis=1), np.float32(1e-6))
    theirs = np.maximum((plus / ours[:, None]).sum(axis=0), np.float32(1e-6))
    scale = (1 / np.sqrt(ours)[:, None]).astype(np.float32), (1 / np.sqrt(theirs)).astype(np.float32)
    # The first even one is the same everywhere.
    if not mirror:
        return ViewCoordinates(_components(plus, scale, 1, ODD + EVEN), np.zeros((n, 0), np.float32))
    minus = kernel[0] - kernel[1]
    return ViewCoordinates(_components(plus, scale, 1, EVEN), _components(minus, scale, 0, ODD))


def _components(
    kernel: NDArray[np.float32], scale: tuple[NDArray[np.float32], NDArray[np.float32]], skip: int, count: int
) -> NDArray[np.float32]:
    """Return the leading left singular vectors of the scaled kernel times their values, less the scale, (n, count)."""
    ours, theirs = scale
    scaled = kernel * ours * theirs
    values, vectors = np.linalg.eigh((scaled.T @ scaled).astype(np.float64))
    kept = np.flatnonzero(values > 1e-6 * values[-1])[::-1][skip : skip + count]
    return np.asarray(scaled @ vectors[:, kept].astype(np.float32) * ours, np.float32)


def tree_cells(points: NDArray[np.float32], size: int = CELL) -> list[NDArray[np.int64]]:
    """Part points (n, d) at the median of the coordinate that varies most, until no cell has more than ``size``.

    Returns
    -------
    list of ndarray
        The rows of each cell, ascending.
    """
    cells, waiting = [], [np.arange(len(points))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= size:
            cells.append(np.sort(rows))
            continue
        axis = int(points[rows].var(axis=0).argmax())
        order = rows[np.argsort(points[rows, axis], kind="stable")]
        waiting += [order[len(order) // 2 :], order[: len(order) // 2]]
    return cells


def nearest_to_cell(coordinates: ViewCoordinates, cell: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """Return the ``count`` images that are nearest to the middle of a cell, plain or mirrored, int32, ascending."""
    even, odd = coordinates.even[cell].mean(axis=0), coordinates.odd[cell].mean(axis=0)
    squares = (coordinates.even**2).sum(axis=1) + (coordinates.odd**2).sum(axis=1)
    distance = squares - 2 * (coordinates.even @ even + np.abs(coordinates.odd @ odd))
    count = min(count, len(distance))
    return np.sort(np.argpartition(distance, count - 1)[:count]).astype(np.int32)


def unseen_of_neighbours(
    index: NDArray[np.int32], rows: NDArray[np.int64], seen: NDArray[np.int32], near: int, reach: int
) -> NDArray[np.int32]:
    """Propose the first ``reach`` of the lists of the first ``near`` of some images, but for those that were seen.

    Parameters
    ----------
    index
        Lists of n images, int32 (n, k), -1 for none.
    rows
        The images.
    seen
        Images that are not proposed.

    Returns
    -------
    ndarray
        int32 (rows, c), each once, -1 for none.
    """
    known = np.zeros(len(index) + 1, bool)
    known[seen] = known[-1] = True
    nearest = index[rows, :near]
    second = np.where((nearest >= 0)[..., None], index[nearest, :reach], -1).reshape(len(rows), -1)
    second[known[second]] = -1
    second[second == rows[:, None]] = -1
    second.sort(axis=1)
    second[:, 1:][second[:, 1:] == second[:, :-1]] = -1
    second.sort(axis=1)
    return second[:, second.shape[1] - int((second >= 0).sum(axis=1).max(initial=0)) :]
