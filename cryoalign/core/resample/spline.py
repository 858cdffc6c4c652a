"""Resampling by B-splines of degree 0 (nearest), 1 (linear), 3 (cubic) and 5 (quintic).

Degrees 3 and 5 interpolate: the coefficients come from the recursive prefilter of scipy.ndimage.
M. Unser, A. Aldroubi, M. Eden, "B-spline signal processing: Part I - theory", IEEE Trans. Signal Process. 41 (1993).
The linear case is RELION's: nothing outside the outermost pixel centres, sums in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel

_WRAP, _MIRROR, _FILL = 0, 1, 2
# RELION's tolerance (XMIPP_EQUAL_ACCURACY): a point this far outside the outermost pixel centre still counts as on it.
_TOLERANCE_PX = 1e-6


def spline_resample_into(
    aligned: NDArray[np.float32],
    images: NDArray[np.float32],
    matrices: NDArray[np.float64],
    edge: str,
    *,
    degree: int,
) -> None:
    """Resample images by a B-spline.

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
    degree
        0, 1, 3 or 5.
    """
    from scipy import ndimage  # slow to import, rarely needed

    mode = {"wrap": _WRAP, "mirror": _MIRROR}.get(edge, _FILL)
    coefficients = np.empty(images.shape[1:], np.float64)
    for i, image in enumerate(images):
        coefficients[...] = image
        if degree > 1:
            # Without a wrap the spline is continued by reflection about the outermost pixel centres.
            boundary = "grid-wrap" if mode == _WRAP else "mirror"
            ndimage.spline_filter(image, degree, output=coefficients, mode=boundary)
        fill = float(image.mean(dtype=np.float64)) if edge == "mean" else 0.0
        _evaluate(aligned[i], coefficients, matrices[i], degree, mode, fill)


@kernel()
def _basis(degree: int, t: float, weights: NDArray[np.float64]) -> None:
    """Write the values of the B-splines that reach a point, t = its fraction of the interval between pixels."""
    if degree == 0:
        weights[0] = 1.0
    elif degree == 1:
        weights[0], weights[1] = 1.0 - t, t
    elif degree == 3:
        u = 1.0 - t
        weights[0] = u * u * u / 6.0
        weights[1] = 2.0 / 3.0 - 0.5 * t * t * (1.0 + u)
        weights[2] = 2.0 / 3.0 - 0.5 * u * u * (1.0 + t)
        weights[3] = t * t * t / 6.0
    else:
        for k in range(3):  # by symmetry, from both ends
            for side in range(2):
                x = (1.0 - t if side else t) + (2.0 - k)
                z = x * x
                if k == 0:
                    value = (3.0 - x) ** 5 / 120.0
                elif k == 1:
                    value = 0.425 + x * (0.625 + x * (-1.75 + x * (1.25 + x * (x / 24.0 - 0.375))))
                else:
                    value = 0.55 + z * (-0.5 + z * (0.25 - x / 12.0))
                weights[5 - k if side else k] = value


@kernel()
def _fold(index: int, size: int, mode: int) -> int:
    """Bring an index into 0..size - 1, by the period or by reflection about the outermost pixels."""
    if 0 <= index < size:
        return index
    if mode == _WRAP:
        return index % size
    index %= 2 * size - 2
    return min(index, 2 * size - 2 - index)


@kernel(nogil=True)
def _evaluate(
    aligned: NDArray[np.float32],
    coefficients: NDArray[np.float64],
    matrix: NDArray[np.float64],
    degree: int,
    mode: int,
    fill: float,
) -> None:
    """Evaluate the spline of one image at the points that its pose carries onto the output pixels."""
    size = len(aligned)
    centre = size // 2
    taps = degree + 1
    half = 0.5 if degree == 0 else 0.0
    wx, wy = np.empty(6), np.empty(6)
    columns, rows = np.empty(6, np.int64), np.empty(6, np.int64)
    last = size - 1 + _TOLERANCE_PX
    for y in range(size):
        for x in range(size):
            u = matrix[0] * (x - centre) + matrix[1] * (y - centre) + matrix[2] + centre
            v = matrix[3] * (x - centre) + matrix[4] * (y - centre) + matrix[5] + centre
            if mode == _FILL and (u < -_TOLERANCE_PX or u > last or v < -_TOLERANCE_PX or v > last):
                aligned[y, x] = fill
                continue
            iu, iv = int(np.floor(u + half)), int(np.floor(v + half))
            _basis(degree, u - iu, wx)
            _basis(degree, v - iv, wy)
            for k in range(taps):
                columns[k] = _fold(iu - degree // 2 + k, size, mode)
                rows[k] = _fold(iv - degree // 2 + k, size, mode)
            total = 0.0
            for j in range(taps):
                along = 0.0
                for k in range(taps):
                    along += wx[k] * coefficients[rows[j], columns[k]]
                total += wy[j] * along
            aligned[y, x] = total
