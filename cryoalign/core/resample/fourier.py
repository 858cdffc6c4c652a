"""Band-limited resampling: the trigonometric polynomial of the Nyquist disc, evaluated at turned and shifted points.

The spectrum inside the disc is divided by the window's transform and zero-padded, an inverse FFT gives the image on a
grid 1.25 times finer, and each output pixel is a sum over 6 x 6 points of it: a type-2 non-uniform FFT. A pixel costs
six loads of a row of its patch and its weights, interpolated in a table.
J. A. Fessler, B. P. Sutton, "Nonuniform fast Fourier transforms using min-max interpolation", IEEE Trans. Signal
Process. 51 (2003); window: J. I. Jackson et al., "Selection of a convolution function for Fourier inversion using
gridding", IEEE Trans. Med. Imaging 10 (1991).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import i0

from cryoalign.core.kernels import kernel
from cryoalign.core.lanes import LANES, Emitter, vector_operation
from cryoalign.core.resample.fft import factors_of, radices_of
from cryoalign.core.resample.grid import fill_finer_grid, padded

TAPS = 6  # points of the window along an axis
SUBDIVISIONS = 256  # of a grid interval in the window table: 2e-5 of error by linear interpolation
_STRIP = 64  # output columns worked on together, so that their patches stay in the first-level cache
_OVERSAMPLING = 1.25
_BEFORE = TAPS // 2 - 1  # points of a patch before the point that it belongs to


@dataclass(frozen=True, eq=False)
class FourierPlan:
    """What depends on the box only.

    Parameters
    ----------
    box, grid
        Sides of the image and of the finer grid, in their pixels.
    gain
        What the half spectrum of an image, rows in FFT order, is multiplied by; zero outside the Nyquist disc;
        float32 (box, (box + 1) // 2). As :func:`cryoalign.core.resample.grid.fill_finer_grid` wants it.
    window
        Flattened table of float32 (SUBDIVISIONS, 2, LANES): the weights of the TAPS points around a point at the start
        of each subdivision of a grid interval, and their change over the subdivision.
    box_radices, box_factors, grid_radices, grid_factors
        Of the Fourier transforms of length box and grid, see :mod:`cryoalign.core.resample.fft`.
    """

    box: int
    grid: int
    gain: NDArray[np.float32]
    window: NDArray[np.float32]
    box_radices: NDArray[np.int64]
    box_factors: NDArray[np.float32]
    grid_radices: NDArray[np.int64]
    grid_factors: NDArray[np.float32]


@lru_cache(maxsize=8)
def plan_fourier_resampling(box: int) -> FourierPlan:
    """Choose the finer grid and the window for a box, in pixels."""
    half = (box + 1) // 2
    # Even, at least so fine, of small primes, and with room for both halves of the spectrum in whole vectors.
    grid = max(int(np.ceil(_OVERSAMPLING * box / 2)), LANES * -(-half // LANES)) * 2
    while radices_of(grid).max() > 8 or 7 in radices_of(grid):
        grid += 2
    # 0.986 of Beatty's pi w (1 - 1 / (2 sigma)) minimises the mean square error over the disc.
    beta = 0.986 * np.pi * TAPS * (1.0 - 0.5 * box / grid)
    k = np.fft.fftfreq(box, 1.0 / box)
    aliases = np.arange(-8, 9)
    transform = _window_transform(k[:, None] / grid + aliases, beta)
    # The least-squares share of exp(2 pi i k x) in what the window makes of it: the aliases count as error.
    share = transform[:, 8] / (transform**2).sum(axis=1)
    disc = k[:, None] ** 2 + k[:half] ** 2 < (box / 2) ** 2
    gain = disc * share[:, None] * share[:half] / (2.0 * box**2)
    return FourierPlan(
        box,
        grid,
        gain.astype(np.float32),
        _window_table(beta),
        radices_of(box),
        factors_of(box),
        radices_of(grid),
        factors_of(grid),
    )


def _window_transform(frequency: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return the transform of I0(beta sqrt(1 - (2 x / TAPS)^2)) / I0(beta); frequency in cycles per grid pixel."""
    root = np.sqrt(beta**2 - (np.pi * TAPS * frequency) ** 2 + 0j)
    return np.asarray(TAPS * np.sinc(1j * root / np.pi).real / i0(beta))


def _window_table(beta: float) -> NDArray[np.float32]:
    """Return the flattened table of window weights and their changes, see :class:`FourierPlan`."""
    fraction = np.arange(SUBDIVISIONS + 1) / SUBDIVISIONS
    offsets = np.arange(LANES) - (TAPS // 2 - 1) - fraction[:, None]
    inside = 1.0 - (2.0 * offsets / TAPS) ** 2
    weights = np.where(inside >= 0.0, i0(beta * np.sqrt(np.maximum(inside, 0.0))) / i0(beta), 0.0)
    weights[:, TAPS:] = 0.0
    table = np.stack([weights[:-1], np.diff(weights, axis=0)], axis=1)
    return table.astype(np.float32).ravel()


def gain_frequencies(box: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kx and ky, in cycles per pixel, where gains are wanted: (L, (L + 1) // 2), kx in FFT order, ky >= 0."""
    kx, ky = np.meshgrid(np.fft.fftfreq(box), np.arange((box + 1) // 2) / box, indexing="ij")
    return kx, ky


def fourier_resample_into(
    aligned: NDArray[np.float32],
    images: NDArray[np.float32],
    matrices: NDArray[np.float64],
    edge: str,
    gains: NDArray[np.float32] | None = None,
    image_of: NDArray[np.int64] | None = None,
) -> None:
    """Resample images by their trigonometric polynomial inside the Nyquist disc.

    Parameters
    ----------
    aligned
        Receives the result, float32 (n, L, L).
    images
        Raw images, float32 (n, L, L).
    matrices
        Where output offsets come from, float64 (n, 6), see :func:`cryoalign.core.resample.resample.sampling_matrices`.
    edge
        ``"wrap"``, ``"mirror"``, ``"zero"`` or ``"mean"``.
    gains
        What the spectrum of each image is multiplied by on the way, see :func:`gain_frequencies`; None for 1.
    image_of
        Image of each result, (n,), neighbours alike where one has several poses: it is transformed once for all of
        them. None = one for one.
    """
    plan = plan_fourier_resampling(images.shape[-1])
    rows = plan.grid + LANES  # a patch that starts on the last point of the period reads this far past it
    finer = np.empty((rows, padded(rows)), np.float32)
    planes = np.empty((4, (plan.grid + 2 * LANES) * padded(plan.grid // 2 + LANES)), np.float32)
    mode = {"wrap": 0, "mirror": 1}.get(edge, 2)
    gain = plan.gain if gains is None else np.empty_like(plan.gain)
    source = range(len(images)) if image_of is None else image_of.tolist()
    filled, fill = -1, 0.0
    for i, at in enumerate(source):
        if at != filled:
            if gains is not None:
                np.multiply(plan.gain, gains[at], out=gain)
            fill_finer_grid(
                finer,
                images[at],
                planes,
                plan.grid,
                _BEFORE,
                gain,
                plan.box_radices,
                plan.box_factors,
                plan.grid_radices,
                plan.grid_factors,
            )
            fill = float(images[at].mean(dtype=np.float64)) if edge == "mean" else 0.0
            if gains is not None:
                fill *= float(gains[at, 0, 0])
            filled = at
        _evaluate(aligned[i], finer, plan.grid, matrices[i], plan.window, mode, fill)


def _emit_patch_sum(v: Emitter, data: list[Any], at: list[Any]) -> Any:
    """Return ``sum_j wv[j] sum_k wu[k] points[start + j stride + k]``, the weights from the table."""
    points, table = data
    start, stride, iu, iv, fu, fv = at

    def weights(i: Any, fraction: Any) -> Any:
        change = v.load(table, v.offset(i, 1, LANES))
        return v.add(v.multiply(v.spread(fraction), change), v.load(table, i))

    row_weights = weights(iv, fv)
    total = v.multiply(v.shuffle(row_weights, [0] * LANES), v.load(points, start))
    for j in range(1, TAPS):
        row = v.load(points, v.offset(start, stride, j))
        total = v.add(v.multiply(v.shuffle(row_weights, [j] * LANES), row), total)
    return v.sum_lanes(v.multiply(total, weights(iu, fu)))


_patch_sum = vector_operation(_emit_patch_sum, result=numba.float32)


@kernel(nogil=True, error_model="numpy")
def _evaluate(
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
