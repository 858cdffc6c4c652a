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
from numba import njit
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.kd_candidates import tree_candidates
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.tiles import TILE

BRUTE_FORCE = 10_000
"""Up to this many images all pairs are looked at; beyond, those that a k-d tree proposes."""


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
    n = embedding.n
    count = min(count, n - 1)
    features = affinity_features(embedding, power)
    frequency = np.asarray(embedding.frequency, np.int64)
    proposed = None
    if n > brute_force:
        proposed = tree_candidates(embedding, min(n - 1, 2 * count + 50), threads=threads)
    index, score = np.full((n, count), -1, np.int32), np.full((n, count), -np.inf, np.float32)
    angle, mirror = np.zeros((n, count), np.float32), np.zeros((n, count), bool)

    def tile(first: int) -> None:
        rows = slice(first, min(first + TILE, n))
        if proposed is None:
            found = _all_affinities(features, rows, embedding.mirror)
            names = None
        else:
            names = proposed[rows]
            found = _listed_affinities(features, first, names, embedding.mirror)
        # Two affinities a pair: the better one, then the best of each row, ties to the lower row.
        better = found.max(axis=0)
        chosen = np.sort(np.argpartition(-better, count - 1, axis=1)[:, :count], axis=1)
        value = np.take_along_axis(better, chosen, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        chosen, value = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(value, order, axis=1)
        flips = np.take_along_axis(found[-1], chosen, axis=1) >= value if embedding.mirror else np.zeros(1, bool)
        rows_found = chosen if names is None else np.take_along_axis(names, chosen, axis=1)
        good = value > 0
        index[rows] = np.where(good, rows_found, -1)
        score[rows] = np.where(good, value, -np.inf)
        mirror[rows] = flips & good
        _angles(features, frequency, first, index[rows], mirror[rows], angle[rows])

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(tile, range(0, n, TILE)))
    return NeighbourLists(index, score, angle, mirror, np.zeros((n, count, 2), np.float32))


def pair_angles_deg(
    embedding: Embedding, index: NDArray[np.int32], mirror: NDArray[np.bool_], *, power: float = 2.0
) -> NDArray[np.float32]:
    """Return psi of the pose that brings each ``index[i, s]`` onto image i, float32 (n, k), 0 where index is -1."""
    angle = np.zeros(index.shape, np.float32)
    frequency = np.asarray(embedding.frequency, np.int64)
    _angles(affinity_features(embedding, power), frequency, 0, index, mirror, angle)
    return angle


def pair_affinities(
    embedding: Embedding, index: NDArray[np.int32], mirror: NDArray[np.bool_], *, power: float = 2.0
) -> NDArray[np.float32]:
    """Return |c_k|^2 of listed pairs at every frequency, float32 (n, k, K), 0 where index is -1."""
    features = affinity_features(embedding, power)
    out = np.zeros((*index.shape, features.shape[1]), np.float32)
    _parts(features, index, mirror, out)
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
        _add_squares(ours @ features[:, k, 0].T, ours @ features[:, k, 1].T, np.float32(1 / frequencies), out)
    own = np.arange(len(tile))
    out[:, own, rows.start + own] = -1
    return out


def _listed_affinities(
    features: NDArray[np.float32], first: int, names: NDArray[np.int32], mirror: bool
) -> NDArray[np.float32]:
    """Affinities of a tile of rows with listed images, (1 or 2, rows, c)."""
    out = np.full((1 + mirror, *names.shape), -1, np.float32)
    _listed(features, first, names, out)
    return out


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_squares(with_real, with_imaginary, weight, out):  # type: ignore[no-untyped-def]
    """Add |c|^2, and |c|^2 of the mirrored partner, from products of real and imaginary parts."""
    rows = out.shape[1]
    for row in range(rows):
        rr, ir = with_real[row], with_real[rows + row]
        ri, ii = with_imaginary[row], with_imaginary[rows + row]
        plain = out[0, row]
        for q in range(len(plain)):
            a, b = rr[q] + ii[q], ir[q] - ri[q]
            plain[q] += weight * (a * a + b * b)
        if out.shape[0] == 2:
            mirrored = out[1, row]
            for q in range(len(plain)):
                a, b = rr[q] - ii[q], ir[q] + ri[q]
                mirrored[q] += weight * (a * a + b * b)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"}, inline="always")
