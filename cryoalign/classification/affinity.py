"""How near two images are in the graph's eigenvectors, and the angle between them.

c_k(i, j) = sum_l lambda_l^p u_l(i) conj u_l(j), scaled so that c_k(i, i) = 1, is what walks on the graph from i to j
agree on at frequency k: its size falls with the angle between the views, its phase is k times the in-plane angle.
Affinity = mean over k of |c_k|^2; in-plane angle = argmax over phi of Re sum_k c_k exp(-i k phi), since u carries
exp(-i k psi). (Fan and Zhao, arXiv 1904.07772; Gao, Fan, Zhao, arXiv 1906.01082.) With mirrors a vector x stands for
(x, conj x), so j's mirror is reached by sum_l lambda_l^p x_l(i) x_l(j).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.affinity_kernels import frequency_parts, listed_affinities, pair_angles, tile_affinities
from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.kd_candidates import (
    nearest_to_cell,
    tree_cells,
    unseen_of_neighbours,
    view_coordinates,
)
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.tiles import TILE, run_tiles

BRUTE_FORCE = 10_000
"""Up to this many images all pairs are looked at; beyond, those near its cell of a k-d tree."""

NEAR, LEAST_NEAR = 20, 2000
"""Images compared with all of a cell of views, for each place in the lists, and at the least."""

FIRST, REACH = 20, 50
"""Then the first ``REACH`` of the lists of an image's ``FIRST`` are looked at, if they were not."""


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
    found = _empty_lists(embedding.n, count)
    if embedding.n <= brute_force:

        def tile(first: int) -> None:
            rows = np.arange(first, min(first + TILE, embedding.n))
            value = tile_affinities(features[rows], features, embedding.mirror)
            value[:, np.arange(len(rows)), rows] = -1
            _keep_best(found, rows, None, value)

        run_tiles(tile, range(0, embedding.n, TILE), threads)
    else:
        _search_cells(features, embedding.mirror, found, threads)
    frequency = np.asarray(embedding.frequency, np.int64)

    def turn(first: int) -> None:
        rows = slice(first, first + TILE)
        pair_angles(features, frequency, first, found.index[rows], found.mirror[rows], found.angle_deg[rows])

    run_tiles(turn, range(0, embedding.n, TILE), threads)
    return found


def _search_cells(features: NDArray[np.float32], mirror: bool, found: NeighbourLists, threads: int) -> None:
    """Fill lists with the best of the images near each cell of views, then of what these lists lead to."""
    views = view_coordinates(features, mirror)
    cells = tree_cells(views.points())
    near = max(LEAST_NEAR, NEAR * found.k)
    seen: list[NDArray[np.int32]] = [np.zeros(0, np.int32)] * len(cells)

    def compare(cell: int) -> None:
        rows = cells[cell]
        seen[cell] = names = nearest_to_cell(views, rows, near)
        value = tile_affinities(features[rows], features[names], mirror)
        value[:, rows[:, None] == names] = -1
        _keep_best(found, rows, np.broadcast_to(names, value.shape[1:]), value)

    run_tiles(compare, range(len(cells)), threads)
    first = NeighbourLists(*(np.copy(values) for values in vars(found).values()))

    def reach(cell: int) -> None:
        # What a few coordinates leave out is near something that they found.
        rows = cells[cell]
        more = unseen_of_neighbours(first.index, rows, seen[cell], FIRST, REACH)
        if not more.size:
            return
        value = np.full((1 + mirror, *more.shape), -1, np.float32)
        listed_affinities(features, rows, more, value)
        # A list holds one affinity a pair, the better: the other hand has less.
        listed = np.full((1 + mirror, len(rows), first.k), -1, np.float32)
        for hand in range(1 + mirror):
            np.copyto(listed[hand], first.score[rows], where=first.mirror[rows] == bool(hand))
        names = np.concatenate([first.index[rows], more], axis=1)
        _keep_best(found, rows, names, np.concatenate([listed, value], axis=2))

    run_tiles(reach, range(len(cells)), threads)


def _empty_lists(n: int, count: int) -> NeighbourLists:
    index, score = np.full((n, count), -1, np.int32), np.full((n, count), -np.inf, np.float32)
    zeros = np.zeros((n, count), np.float32)
    return NeighbourLists(index, score, zeros, np.zeros((n, count), bool), np.zeros((n, count, 2), np.float32))


def _keep_best(
    found: NeighbourLists, rows: NDArray[np.int64], names: NDArray[np.int32] | None, value: NDArray[np.float32]
) -> None:
    """Put the best of each row into its list; ``names`` (rows, c) of the columns, None if these are all images.

    ``value`` has two affinities a pair, plain and mirrored, of which the better counts; ties go to the first column.
    """
    better = value.max(axis=0)
    count = min(found.k, better.shape[1])
    chosen = np.sort(np.argpartition(-better, count - 1, axis=1)[:, :count], axis=1)
    kept = np.take_along_axis(better, chosen, axis=1)
    order = np.argsort(-kept, axis=1, kind="stable")
    chosen, kept = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(kept, order, axis=1)
    good = kept > 0
    found.index[rows, :count] = np.where(good, chosen if names is None else np.take_along_axis(names, chosen, 1), -1)
    found.score[rows, :count] = np.where(good, kept, -np.inf)
    if len(value) == 2:
        plain, mirrored = (np.take_along_axis(hand, chosen, axis=1) for hand in value)
        found.mirror[rows, :count] = good & (mirrored > plain)


def pair_affinities(
    embedding: Embedding, index: NDArray[np.int32], mirror: NDArray[np.bool_], *, power: float = 2.0
) -> NDArray[np.float32]:
    """Return |c_k|^2 of listed pairs at every frequency, float32 (n, k, K), 0 where index is -1."""
    features = affinity_features(embedding, power)
    out = np.zeros((*index.shape, features.shape[1]), np.float32)
    frequency_parts(features, index, mirror, out)
    return out
