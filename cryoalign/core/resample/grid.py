"""From an image to the same image on a finer grid, by the Fourier coefficients inside the Nyquist disc.

Four transforms along columns with two turns between them: y, x, and back. Two columns of real numbers go through one
complex transform, the second as imaginary part: W. H. Press et al., "Numerical Recipes", section "FFT of real
functions". Planes are, in turn, [y, x], [ky, x], [x, ky], [kx, ky], [x, ky], [ky, x], [y, x].
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import INNER, kernel
from cryoalign.core.lanes import LANES, Emitter, vector_operation
from cryoalign.core.resample.fft import transform_columns


def padded(count: int) -> int:
    """Return the next odd multiple of LANES: rows a power of two apart would share few places in the cache."""
    return LANES * (2 * (-(-count // LANES) // 2) + 1)


def _emit_part(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Part the spectra A and B of real columns from that of A + i B, for a block of points; twice their values."""
    z_re, z_im, t_re, t_im = data
    source, mirrored, source_step, target_a, target_b, target_step = at
    a_re, a_im, b_re, b_im = [], [], [], []
    for k in range(LANES):
        here, there = v.offset(source, source_step, k), v.offset(mirrored, source_step, -k)
        re, im, re_there, im_there = v.load(z_re, here), v.load(z_im, here), v.load(z_re, there), v.load(z_im, there)
        a_re.append(v.add(re, re_there))
        a_im.append(v.subtract(im, im_there))
        b_re.append(v.add(im, im_there))
        b_im.append(v.subtract(re_there, re))
    parts = (t_re, target_a, a_re), (t_im, target_a, a_im), (t_re, target_b, b_re), (t_im, target_b, b_im)
    for plane, target, rows in parts:
        for k, row in enumerate(v.transpose(rows)):
            v.store(row, plane, v.offset(target, target_step, k))


def _emit_join(v: Emitter, data: list[Any], at: list[Any]) -> None:
    """Join the half spectra A and B of real columns into both halves of that of A + i B, for a block of points."""
    t_re, t_im, z_re, z_im = data
    source_a, source_b, source_step, target, mirrored, target_step = at
    here_re, here_im, there_re, there_im = [], [], [], []
    for k in range(LANES):
        a, b = v.offset(source_a, source_step, k), v.offset(source_b, source_step, k)
        a_re, a_im, b_re, b_im = v.load(t_re, a), v.load(t_im, a), v.load(t_re, b), v.load(t_im, b)
        here_re.append(v.subtract(a_re, b_im))
        here_im.append(v.add(a_im, b_re))
        there_re.append(v.add(a_re, b_im))
        there_im.append(v.subtract(b_re, a_im))
    for plane, rows in ((z_re, here_re), (z_im, here_im)):
        for k, row in enumerate(v.transpose(rows)):
            v.store(row, plane, v.offset(target, target_step, k))
    for plane, rows in ((z_re, there_re), (z_im, there_im)):
        for k, row in enumerate(v.transpose(rows)):
            v.store(row, plane, v.offset(mirrored, target_step, -k))


_part, _join = vector_operation(_emit_part), vector_operation(_emit_join)


@numba.njit(nogil=True, **INNER)
def _copy(source: NDArray[np.float32], start: int, target: NDArray[np.float32], to: int, count: int) -> None:
    """Copy some elements; unsigned places, lest a check for negative ones keep the loop from becoming vectors."""
    start_at, to_at = np.uint64(start), np.uint64(to)
    for k in range(np.uint64(count)):
        target[to_at + k] = source[start_at + k]


@numba.njit(nogil=True, **INNER)
def _scale(
    source: NDArray[np.float32],
    start: int,
    gain: NDArray[np.float32],
    gain_start: int,
    target: NDArray[np.float32],
    to: int,
    count: int,
) -> None:
    """Copy some elements, multiplied by a gain."""
    start_at, gain_at, to_at = np.uint64(start), np.uint64(gain_start), np.uint64(to)
    for k in range(np.uint64(count)):
        target[to_at + k] = source[start_at + k] * gain[gain_at + k]


@numba.njit(nogil=True, **INNER)
def _clear(target: NDArray[np.float32], start: int, stop: int) -> None:
    """Write zeros."""
    for k in range(np.uint64(start), np.uint64(max(start, stop))):
        target[k] = np.float32(0.0)