def _products(ours, theirs):  # type: ignore[no-untyped-def]
    rr = ri = ir = ii = np.float32(0)
    for q in range(ours.shape[1]):
        a, b, x, y = ours[0, q], ours[1, q], theirs[0, q], theirs[1, q]
        rr += a * x
        ri += a * y
        ir += b * x
        ii += b * y
    return rr, ri, ir, ii


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _listed(features, first, names, out):  # type: ignore[no-untyped-def]
    frequencies = features.shape[1]
    weight = np.float32(1 / frequencies)
    for row in range(names.shape[0]):
        for s in range(names.shape[1]):
            other = names[row, s]
            if other < 0 or other == first + row:
                continue
            plain = mirrored = np.float32(0)
            for k in range(frequencies):
                rr, ri, ir, ii = _products(features[first + row, k], features[other, k])
                a, b, c, d = rr + ii, ir - ri, rr - ii, ir + ri
                plain += a * a + b * b
                mirrored += c * c + d * d
            out[0, row, s] = weight * plain
            if out.shape[0] == 2:
                out[1, row, s] = weight * mirrored


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _parts(features, names, mirror, out):  # type: ignore[no-untyped-def]
    for row in range(names.shape[0]):
        for s in range(names.shape[1]):
            if names[row, s] < 0:
                continue
            for k in range(features.shape[1]):
                rr, ri, ir, ii = _products(features[row, k], features[names[row, s], k])
                sign = np.float32(-1) if mirror[row, s] else np.float32(1)
                a, b = rr + sign * ii, ir - sign * ri
                out[row, s, k] = a * a + b * b


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _angles(features, frequency, first, names, mirror, angle):  # type: ignore[no-untyped-def]
    """Find the peak of Re sum_k c_k exp(-i k phi): a grid of 8 points a period of the highest k, then Newton steps."""
    n_points = 8 * (frequency[-1] + 1)
    turn = np.arange(n_points) * (2 * np.pi / n_points)
    cosine, sine = np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)
    value = np.zeros(n_points, np.float32)
    real, imaginary = np.zeros(len(frequency), np.float32), np.zeros(len(frequency), np.float32)
    for row in range(names.shape[0]):
        for s in range(names.shape[1]):
            if names[row, s] < 0:
                continue
            value[:] = 0
            for k in range(len(frequency)):
                rr, ri, ir, ii = _products(features[first + row, k], features[names[row, s], k])
                sign = np.float32(-1) if mirror[row, s] else np.float32(1)
                real[k], imaginary[k] = rr + sign * ii, ir - sign * ri
                at = 0
                for point in range(n_points):
                    value[point] += real[k] * cosine[at] + imaginary[k] * sine[at]
                    at += frequency[k]
                    if at >= n_points:
                        at -= n_points
            best = 0
            for point in range(n_points):
                if value[point] > value[best]:
                    best = point
            phi = turn[best]
            for _ in range(4):
                slope = bend = 0.0
                for k in range(len(frequency)):
                    c, d = np.cos(frequency[k] * phi), np.sin(frequency[k] * phi)
                    slope += frequency[k] * (imaginary[k] * c - real[k] * d)
                    bend -= frequency[k] * frequency[k] * (real[k] * c + imaginary[k] * d)
                if bend >= 0:
                    break
                phi -= min(max(slope / bend, -0.5 * turn[1]), 0.5 * turn[1])
            degrees = np.degrees(phi)
            angle[row, s] = degrees - 360.0 * np.ceil((degrees - 180.0) / 360.0)
