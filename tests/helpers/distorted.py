"""Particles with a formula, as a microscope with anisotropic magnification stores them, in RELION's terms.

At the frequency k (Fourier pixels) of a stored image, with M the matrix of its optics group, F the flip of x:

    stored(k) = CTF(M k) exp(2 pi i k d / L) reference(R(psi) M k)          not mirrored
    stored(F k) of an image that is mirrored, whose M is then that of the flipped image: F M F

held by relion_reconstruct in test_agree_with_relion_magnification.py. Nothing here uses the package.
"""

from __future__ import annotations

import numpy as np

PIXEL = 4.0


def stretched(percent: float, axis_deg: float, others: float = 0.0) -> np.ndarray:
    """Return a symmetric matrix with scales 1 + percent / 200 along an axis and 1 - percent / 200 across, plus skew."""
    a = np.deg2rad(axis_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    half = percent / 200
    return turn @ np.diag([1 + half, 1 - half]) @ turn.T + np.array([[0, others], [0, 0]])


def ctf(kx, ky, u, v, angle_deg):
    """300 kV, Cs 2.7 mm, amplitude contrast 0.1, no phase shift; k in 1/A."""
    wavelength = 12.2643247 / np.sqrt(3e5 * (1 + 3e5 * 0.978466e-6))
    k2 = kx**2 + ky**2
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(2 * (np.arctan2(ky, kx) - np.deg2rad(angle_deg)))
    chi = np.pi * wavelength * defocus * k2 - np.pi / 2 * 2.7e7 * wavelength**3 * k2**2
    return np.sin(chi + np.arctan(0.1 / np.sqrt(1 - 0.1**2)))


def frequencies(box):
    """Return kx, ky of a transform in Fourier pixels, (box, box) each."""
    k = np.fft.fftfreq(box) * box
    return np.meshgrid(k, k)


def stored_images(
    blobs, box, matrix, psi, d, *, mirror=False, defocus=None, ctf_at=None, shift_at=None, pixel=PIXEL
) -> np.ndarray:
    """Render n stored images, float64 (n, box, box).

    psi (n,) in degrees, d (n, 2) in pixels of the stored image, mirror (n,), defocus (n, 3) as U, V, angle. ``ctf_at``
    and ``shift_at`` are matrices that take the place of M and of 1, for what would be wrong.
    """
    kx, ky = frequencies(box)
    psi, mirror = np.asarray(psi, float), np.broadcast_to(mirror, len(psi))
    images = np.empty((len(psi), box, box))
    for i in range(len(psi)):
        flip = np.diag([-1.0, 1.0]) if mirror[i] else np.eye(2)
        m = flip @ matrix @ flip
        qx, qy = _apply(m, kx, ky)
        a = np.deg2rad(psi[i])
        rx, ry = np.cos(a) * qx - np.sin(a) * qy, np.sin(a) * qx + np.cos(a) * qy
        spectrum = blobs.transform(box, rx, ry)
        sx, sy = _apply(np.eye(2) if shift_at is None else shift_at, kx, ky)
        spectrum = spectrum * np.exp(2j * np.pi / box * (sx * d[i][0] + sy * d[i][1]))
        if defocus is not None:
            # Of the flipped image, whose defocus angle is turned over.
            u, v, angle = defocus[i]
            cx, cy = _apply(m if ctf_at is None else ctf_at, kx, ky)
            spectrum = spectrum * ctf(cx / (box * pixel), cy / (box * pixel), u, v, 180 - angle if mirror[i] else angle)
        image = np.fft.fftshift(np.fft.ifft2(spectrum).real)
        if mirror[i]:
            image = np.roll(image[:, ::-1], 1, axis=1) if box % 2 == 0 else image[:, ::-1]
        images[i] = image
    return images


def _apply(m, x, y):
    return m[0][0] * x + m[0][1] * y, m[1][0] * x + m[1][1] * y


def matrix_columns(*matrices) -> dict[str, list[float]]:
    """Return the columns of an optics table."""
    return {f"rlnMagMat{r}{c}": [float(m[r][c]) for m in matrices] for r in (0, 1) for c in (0, 1)}
