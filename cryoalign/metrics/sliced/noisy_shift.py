"""Shifts of noisy images: the closed form, mended by the cross-correlation's peak near it.

All noise inside the mask has its say in a centre of mass, so that at an SNR of 1 closed forms are .4 px off; what two
images have in common does not see it. At the angle that was found, Newton's method climbs the cross-correlation of
coarse lines, wavelengths of 8 pixels and more,

    C(d) = sum over t, k of k Re[F_t(k) conj(G_t(k)) exp(2 pi i k <d, u_t> / L)],    u_t = (cos t, sin t),

with F the reference's lines and G the turned image's. Coarse ones alone, as details of deformed images would pull it
elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.poses import Poses, rotate_points
from cryoalign.metrics.sliced.sinogram import LineLayout

BELOW_SNR = 10.0
"""Images with less are mended: those with more are better in closed form."""
REACH_PX = 3.0
"""Farther from the closed form no peak is taken."""
_SHARE, _MOST_RINGS, _ENOUGH_ANGLES = 4, 32, 100
_STEPS = 8


def coarse_lines(lines: NDArray[np.complex64], layout: LineLayout) -> NDArray[np.complex64]:
    """Return the first quarter of the frequencies, 32 at most, on 100 angles or more; complex64 (h, k)."""
    kept = max(2, min(layout.n_frequencies // _SHARE, _MOST_RINGS))
    step = max(
        s for s in range(1, layout.half + 1) if layout.half % s == 0 and (s == 1 or layout.half // s >= _ENOUGH_ANGLES)
    )
    return np.ascontiguousarray(lines[::step, :kept])


def mirrored_lines(lines: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the lines (n, h, k) of mirrored images: that at angle t is the one at 180 - t."""
    return np.concatenate([lines[:, :1].conj(), lines[:, :0:-1]], axis=1)


def mended(
    poses: Poses,
    references: NDArray[np.complex64],
    images: NDArray[np.complex64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    box: int,
) -> Poses:
    """Return poses whose shifts are at the peak of the cross-correlation, within ``REACH_PX`` of where they were.

    Parameters
    ----------
    poses
        Of p pairs, with shifts in closed form.
    references, images
        Coarse lines of images moved to their centres, complex64 (m, h, k) and (n, h, k).
    first, second
        Reference and image of each pair, int64 (p,).
    box
        Side of the images in pixels.
    """
    turn = np.rint(poses.psi * (2 * images.shape[1] / 360.0)).astype(np.int64)
    peak = np.zeros((len(poses), 2))
    for i in range(len(poses)):
        a, b = references[first[i]], images[second[i]]
        _climb(a, b, turn[i], bool(poses.mirror[i]), 2.0 * np.pi / box, peak[i])
    # The peak moves the reference's centre.
    x, y = rotate_points(-poses.psi, peak[:, 0], peak[:, 1])
    return Poses(poses.psi, poses.dx + x, poses.dy + y, poses.mirror)


@kernel(nogil=True)
def _climb(reference, image, turn, mirror, unit, peak):  # type: ignore[no-untyped-def]
    h, count = reference.shape
    product = np.empty((h, count), np.complex128)
    for t in range(h):
        line = (t - turn) % (2 * h)
        if mirror:
            line = (h - line) % (2 * h)
        for k in range(count):
            other = image[line, k].conjugate() if line < h else image[line - h, k]
            product[t, k] = k * complex(reference[t, k]) * complex(other)
    x, y = 0.0, 0.0
    start, value = 0.0, 0.0
    for step in range(_STEPS + 1):
        value, gx, gy, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for t in range(h):
            c, s = np.cos(np.pi * t / h), np.sin(np.pi * t / h)
            phase = unit * (x * c + y * s)
            turned, spun = complex(np.cos(phase), np.sin(phase)), complex(1.0, 0.0)
            slope, bend = 0.0, 0.0
            for k in range(count):
                z = product[t, k] * spun
                value += z.real
                slope -= k * z.imag
                bend -= k * k * z.real
                spun *= turned
            gx += unit * slope * c
            gy += unit * slope * s
            xx += unit * unit * bend * c * c
            xy += unit * unit * bend * c * s
            yy += unit * unit * bend * s * s
        if step == 0:
            start = value
        if step == _STEPS:
            break
        middle, spread = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
        if middle + spread >= 0.0:  # no summit in sight: uphill
            steep = max(abs(middle + spread), abs(middle - spread))
            if not steep > 0.0:
                break
            xx, xy, yy = -steep, 0.0, -steep
        det = xx * yy - xy * xy
        step_x, step_y = (xy * gy - yy * gx) / det, (xy * gx - xx * gy) / det
        far = np.hypot(step_x, step_y)
        if far > 1.0:
            step_x, step_y = step_x / far, step_y / far
        x, y = x + step_x, y + step_y
        away = np.hypot(x, y)
        if away > REACH_PX:
            x, y = x * REACH_PX / away, y * REACH_PX / away
        if far < 1e-4:
            break
    if value >= start:
        peak[0], peak[1] = x, y
