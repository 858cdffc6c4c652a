"""Compiled loops of the pair score over listed pairs and over blocks of all pairs; see pair_lanes for the steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.classification.pair_lanes import (
    COLUMNS,
    FIRST_ROWS,
    GROUP,
    PLANE,
    climb_peaks,
    find_highest,
    sum_lane_products,
    sum_products,
    turn_sums,
)
from cryoalign.core.kernels import INNER, kernel
from cryoalign.core.lanes import LANES

ANGLES_PER_TURN = 5.6
"""Grid angles per turn of the highest frequency: another peak than the highest is then taken once in a thousand times,
one at most 2 % lower, even for flat random spectra."""


FINE, COARSE = 0.0001, 0.005
"""Share of the curve's variance, k > 0, that the grid may do without, for scores that stand and for screening."""


class AngleGrid(NamedTuple):
    """The grid of angles, +-(t + 1/2) pi / (2 T) and these plus half a turn, t = 0 .. T - 1; same for all pairs.

    Parameters
    ----------
    k_max
        Highest angular frequency.
    k_grid
        Highest one that is summed on the grid; higher ones are weak and count when peaks are climbed.
    cosine, sine
        Of the quarter's angles, float32 (T,).
    table
        cos(k psi), sin(k psi), float32, flat [group][k][angle][2].
    """

    k_max: int
    k_grid: int
    cosine: NDArray[np.float32]
    sine: NDArray[np.float32]
    table: NDArray[np.float32]


def angle_grid(coefficients: NDArray[np.complex64], frequency: NDArray[np.int64], weak: float) -> AngleGrid:
    """Lay the grid for images with these coefficients.

    Parameters
    ----------
    coefficients, frequency
        Weighted coefficients of all images, (n, P), and the angular frequency of each component.
    weak
        FINE, COARSE, or 0 for all frequencies.
    """
    k_max = int(frequency.max(initial=0))
    power = np.mean(coefficients.real.astype(np.float64) ** 2 + coefficients.imag.astype(np.float64) ** 2, axis=0)
    # Variance that a frequency gives to the curve of two unlike images.
    variance = np.bincount(frequency, power**2, minlength=k_max + 1)[1:]
    beyond = np.cumsum(variance[::-1])[::-1]
    k_grid = int(np.count_nonzero(beyond > weak * beyond[:1].sum()))
    quarter = GROUP * max(2, int(np.ceil(ANGLES_PER_TURN * k_grid / (4 * GROUP))))
    psi = (np.arange(quarter) + 0.5) * np.pi / (2 * quarter)
    phase = np.arange(k_grid + 1)[None, :, None] * psi.reshape(-1, 1, GROUP)
    table = np.stack([np.cos(phase), np.sin(phase)], axis=-1).astype(np.float32).ravel()
    return AngleGrid(k_max, k_grid, np.cos(psi).astype(np.float32), np.sin(psi).astype(np.float32), table)


