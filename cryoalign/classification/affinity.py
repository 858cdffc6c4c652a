"""How near two images are in the graph's eigenvectors, and the angle between them.

c_k(i, j) = sum_l lambda_l^p u_l(i) conj u_l(j), scaled so that c_k(i, i) = 1, is what walks on the graph from i to j
agree on at frequency k: its size falls with the angle between the views, its phase is k times the in-plane angle.
Affinity = mean over k of |c_k|^2; in-plane angle = argmax over phi of Re sum_k c_k exp(-i k phi), since u carries
exp(-i k psi). (Fan and Zhao, arXiv 1904.07772; Gao, Fan, Zhao, arXiv 1906.01082.) With mirrors a vector x stands for
(x, conj x), so j's mirror is reached by sum_l lambda_l^p x_l(i) x_l(j).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.affinity_kernels import add_squares, frequency_parts, listed_affinities, pair_angles
from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.kd_candidates import neighbours_of_neighbours, tree_candidates, view_coordinates
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.tile_pool import one_blas_thread
from cryoalign.core.tiles import TILE

BRUTE_FORCE = 10_000
"""Up to this many images all pairs are looked at; beyond, those that a k-d tree proposes."""

PROPOSED = 1
"""Images the tree proposes for each image of the list: a query costs as much as the images it returns."""

STEPS, NEAR, REACH = 2, 10, 40
"""Then, in steps, the first ``REACH`` of the lists of an image's first ``NEAR`` are proposed."""


def affinity_features(embedding: Embedding, power: float = 2.0) -> NDArray[np.float32]:
    """Scale eigenvectors so that inner products of two images' rows are their c_k.

    Parameters
    ----------
    embedding
        Eigenvectors of n images at K frequencies.
    power
        Power p of the eigenvalues in c_k; 0 leaves the eigenvectors as they are.

    Returns
    -------
    ndarray
        float32 (n, K, 2, m): real and imaginary parts, m the largest m_k (others are filled with zeros). An image that
        no edge reaches has zeros.
    """
    most = max(x.shape[1] for x in embedding.vector)
    features = np.zeros((embedding.n, len(embedding.frequency), 2, most), np.float32)
    for part, (values, vectors) in enumerate(zip(embedding.eigenvalue, embedding.vector, strict=True)):
        rows = vectors * np.maximum(values, 0) ** np.float32(power / 2)
        length = np.sqrt((rows.real**2 + rows.imag**2).sum(axis=1))
        rows *= np.where(length > 1e-12, 1 / np.maximum(length, 1e-12), 0)[:, None]
        features[:, part, 0, : rows.shape[1]] = rows.real
        features[:, part, 1, : rows.shape[1]] = rows.imag
    return features


def best_affine(
    embedding: Embedding, count: int, *, power: float = 2.0, brute_force: int = BRUTE_FORCE, threads: int = 1
) -> NeighbourLists:
    """Find the images of highest affinity for each image.

    Parameters
    ----------
    embedding
        Eigenvectors of n images.
    count
        Length of the lists, cut to n - 1.
    power
        Power of the eigenvalues in the affinity.
    brute_force
        Largest n for which all pairs are looked at.
    threads
        Threads; they change no result.

    Returns
    -------
    NeighbourLists
        Scores are affinities in [0, 1], shifts are 0. With mirrors a pair stands for the nearer of plain and mirrored.
    """
    features = affinity_features(embedding, power)
    count = min(count, embedding.n - 1)
    proposed = None
    if embedding.n > brute_force:
        views = view_coordinates(features, embedding.mirror)
        near = tree_candidates(views, embedding.mirror, PROPOSED * count + 50, threads=threads)
        # What a few coordinates leave out is near something that they found.
        for _ in range(STEPS):
            first = _best(features, embedding, near, count, threads)
            near = neighbours_of_neighbours(first.index, NEAR, REACH)
        proposed = near
    found = _best(features, embedding, proposed, count, threads)
    frequency = np.asarray(embedding.frequency, np.int64)

    def turn(first: int) -> None:
        rows = slice(first, first + TILE)
        pair_angles(features, frequency, first, found.index[rows], found.mirror[rows], found.angle_deg[rows])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(turn, range(0, embedding.n, TILE)))
    return found