@kernel(nogil=True)
def fill_finer_grid(
    finer: NDArray[np.float32],
    image: NDArray[np.float32],
    planes: NDArray[np.float32],
    grid: int,
    before: int,
    gain: NDArray[np.float32],
    box_radices: NDArray[np.int64],
    box_factors: NDArray[np.float32],
    grid_radices: NDArray[np.int64],
    grid_factors: NDArray[np.float32],
) -> None:
    """Write an image, its spectrum multiplied by a gain, on a finer grid with a halo of its period.

    Parameters
    ----------
    finer
        Receives the finer image, float32; point 0 goes to [before, before], and all around is filled.
    image
        Raw image, float32 (box, box), box of 8 or more.
    planes
        Room to work in, float32 (4, at least (grid + 2 LANES) * (grid / 2 + 2 LANES)).
    grid
        Side of the finer grid, even, not less than twice the number of frequencies rounded up to LANES.
    before
        Points of the halo before point 0.
    gain
        What the spectrum is multiplied by, float32 (box, half): frequencies in FFT order, and not negative; the same
        for (kx, ky) as for (ky, kx). It holds the factors 1 / box^2 of the transforms and 1 / 2 of ``_emit_part``.
    box_radices, box_factors, grid_radices, grid_factors
        Of the transforms of length box and grid.
    """
    box, half = gain.shape
    blocks = LANES * ((half + LANES - 1) // LANES)
    # How many columns go into the real plane; the others go into the imaginary one.
    box_split = LANES * (((box + 1) // 2 + LANES - 1) // LANES)
    grid_split = LANES * ((grid // 2 + LANES - 1) // LANES)
    # Odd multiples of LANES, as in padded().
    n_x = LANES * (2 * (box_split // LANES // 2) + 1)
    n_k = LANES * (2 * (blocks // LANES // 2) + 1)
    n_fine = LANES * (2 * (grid_split // LANES // 2) + 1)
    gains = gain.ravel()
    x_re, x_im, y_re, y_im = planes[0], planes[1], planes[2], planes[3]
    pixels = image.ravel()
    for y in range(box):
        _copy(pixels, y * box, x_re, y * n_x, box_split)
        _copy(pixels, y * box + box_split, x_im, y * n_x, box - box_split)
        _clear(x_im, y * n_x + box - box_split, (y + 1) * n_x)
    x_re, x_im, y_re, y_im = transform_columns(x_re, x_im, y_re, y_im, box, n_x, box_radices, box_factors)
    first = np.int64(0)  # a literal would be a type of its own, with a copy of what it is given to
    _copy(x_re, first, x_re, box * n_x, n_x)  # frequency 0 is its own mirror image
    _copy(x_im, first, x_im, box * n_x, n_x)
    for k in range(0, blocks, LANES):
        for x in range(0, box_split, LANES):
            _part(
                (x_re, x_im, y_re, y_im),
                (
                    np.uint64(k * n_x + x),
                    np.uint64((box - k) * n_x + x),
                    np.uint64(n_x),
                    np.uint64(x * n_k + k),
                    np.uint64((box_split + x) * n_k + k),
                    np.uint64(n_k),
                ),
            )
    x_re, x_im, y_re, y_im = transform_columns(y_re, y_im, x_re, x_im, box, n_k, box_radices, box_factors)
    # Columns from ``half`` on hold what nobody asked for; no column has touched another, and here they end.
    for kx in range(-half + 1, half):
        row = kx + box if kx < 0 else kx
        start = (kx + grid if kx < 0 else kx) * n_k
        for source, target in ((x_re, y_re), (x_im, y_im)):
            _scale(source, row * n_k, gains, row * half, target, start, half)
            _clear(target, start + half, start + n_k)
    for target in (y_re, y_im):
        _clear(target, half * n_k, (grid - half + 1) * n_k)
    # Inverse transforms: the real and the imaginary plane change places.
    x_im, x_re, y_im, y_re = transform_columns(y_im, y_re, x_im, x_re, grid, n_k, grid_radices, grid_factors)
    for target in (x_re, x_im):  # columns that do not exist, but are joined to some that do
        _clear(target, grid * n_k, 2 * grid_split * n_k)
    for target in (y_re, y_im):
        _clear(target, blocks * n_fine, (grid - blocks + 1) * n_fine)
    for k in range(0, blocks, LANES):
        for x in range(0, grid_split, LANES):
            _join(
                (x_re, x_im, y_re, y_im),
                (
                    np.uint64(x * n_k + k),
                    np.uint64((grid_split + x) * n_k + k),
                    np.uint64(n_k),
                    np.uint64(k * n_fine + x),
                    np.uint64((grid - k) * n_fine + x),
                    np.uint64(n_fine),
                ),
            )
    x_im, x_re, y_im, y_re = transform_columns(y_im, y_re, x_im, x_re, grid, n_fine, grid_radices, grid_factors)
    width = finer.shape[1]
    points = finer.ravel()
    for y in range(grid):
        start = (before + y) * width
        _copy(x_re, y * n_fine, points, start + before, grid_split)
        _copy(x_im, y * n_fine, points, start + before + grid_split, grid - grid_split)
        _copy(points, start + grid, points, start, before)
        _copy(points, start + before, points, start + before + grid, width - before - grid)
    _copy(points, grid * width, points, first, before * width)
    _copy(points, before * width, points, (before + grid) * width, points.size - (before + grid) * width)
