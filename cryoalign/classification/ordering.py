"""Poses, distances and quality of the neighbours that a graph of views has found.

Neighbours stand in the order of their affinity: an order mixed with the score of a template, or with the raw score,
was no better on any set. Templates, the mean of an image's neighbours, serve to say how well the image itself agrees
with them: it is not among them, so junk, which agrees with nothing, comes last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.llr import ScoreWeights, likelihood_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.kernels import kernel
from cryoalign.core.steerable.basis import multiplicity
from cryoalign.core.tiles import TILE, run_tiles

TEMPLATE_MEMBERS = 30


def pose_products(
    coefficients: NDArray[np.complex64], frequency: NDArray[np.int64], lists: NeighbourLists, threads: int = 1
) -> NDArray[np.float32]:
    """Return sum_p Re(a conj b) of listed pairs at their poses, float32 (n, k); 0 where there is no neighbour.

    Parameters
    ----------
    coefficients
        Weighted coefficients, complex64 (n, P).
    frequency
        Of the components, ascending.
    lists
        Neighbours with angles and mirrors.
    threads
        Threads; they change no result.
    """
    result = np.zeros(lists.index.shape, np.float32)
    ends = _blocks(frequency)

    def compute(begin: int) -> None:
        _products(
            coefficients, frequency, ends, lists.index, lists.angle_deg, lists.mirror, begin,
            min(begin + TILE, len(lists)), result,
        )  # fmt: skip

    run_tiles(compute, range(0, len(lists), TILE), threads)
    return result


def _blocks(frequency: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the components of each frequency begin, and where the last end."""
    return np.append(np.unique(frequency, return_index=True)[1], len(frequency)).astype(np.int64)


def templates(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    lists: NeighbourLists,
    members: int,
    threads: int = 1,
) -> tuple[NDArray[np.complex64], NDArray[np.int64]]:
    """Return the mean of each image's first neighbours, brought onto it, and how many these are.

    Parameters
    ----------
    coefficients, frequency, lists, threads
        As for :func:`pose_products`, but without weights.
    members
        Neighbours averaged.

    Returns
    -------
    template, count
        complex64 (n, P), 0 where there is no neighbour; int64 (n,).
    """
    result = np.zeros(coefficients.shape, np.complex64)
    near = lists.nearest(members)
    # One layout: each further one would be compiled on its own.
    index, angle, mirror = (np.ascontiguousarray(part) for part in (near.index, near.angle_deg, near.mirror))
    ends = _blocks(frequency)

    def compute(begin: int) -> None:
        _means(coefficients, frequency, ends, index, angle, mirror, begin, min(begin + TILE, len(lists)), result)

    run_tiles(compute, range(0, len(lists), TILE), threads)
    return result, np.count_nonzero(near.index >= 0, axis=1)


def template_quality(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    eigenvalue: NDArray[np.floating],
    lists: NeighbourLists,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Score each image against the mean of its neighbours: the log-likelihood ratio that they show the same.

    Parameters
    ----------
    coefficients, frequency, eigenvalue, lists, threads
        As for :func:`templates`.

    Returns
    -------
    ndarray
        float32 (n,); -inf for an image without neighbours.
    """
    mean, count = templates(coefficients, frequency, lists, TEMPLATE_MEMBERS, threads)
    usual = max(1, int(np.median(count)))
    weights = likelihood_weights(frequency, eigenvalue + 1.0, eigenvalue + 1.0 / usual, eigenvalue)
    product = (coefficients.real * mean.real + coefficients.imag * mean.imag) * weights.product.astype(np.float32)
    score = product.sum(axis=1) - weights.own_terms(coefficients) - weights.partner_terms(mean)
    return np.where(count > 0, score, -np.inf).astype(np.float32)


def pair_distances(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    weights: ScoreWeights,
    best: NDArray[np.floating],
    lists: NeighbourLists,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Return how far the score of each listed pair at its pose is below the best an image can have, float32 (n, k).

    Parameters
    ----------
    coefficients, frequency, lists, threads
        As for :func:`templates`.
    weights
        Of the score.
    best
        The highest score that any other image could give each, shape (n,).
    """
    own = weights.own_terms(coefficients)
    product = pose_products(weights.weighted(coefficients), frequency, lists, threads)
    score = product - own[:, None] - own[lists.index]
    distance = np.maximum(np.asarray(best, np.float32)[:, None] - score, 0.0)
    return np.where(lists.index >= 0, distance, np.inf).astype(np.float32)


def best_attainable(
    coefficients: NDArray[np.complex64], frequency: NDArray[np.int64], eigenvalue: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the highest log-likelihood ratio that any other image could give each, float32 (n,).

    With v the variance of a component, signal and noise, it is the sum of m |a|^2 / (2 v): the maximum over b.
    """
    half = (0.5 * multiplicity(frequency) / (np.asarray(eigenvalue) + 1.0)).astype(np.float32)
    power = coefficients.real**2 + coefficients.imag**2
    return np.asarray((power * half).sum(axis=1), dtype=np.float32)


@kernel(nogil=True, fastmath={"contract"})
def _products(a, frequency, ends, index, angle, mirror, begin, stop, out):  # type: ignore[no-untyped-def]
    for i in range(begin, stop):
        for s in range(index.shape[1]):
            j = index[i, s]
            if j < 0:
                continue
            psi = np.deg2rad(np.float64(angle[i, s]))
            total = 0.0
            for q in range(len(ends) - 1):
                k = frequency[ends[q]]
                rr, ii, ri, ir = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for p in range(ends[q], ends[q + 1]):
                    x, y = a[i, p], a[j, p]
                    rr += x.real * y.real
                    ii += x.imag * y.imag
                    ri += x.real * y.imag
                    ir += x.imag * y.real
                if mirror[i, s]:
                    sign = 1 - 2 * (k % 2)
                    real, imaginary = sign * (rr - ii), sign * (ir + ri)
                else:
                    real, imaginary = rr + ii, ir - ri
                total += real * np.cos(k * psi) - imaginary * np.sin(k * psi)
            out[i, s] = total


@kernel(nogil=True, fastmath={"contract"})
def _means(a, frequency, ends, index, angle, mirror, begin, stop, out):  # type: ignore[no-untyped-def]
    for i in range(begin, stop):
        count = 0
        for s in range(index.shape[1]):
            j = index[i, s]
            if j < 0:
                continue
            count += 1
            psi = np.deg2rad(np.float64(angle[i, s]))
            for q in range(len(ends) - 1):
                k = frequency[ends[q]]
                c, d = np.float32(np.cos(k * psi)), np.float32(np.sin(k * psi))
                flip = np.float32(1 - 2 * (k % 2))
                for p in range(ends[q], ends[q + 1]):
                    x, y = a[j, p].real, a[j, p].imag
                    if mirror[i, s]:
                        x, y = flip * x, -flip * y
                    out[i, p] += complex(x * c + y * d, y * c - x * d)
        if count > 0:
            share = np.float32(1.0 / count)
            for p in range(a.shape[1]):
                out[i, p] *= share