def _best(
    features: NDArray[np.float32], embedding: Embedding, proposed: NDArray[np.int32] | None, count: int, threads: int
) -> NeighbourLists:
    """Find the best of all images, or of proposed ones, for each image; angles are left at 0."""
    n, mirrors = embedding.n, embedding.mirror
    index, score = np.full((n, count), -1, np.int32), np.full((n, count), -np.inf, np.float32)
    mirror = np.zeros((n, count), bool)

    def tile(first: int) -> None:
        rows = slice(first, min(first + TILE, n))
        if proposed is None:
            found = _all_affinities(features, rows, mirrors)
        else:
            found = _listed_affinities(features, first, proposed[rows], mirrors)
        # Two affinities a pair: the better one, then the best of each row, ties to the lower row.
        better = found.max(axis=0)
        chosen = np.sort(np.argpartition(-better, count - 1, axis=1)[:, :count], axis=1)
        value = np.take_along_axis(better, chosen, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        chosen, value = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(value, order, axis=1)
        good = value > 0
        names = chosen if proposed is None else np.take_along_axis(proposed[rows], chosen, axis=1)
        index[rows] = np.where(good, names, -1)
        score[rows] = np.where(good, value, -np.inf)
        if mirrors:
            mirror[rows] = good & (
                np.take_along_axis(found[1], chosen, axis=1) > np.take_along_axis(found[0], chosen, axis=1)
            )

    with one_blas_thread(), ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(tile, range(0, n, TILE)))
    return NeighbourLists(index, score, np.zeros((n, count), np.float32), mirror, np.zeros((n, count, 2), np.float32))


def pair_angles_deg(
    embedding: Embedding, index: NDArray[np.int32], mirror: NDArray[np.bool_], *, power: float = 2.0
) -> NDArray[np.float32]:
    """Return psi of the pose that brings each ``index[i, s]`` onto image i, float32 (n, k), 0 where index is -1."""
    angle = np.zeros(index.shape, np.float32)
    frequency = np.asarray(embedding.frequency, np.int64)
    pair_angles(affinity_features(embedding, power), frequency, 0, index, mirror, angle)
    return angle


def pair_affinities(
    embedding: Embedding, index: NDArray[np.int32], mirror: NDArray[np.bool_], *, power: float = 2.0
) -> NDArray[np.float32]:
    """Return |c_k|^2 of listed pairs at every frequency, float32 (n, k, K), 0 where index is -1."""
    features = affinity_features(embedding, power)
    out = np.zeros((*index.shape, features.shape[1]), np.float32)
    frequency_parts(features, index, mirror, out)
    return out


def viewing_angle_deg(affinity: ArrayLike, k: int) -> NDArray[np.float64]:
    """Turn |c_k|, made with the 2 k + 1 leading eigenvectors unweighted, into the angle between two views, in degrees.

    |c_k| = ((1 + cos theta) / 2)^k for evenly spread views. (Gao, Fan, Zhao, arXiv 1906.01082.)
    """
    cosine = 2 * np.clip(np.asarray(affinity, dtype=np.float64), 0, 1) ** (1 / k) - 1
    return np.asarray(np.degrees(np.arccos(cosine)))


def _all_affinities(features: NDArray[np.float32], rows: slice, mirror: bool) -> NDArray[np.float32]:
    """Affinities of a tile of rows with all images, (1 or 2, rows, n): plain, and mirrored if there are mirrors."""
    n, frequencies = features.shape[:2]
    tile = features[rows]
    out = np.zeros((1 + mirror, len(tile), n), np.float32)
    for k in range(frequencies):
        ours = np.concatenate([tile[:, k, 0], tile[:, k, 1]])
        add_squares(ours @ features[:, k, 0].T, ours @ features[:, k, 1].T, np.float32(1 / frequencies), out)
    own = np.arange(len(tile))
    out[:, own, rows.start + own] = -1
    return out


def _listed_affinities(
    features: NDArray[np.float32], first: int, names: NDArray[np.int32], mirror: bool
) -> NDArray[np.float32]:
    """Affinities of a tile of rows with listed images, (1 or 2, rows, c)."""
    out = np.full((1 + mirror, *names.shape), -1, np.float32)
    listed_affinities(features, first, names, out)
    return out
