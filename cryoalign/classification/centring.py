"""Centres of images before anything is known of their views: where the mean over all rotations fits best.

The mean of all images is round, so that neither views nor in-plane angles matter; what it finds is a centre that
similar views share. Its noise is a fraction of a picking error's, and rotation invariants, which shifts spoil, work.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.steerable.basis import GEMM_ROWS, plan_basis, shifted_images
from cryoalign.core.tiles import map_tiles, run_tiles

ROUNDS = 3
REACH_SD = 4.0
"""Centres are looked for within so many standard deviations."""


def centre_by_round_mean(
    images: NDArray[np.float32], shift_sd_px: float, *, radius_px: float | None = None, threads: int = 1
) -> NDArray[np.float64]:
    """Find shifts that bring images onto their round mean.

    Parameters
    ----------
    images
        Whitened, float32 (n, L, L); an array or a memory map.
    shift_sd_px
        Expected standard deviation of either coordinate of the centres in pixels, positive: a prior.
    radius_px
        Radius of the disc in pixels; None takes the largest.
    threads
        Threads; they change no result.

    Returns
    -------
    NDArray
        d = (dx, dy) in pixels, float64 (n, 2): images moved by +d share a centre.
    """
    n, box = len(images), images.shape[-1]
    basis = plan_basis(box, radius_px)
    round_part = np.flatnonzero(basis.frequency == 0)
    reach = int(np.clip(np.ceil(REACH_SD * shift_sd_px), 2, box // 4))
    line = np.arange(-reach, reach + 1)
    penalty = ((line[:, None] ** 2 + line**2) / (2 * shift_sd_px**2)).astype(np.float32)
    window = np.ix_(line % box, line % box)
    shift = np.zeros((n, 2))

    def total(begin: int) -> NDArray[np.float64]:
        tile = np.asarray(images[begin : begin + GEMM_ROWS], dtype=np.float32)
        moved = shifted_images(tile, shift[begin : begin + GEMM_ROWS])
        return np.asarray(moved.sum(axis=0, dtype=np.float64))

    for _ in range(ROUNDS):
        mean = sum(map_tiles(total, range(0, n, GEMM_ROWS), threads), np.zeros((box, box))) / n
        coefficients = basis.expand(mean[None])
        coefficients[:, np.setdiff1d(np.arange(coefficients.shape[1]), round_part)] = 0
        template = np.conj(scipy.fft.rfft2(basis.synthesize(coefficients)[0]))

        def compute(begin: int, template: NDArray[np.complex64] = template) -> None:
            tile = np.asarray(images[begin : begin + GEMM_ROWS], dtype=np.float32)
            product = scipy.fft.irfft2(scipy.fft.rfft2(tile) * template, s=(box, box))
            shift[begin : begin + GEMM_ROWS] = -_peaks(product[:, *window] - penalty) + reach

        run_tiles(compute, range(0, n, GEMM_ROWS), threads)
    return shift


def _peaks(score: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (x, y) of the highest point of each of (n, W, W), between the points by a parabola along either axis."""
    n, width = score.shape[:2]
    rows = np.arange(n)
    y, x = np.divmod(score.reshape(n, -1).argmax(axis=1), width)
    top = score[rows, y, x].astype(np.float64)
    found = np.empty((n, 2))
    for axis, at in enumerate((x, y)):
        ends = [np.clip(at + step, 0, width - 1) for step in (-1, 1)]
        low, high = (score[rows, y, e] if axis == 0 else score[rows, e, x] for e in ends)
        bend = low + high - 2 * top
        # At the border of the window, and where all is flat, the point itself.
        inside = (at > 0) & (at < width - 1) & (bend < 0)
        found[:, axis] = at + np.where(inside, 0.5 * (low - high) / np.where(inside, bend, 1.0), 0.0)
    return found
