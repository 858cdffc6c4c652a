"""Where each image's view lies on the sphere: diffusion coordinates of the graph of affinities.

Some hundred landmark images are joined with those of highest affinity. On evenly spread views the leading
eigenvectors of the normalised graph are the harmonics of degree 1, which are the viewing direction (Coifman and Lafon,
Appl. Comput. Harmon. Anal. 2006); with mirrors an edge to a mirrored image counts negatively, since a mirrored view is
the antipode, and the constant drops out. The others follow the landmarks they are nearest to. The rotation of the
whole is free, and so is its hand. (Theory also gives the directions from the three leading eigenvectors of W^(1), but
these lie so near to the next ones that weak data mixes them.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity import affinity_features
from cryoalign.classification.affinity_kernels import tile_affinities
from cryoalign.classification.diffusion import Embedding
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.tiles import TILE

LANDMARKS, JOINED, FOLLOWED = 1000, 25, 10
"""Landmark images, landmarks that each is joined with, and landmarks that another image follows."""


def view_directions(embedding: Embedding) -> NDArray[np.float32]:
    """Return a unit vector for each image, float32 (n, 3); 0 for images that no edge reaches.

    Parameters
    ----------
    embedding
        Eigenvectors of n images. Mirrored views come out as antipodes.
    """
    n = embedding.n
    features = affinity_features(embedding)
    landmarks = evenly_spread(LANDMARKS, n)
    marks = features[landmarks]
    joined = np.zeros((len(landmarks), len(landmarks)))
    directions = np.zeros((n, 3))
    for first in range(0, len(landmarks), TILE):
        affinity = _signed_affinity(marks[first : first + TILE], marks, embedding.mirror)
        own = np.arange(len(affinity))
        affinity[own, first + own] = 0
        joined[first : first + TILE] = _largest(affinity, JOINED)
    harmonics = _harmonics(joined, embedding.mirror)
    for first in range(0, n, TILE):
        affinity = _signed_affinity(features[first : first + TILE], marks, embedding.mirror)
        directions[first : first + TILE] = _largest(affinity, FOLLOWED) @ harmonics
    length = np.linalg.norm(directions, axis=1)
    return (directions / np.where(length > 0, length, 1)[:, None]).astype(np.float32)


def _signed_affinity(tile: NDArray[np.float32], marks: NDArray[np.float32], mirror: bool) -> NDArray[np.float32]:
    """Affinities of a tile with all landmarks, (t, l): negative where the mirrored landmark is nearer."""
    out = tile_affinities(tile, marks, mirror)
    return np.where(out[1] > out[0], -out[1], out[0]) if mirror else out[0]


def _largest(affinity: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Keep the entries of largest size of each row."""
    size = np.abs(affinity)
    count = min(count, size.shape[1])
    least = -np.partition(-size, count - 1, axis=1)[:, count - 1 : count]
    return np.where(size >= least, affinity, 0)


def _harmonics(joined: NDArray[np.float64], mirror: bool) -> NDArray[np.float64]:
    """Return the three leading coordinates of the landmarks, of equal spread, (l, 3)."""
    graph = (joined + joined.T) / 2
    # Twice normalised: the first time so that crowded views weigh no more than others.
    for power in (1.0, 0.5):
        degree = np.abs(graph).sum(axis=1)
        degree = np.where(degree > 0, degree, 1)
        graph = graph / np.outer(degree, degree) ** power
    vectors = np.linalg.eigh(graph)[1][:, ::-1]
    chosen = vectors[:, :3] if mirror else vectors[:, 1:4]
    coordinates = chosen / np.sqrt(degree)[:, None]
    coordinates = np.pad(coordinates, ((0, 0), (0, 3 - coordinates.shape[1])))
    spread = np.sqrt((coordinates**2).mean(axis=0))
    return np.asarray(coordinates / np.where(spread > 0, spread, 1))