def pack_frequencies_in_lanes(
    coefficients: NDArray[np.complex64], frequency: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Lay out coefficients so that LANES frequencies are summed at once.

    Returns
    -------
    packed, chunk_rows
        float32 (n, size): for each chunk of LANES frequencies its rows of [LANES re, LANES im], zero where a frequency
        has fewer components; and the rows of each chunk.
    """
    chunks = int(frequency.max(initial=0)) // LANES + 1
    count = np.bincount(frequency, minlength=chunks * LANES)
    chunk_rows = count.reshape(chunks, LANES).max(axis=1).astype(np.int64)
    first_row = np.concatenate([[0], np.cumsum(chunk_rows)])
    within = np.arange(len(frequency)) - (np.cumsum(count) - count)[frequency]
    place = (first_row[frequency // LANES] + within) * (2 * LANES) + frequency % LANES
    packed = np.zeros((len(coefficients), int(first_row[-1]) * 2 * LANES), np.float32)
    packed[:, place], packed[:, place + LANES] = coefficients.real, coefficients.imag
    return packed, chunk_rows


def pack_images_in_lanes(coefficients: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Lay out coefficients so that LANES images are compared at once: (blocks, P, 2, LANES), zero after the last."""
    n, size = coefficients.shape
    blocks = -(-n // LANES)
    packed = np.zeros((blocks * LANES, size, 2), np.float32)
    packed[:n, :, 0], packed[:n, :, 1] = coefficients.real, coefficients.imag
    return np.ascontiguousarray(packed.reshape(blocks, LANES, size, 2).transpose(0, 2, 3, 1))


@njit(nogil=True, forceinline=True, **INNER)
def _best_poses(planes, start, grid, found, turns, climb, score, radians):  # type: ignore[no-untyped-def]
    """Find score and angle of all columns of a set of planes; without ``climb`` the best angle of the grid."""
    k_max, k_grid, quarter = grid.k_max, grid.k_grid, len(grid.cosine)
    zero = np.uint64(0)
    find_highest(
        (planes, grid.table, found),
        (start, np.uint64(k_grid // 2 + 1), np.uint64((k_grid + 1) // 2), np.uint64(quarter // GROUP), zero),
    )
    if not climb:
        for c in range(COLUMNS):
            score[c] = found[c]
        return
    step = np.pi / (2 * quarter)
    for c in range(COLUMNS):
        number = np.int64(found[COLUMNS + c])
        cosine, sine = grid.cosine[number >> 1], grid.sine[number >> 1]
        angle = (np.float64(number >> 1) + 0.5) * step
        if number & 1:
            sine, angle = -sine, -angle
        if found[2 * COLUMNS + c] < 0:
            cosine, sine, angle = -cosine, -sine, angle + np.pi
        turns[c], turns[COLUMNS + c] = cosine, sine
        # What was found mirrored lacks the sign (-1)^k: half a turn.
        radians[c] = angle + np.pi if c >= LANES else angle
    climb_peaks((planes, turns), (start, np.uint64(k_max), zero, np.float32(step)))
    for c in range(COLUMNS):
        score[c] = turns[c]
        radians[c] += turns[COLUMNS + c]
        if k_max == 0 or score[c] == 0:
            radians[c] = 0.0


@njit(nogil=True, forceinline=True, **INNER)
def _degrees(radians):  # type: ignore[no-untyped-def]
    """Return an angle in (-180, 180] degrees, float32."""
    turns = radians / (2.0 * np.pi)
    degrees = np.float32(360.0 * (turns - np.rint(turns)))
    return np.float32(180.0) if degrees <= np.float32(-180.0) else degrees


@kernel(nogil=True)
def score_rows(  # type: ignore[no-untyped-def]
    first, second, chunk_rows, grid, rows, g, penalty, mirror, begin, stop, score, angle, flipped, variant
):
    """Score the lists of rows begin .. stop - 1; outputs as in PairScores.

    ``first`` (n, size) and ``second`` (V, n, size) are packed with frequencies in lanes.
    """
    size, chunks = first.shape[1], len(chunk_rows)
    per_image = second.shape[1] * size
    flat_first, flat_second = first.reshape(-1), second.reshape(-1)
    sums = np.empty(LANES * chunks * 4 * LANES, np.float32)
    planes = np.zeros(chunks * LANES * PLANE, np.float32)
    found, turns = np.empty(3 * COLUMNS, np.float32), np.empty(2 * COLUMNS, np.float32)
    best, radians = np.empty(COLUMNS, np.float32), np.empty(COLUMNS)
    listed = np.empty(LANES, np.int64)
    climb = np.bool_(True)  # not a literal, which would be compiled on its own
    for i in range(begin, stop):
        done = 0
        while done < rows.shape[1]:
            # The next LANES pairs, whatever gaps the list has.
            count = 0
            while done < rows.shape[1] and count < LANES:
                if rows[i, done] >= 0:
                    listed[count] = done
                    count += 1
                done += 1
            for v in range(len(penalty)):
                for u in range(count):
                    here = i * size
                    there = v * per_image + np.int64(rows[i, listed[u]]) * size
                    for q in range(chunks):
                        sum_lane_products(
                            (flat_first, flat_second, sums),
                            (
                                np.uint64(here),
                                np.uint64(there),
                                np.uint64(chunk_rows[q]),
                                np.uint64((u * chunks + q) * 4 * LANES),
                            ),
                        )
                        here += chunk_rows[q] * 2 * LANES
                        there += chunk_rows[q] * 2 * LANES
                stride = np.uint64(chunks * 4 * LANES)
                for q in range(chunks):
                    for part in range(4):
                        turn_sums(
                            (sums, planes),
                            (
                                np.uint64((q * 4 + part) * LANES),
                                stride,
                                np.uint64(q * LANES * PLANE + part * LANES),
                            ),
                        )
                _best_poses(planes, np.uint64(0), grid, found, turns, climb, best, radians)
                for u in range(count):
                    s = listed[u]
                    c = u
                    if mirror and best[LANES + u] > best[u]:
                        c = LANES + u
                    total = best[c] - penalty[v] - (g[i] + g[rows[i, s]])
                    if v == 0 or total > score[i, s]:
                        score[i, s] = total
                        angle[i, s] = _degrees(radians[c])
                        flipped[i, s] = c >= LANES
                        variant[i, s] = v


@kernel(nogil=True)
def score_block(  # type: ignore[no-untyped-def]
    first, second, starts, grid, g, mirror, climb, row, column, score, angle, flipped
):
    """Score all pairs of a block of rows and a block of columns.

    Parameters
    ----------
    first
        Coefficients, float32 (n or more in whole FIRST_ROWS, P, 2).
    second
        Packed with images in lanes.
    starts
        First component of each frequency 0 .. k_max, and their number at the end.
    grid
        An :class:`AngleGrid`.
    g, mirror, climb
        Offsets, (n,); whether mirrored pairs count; whether to climb from the grid (else no angles are written).
    row, column
        First row, a multiple of FIRST_ROWS, and first column, a multiple of LANES.
    score, angle, flipped
        Outputs, (rows, columns) of the block.
    """
    size = first.shape[1]
    n_k = len(starts) - 1
    flat_first, flat_second = first.reshape(-1), second.reshape(-1)
    planes = np.zeros(FIRST_ROWS * n_k * PLANE, np.float32)
    found, turns = np.empty(3 * COLUMNS, np.float32), np.empty(2 * COLUMNS, np.float32)
    best, radians = np.empty(COLUMNS, np.float32), np.empty(COLUMNS)
    rows, columns = score.shape
    for j in range(0, columns, LANES):
        block = (column + j) // LANES * size * 2 * LANES
        for i in range(0, rows, FIRST_ROWS):
            for k in range(n_k if climb else grid.k_grid + 1):
                sum_products(
                    (flat_first, flat_second, planes),
                    (
                        np.uint64(((row + i) * size + starts[k]) * 2),
                        np.uint64(2 * size),
                        np.uint64(block + starts[k] * 2 * LANES),
                        np.uint64(starts[k + 1] - starts[k]),
                        np.uint64(k * PLANE),
                        np.uint64(n_k * PLANE),
                    ),
                )
            for r in range(min(FIRST_ROWS, rows - i)):
                _best_poses(planes, np.uint64(r * n_k * PLANE), grid, found, turns, climb, best, radians)
                for u in range(min(LANES, columns - j)):
                    c = u
                    if mirror and best[LANES + u] > best[u]:
                        c = LANES + u
                    score[i + r, j + u] = best[c] - (g[row + i + r] + g[column + j + u])
                    if climb:
                        angle[i + r, j + u] = _degrees(radians[c])
                        flipped[i + r, j + u] = c >= LANES
