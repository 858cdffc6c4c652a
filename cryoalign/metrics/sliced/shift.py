"""The shift in closed form: moving an image by v adds <v, (cos t, sin t)> to every quantile of the line at angle t.

With m(t) the mean of the projection at angle t, v = (2 / n) sum over t of m(t) (cos t, sin t) is the image's centre. An
image that was moved by -v does not change when the image moves: the rotation is searched on centred images, and then
shift = v_reference - R(psi) v_image. The centre is that of the density before any filter, clipped at zero.
For W_2 of a density this is the best shift for every rotation, since W_2^2 = (difference of the means)^2 + W_2^2 of the
centred (C. Villani, "Topics in optimal transportation", 2003). It says nothing of the rotation of one isotropic blob.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.poses import rotate_points


def centre_of_lines(means: NDArray[np.float64]) -> tuple[float, float]:
    """Return v = (x, y) in pixels from the mean of each line, means float64 (h,) at angles in [0, 180)."""
    h = len(means)
    angle = np.arange(h) * np.pi / h
    # The other half of the circle says the same: both m(t) and (cos t, sin t) change sign.
    return float(2.0 / h * (means * np.cos(angle)).sum()), float(2.0 / h * (means * np.sin(angle)).sum())


def move_lines(lines: NDArray[np.complex64], box: int, x: float, y: float) -> NDArray[np.complex64]:
    """Move an image by (-x, -y) pixels, so that what was at (x, y) is at the centre; on its lines (h, K)."""
    moved = np.empty_like(lines)
    _turn_phases(lines, float(x), float(y), box, moved)
    return moved


def closed_form_shift(
    reference: NDArray[np.float64], image: NDArray[np.float64], psi_deg: ArrayLike, mirror: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the origin offsets (dx, dy) in pixels that bring images' centres onto those of their references.

    Parameters
    ----------
    reference, image
        Centres (..., 2) in pixels.
    psi_deg, mirror
        The rest of the pose (:mod:`cryoalign.core.poses`), shape (...).
    """
    x, y = rotate_points(-np.asarray(psi_deg), reference[..., 0], reference[..., 1])
    return x - np.where(mirror, -1.0, 1.0) * image[..., 0], y - image[..., 1]


@kernel(nogil=True)
def _turn_phases(lines, x, y, box, moved):  # type: ignore[no-untyped-def]
    """Multiply by exp(2 pi i k <v, u> / L): a geometric series along each line, in double precision."""
    h, count = lines.shape
    for t in range(h):
        angle = np.pi * t / h
        step = 2.0 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / box
        real, imag = np.cos(step), np.sin(step)
        c, s = 1.0, 0.0
        for k in range(count):
            a, b = lines[t, k].real, lines[t, k].imag
            moved[t, k] = complex(np.float32(a * c - b * s), np.float32(a * s + b * c))
            c, s = c * real - s * imag, c * imag + s * real
