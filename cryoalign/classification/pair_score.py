"""Exact scores of listed pairs of images: the maximum over the in-plane angle, and over both handednesses.

With weighted steerable coefficients a, b of angular frequencies k, S(psi) = sum_p Re(a_p conj(b_p) exp(i k psi)): a
trigonometric polynomial whose coefficients z_k = sum_{p of k} a_p conj(b_p) take one pass over the components (Zhao and
Singer, J. Struct. Biol. 186:153, 2014). A mirrored image has coefficients (-1)^k conj(b), so that the same four sums of
products serve both. The highest of a grid of angles is climbed by Newton's method, which is exact here and cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.classification.best_lists import best_columns
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pair_kernels import FINE, angle_grid, pack_frequencies_in_lanes, score_rows
from cryoalign.core.tiles import TILE, run_tiles


@dataclass(frozen=True, eq=False)
class PairScores:
    """Best pose of each listed pair; entry (i, s) belongs to the image in column s of row i of the lists.

    Parameters
    ----------
    score
        Highest score, float32 (n, C); -inf where no image is listed.
    angle_deg
        Its angle in (-180, 180], float32 (n, C).
    mirror
        Whether the second image is mirrored, bool (n, C).
    variant
        Which variant of the second image it is, int16 (n, C).
    """

    score: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    mirror: NDArray[np.bool_]
    variant: NDArray[np.int16]


def score_pairs(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    rows: NDArray[np.int32],
    offset: ArrayLike | None = None,
    *,
    others: NDArray[np.complex64] | None = None,
    mirror: bool = True,
    penalty: ArrayLike | None = None,
    weak: float = FINE,
    threads: int = 1,
) -> PairScores:
    """Score listed pairs.

    Parameters
    ----------
    coefficients
        Weighted coefficients of all images, complex64 (n, P): sqrt(m w) a, m = 1 for k = 0 and 2 else.
    frequency
        Angular frequency of each component, ascending, shape (P,).
    rows
        For each image the others it is compared with, int32 (n, C); -1 for none.
    offset
        g, shape (n,): g_i + g_j is taken from each score; None for 0.
    others
        Weighted coefficients of the second image of each pair, complex64 (n, P) or (V, n, P) for V variants of it
        (shifted copies), the best of which counts; None for ``coefficients``.
    mirror
        Also try the second image mirrored.
    penalty
        Taken from the score of each variant, shape (V,).
    weak
        How much of the curve the grid of angles may neglect, see ``pair_kernels``.
    threads
        Threads; they change no result.

    Raises
    ------
    ValueError
        Shapes do not fit.
    """
    n, size = coefficients.shape
    second = coefficients[None] if others is None else others.reshape(-1, *others.shape[-2:])
    taken = np.zeros(len(second), np.float32) if penalty is None else np.asarray(penalty, np.float32)
    g = np.zeros(n, np.float32) if offset is None else np.asarray(offset, np.float32)
    if len(rows) != n or second.shape[1:] != (n, size) or frequency.shape != (size,) or len(g) != n:
        raise ValueError("coefficients, frequencies, rows and offsets do not fit each other")
    if len(taken) != len(second):
        raise ValueError("one penalty for each variant")
    result = PairScores(
        np.full(rows.shape, -np.inf, np.float32),
        np.zeros(rows.shape, np.float32),
        np.zeros(rows.shape, bool),
        np.zeros(rows.shape, np.int16),
    )
    frequency = np.asarray(frequency, np.int64)
    grid = angle_grid(coefficients, frequency, weak)
    first, chunk_rows = pack_frequencies_in_lanes(coefficients, frequency)
    packed = first[None]
    if others is not None:
        parts = [pack_frequencies_in_lanes(variant, frequency)[0] for variant in second]
        packed = np.stack(parts) if len(parts) > 1 else parts[0][None]
    listed = np.ascontiguousarray(rows, np.int32)

    def compute(begin: int) -> None:
        score_rows(
            first, packed, chunk_rows, grid, listed, g, taken, mirror, begin, min(begin + TILE, n),
            result.score, result.angle_deg, result.mirror, result.variant,
        )  # fmt: skip

    run_tiles(compute, range(0, n, TILE), threads)
    return result


def top_neighbours(
    rows: NDArray[np.int32], scores: PairScores, k: int, shifts: ArrayLike | None = None
) -> NeighbourLists:
    """Sort each list by score and keep its k best; of equal ones the lower row comes first.

    Parameters
    ----------
    rows, scores
        Lists and what :func:`score_pairs` found for them.
    k
        Neighbours kept.
    shifts
        Displacement in pixels before any mirror, of each variant, shape (V, 2), or of each entry of the lists,
        (n, C, 2); None for no shifts.
    """
    n, count = len(rows), min(k, rows.shape[1])
    index, score = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
    angle, flip, shift = np.zeros((n, k), np.float32), np.zeros((n, k), bool), np.zeros((n, k, 2), np.float32)
    if count == 0:
        return NeighbourLists(index, score, angle, flip, shift)
    order = best_columns(scores.score, np.ascontiguousarray(rows, np.int32), count)
    i, s = np.nonzero(order >= 0)
    column = order[i, s]
    index[i, s], score[i, s] = rows[i, column], scores.score[i, column]
    angle[i, s], flip[i, s] = scores.angle_deg[i, column], scores.mirror[i, column]
    if shifts is not None:
        moved = np.asarray(shifts, np.float32)
        shift[i, s] = moved[scores.variant[i, column]] if moved.ndim == 2 else moved[i, column]
        # The pose shifts after the mirror: the displacement of the image, mirrored with it.
        shift[..., 0] = np.where(flip, -shift[..., 0], shift[..., 0])
    return NeighbourLists(index, score, angle, flip, shift)
