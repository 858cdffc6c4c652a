"""Sums over the 6 x 6 patches of a fine grid around the points that a pose carries onto the output pixels.

A pixel costs six loads of a row of the patch and its weights, interpolated in a table.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from cryoalign.core.lanes import LANES, Emitter, vector_operation
from cryoalign.core.wrappers import KERNEL

TAPS = 6  # points of the window along an axis
SUBDIVISIONS = 256  # of a grid interval in the window table: 2e-5 of error by linear interpolation
_STRIP = 64  # output columns worked on together, so that their patches stay in the first-level cache


def _emit_patch_sum(v: Emitter, data: list[Any], at: list[Any]) -> Any:
    """Return ``sum_j wv[j] sum_k wu[k] points[start + j stride + k]``, the weights from the table."""
    points, table = data
    start, stride, iu, iv, fu, fv = at

    def weights(i: Any, fraction: Any) -> Any:
        change = v.load(table, v.builder.add(i, i.type(LANES)))
        return v.add(v.multiply(v.spread(fraction), change), v.load(table, i))

    row_weights = weights(iv, fv)
    total = v.multiply(v.shuffle(row_weights, [0] * LANES), v.load(points, start))
    for j in range(1, TAPS):
        row = v.load(points, v.offset(start, stride, j))
        total = v.add(v.multiply(v.shuffle(row_weights, [j] * LANES), row), total)
    return v.sum_lanes(v.multiply(total, weights(iu, fu)))


_patch_sum = vector_operation(_emit_patch_sum, result=numba.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy", **KERNEL)
def evaluate(
    aligned: NDArray[np.float32],
    finer: NDArray[np.float32],
    grid: int,
    matrix: NDArray[np.float64],
    window: NDArray[np.float32],
    mode: int,
    fill: float,
) -> None:
    """Evaluate one image at the points that its pose carries onto the output pixels.

    Parameters
    ----------
    aligned
        Receives the image, float32 (L, L).
    finer
        The image on the finer grid with its halo, float32, at least (grid + LANES) square; its point 0 is at
        [TAPS // 2 - 1, TAPS // 2 - 1].
    grid
        Side of the finer grid.
    matrix
        Where output offsets come from, float64 (6,).
    window
        Table of weights, float32 (SUBDIVISIONS * 2 * LANES,).
    mode
        Outside the box: 0 period, 1 reflection about the outermost pixel centres, 2 ``fill``.
    fill
        Value for mode 2.
    """
    size = len(aligned)
    centre = size // 2
    zero = np.float32(0.0)
    period = np.float32(size if mode == 0 else 2 * size - 2)
    inverse = np.float32(1.0) / period
    last = np.float32(size - 1)
    scale = np.float32(grid / size)
    subdivisions = np.float32(SUBDIVISIONS)
    stride = np.uint64(finer.shape[1])
    points = finer.ravel()
    start = np.empty(_STRIP, np.int32)
    iu, iv = np.empty(_STRIP, np.int32), np.empty(_STRIP, np.int32)
    fu, fv = np.empty(_STRIP, np.float32), np.empty(_STRIP, np.float32)
    outside = np.empty(_STRIP, np.bool_)
    du, dv = np.float32(matrix[0]), np.float32(matrix[3])
    for strip in range(0, size, _STRIP):
        width = min(_STRIP, size - strip)
        for y in range(size):
            u0 = matrix[0] * (strip - centre) + matrix[1] * (y - centre) + matrix[2] + centre
            v0 = matrix[3] * (strip - centre) + matrix[4] * (y - centre) + matrix[5] + centre
            if mode != 2:  # in double precision, so that a far shift loses nothing
                u0 -= period * np.floor(u0 / period)
                v0 -= period * np.floor(v0 / period)
            us, vs = np.float32(u0), np.float32(v0)
            for x in range(width):
                u, v = us + du * np.float32(x), vs + dv * np.float32(x)
                if mode == 2:
                    ui, vi = min(max(u, zero), last), min(max(v, zero), last)
                    outside[x] = abs(u - ui) + abs(v - vi) > np.float32(1e-3)
                    u, v = ui, vi
                else:
                    u -= period * np.floor(u * inverse)
                    v -= period * np.floor(v * inverse)
                    if mode == 1:
                        u, v = min(u, period - u), min(v, period - v)
                u, v = u * scale, v * scale
                ku, kv = np.int32(u), np.int32(v)
                start[x] = kv * np.int32(stride) + ku
                u, v = (u - np.float32(ku)) * subdivisions, (v - np.float32(kv)) * subdivisions
                ku, kv = np.int32(u), np.int32(v)
                iu[x], iv[x] = ku * np.int32(2 * LANES), kv * np.int32(2 * LANES)
                fu[x], fv[x] = u - np.float32(ku), v - np.float32(kv)
            for x in range(width):
                aligned[y, strip + x] = _patch_sum(
                    (points, window), (np.uint64(start[x]), stride, np.uint64(iu[x]), np.uint64(iv[x]), fu[x], fv[x])
                )
            if mode == 2:
                for x in range(width):
                    if outside[x]:
                        aligned[y, strip + x] = fill
