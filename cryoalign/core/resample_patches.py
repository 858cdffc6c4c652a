"""Sums over the 6 x 6 patches of a fine grid around the points that a pose carries onto the output pixels.

The inner sum is written as eight-wide vector operations: the compiler does not find them in scalar code, and they are
what the time of a resampling depends on. Any processor runs them, in as many instructions as it needs.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic
from numpy.typing import NDArray

TAPS = 6  # points of the window along an axis
LANES = 8  # width of the vectors; the last two weights are zero
SUBDIVISIONS = 256  # of a grid interval in the window table: 2e-5 of error by linear interpolation
_STRIP = 64  # output columns worked on together, so that their patches stay in the first-level cache


@intrinsic
def _patch_sum(
    typing_context: Any, grid: Any, start: Any, stride: Any, table: Any, iu: Any, fu: Any, iv: Any, fv: Any
) -> Any:
    """Return ``sum_j wv[j] sum_k wu[k] grid[start + j stride + k]``, w[k] = ``table[i + k] + f table[i + LANES + k]``."""
    u64, f32 = numba.uint64, numba.float32
    signature = f32(grid, u64, u64, table, u64, f32, u64, f32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, index = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)
        grid_data, table_data = (
            context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 3)
        )
        _, start, stride, _, iu, fu, iv, fv = arguments

        def load(data: Any, at: Any) -> Any:
            return builder.load(builder.bitcast(builder.gep(data, [at]), vector.as_pointer()), align=4)

        def shuffle(value: Any, lanes: list[int]) -> Any:
            return builder.shuffle_vector(
                value, ir.Constant(value.type, ir.Undefined), ir.Constant(ir.VectorType(index, len(lanes)), lanes)
            )

        def multiply_add(a: Any, b: Any, total: Any) -> Any:
            flags = ("contract",)
            return builder.fadd(builder.fmul(a, b, flags=flags), total, flags=flags)

        def weights(i: Any, fraction: Any) -> Any:
            single = builder.insert_element(ir.Constant(vector, ir.Undefined), fraction, index(0))
            change = load(table_data, builder.add(i, ir.Constant(ir.IntType(64), LANES)))
            return multiply_add(shuffle(single, [0] * LANES), change, load(table_data, i))

        row_weights = weights(iv, fv)
        total = builder.fmul(shuffle(row_weights, [0] * LANES), load(grid_data, start))
        for j in range(1, TAPS):
            start = builder.add(start, stride)
            total = multiply_add(shuffle(row_weights, [j] * LANES), load(grid_data, start), total)
        total = builder.fmul(total, weights(iu, fu))
        width = LANES
        while width > 1:
            width //= 2
            total = builder.fadd(shuffle(total, list(range(width))), shuffle(total, list(range(width, 2 * width))))
        return builder.extract_element(total, index(0))

    return signature, generate


@numba.njit(cache=True, nogil=True, error_model="numpy")
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
        The image on the finer grid with its halo, float32 (grid + 8, grid + 8); its point 0 is at [2, 2].
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
    last = np.float32(size - 1)
    scale = np.float32(grid / size)
    subdivisions = np.float32(SUBDIVISIONS)
    stride = np.uint64(finer.shape[1])
    points = finer.ravel()
    start = np.empty(_STRIP, np.uint32)
    iu, iv = np.empty(_STRIP, np.uint32), np.empty(_STRIP, np.uint32)
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
                    u -= period * np.floor(u / period)
                    v -= period * np.floor(v / period)
                    if mode == 1:
                        u, v = min(u, period - u), min(v, period - v)
                u, v = u * scale, v * scale
                ku, kv = np.uint32(u), np.uint32(v)
                start[x] = kv * np.uint32(stride) + ku
                u, v = (u - np.float32(ku)) * subdivisions, (v - np.float32(kv)) * subdivisions
                ku, kv = np.uint32(u), np.uint32(v)
                iu[x], iv[x] = ku * np.uint32(2 * LANES), kv * np.uint32(2 * LANES)
                fu[x], fv[x] = u - np.float32(ku), v - np.float32(kv)
            for x in range(width):
                aligned[y, strip + x] = _patch_sum(  # type: ignore[call-arg]
                    points, np.uint64(start[x]), stride, window, np.uint64(iu[x]), fu[x], np.uint64(iv[x]), fv[x]
                )
            if mode == 2:
                for x in range(width):
                    if outside[x]:
                        aligned[y, strip + x] = fill
