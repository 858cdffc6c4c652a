"""A plain search for one reference, the yardstick of speed: finufft rings, ring FFTs, point-wise Newton steps.

What a careful programmer writes first with numpy, scipy and finufft, in float32 and in batches: the same rings for all
frequencies, one inverse FFT per shift, then Newton's method on the sum over polar points.
"""

from __future__ import annotations

from collections.abc import Callable

import finufft
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .exhaustive import rings, shift_disc

BATCH = 64


def prepare(
    reference: NDArray, max_shift_px: float, *, band: int, coarse_rings: int, n_steps: int = 4
) -> Callable[[NDArray], dict[str, NDArray]]:
    """Prepare a reference (L, L); the result takes images (n, L, L) and returns poses by name."""
    box = reference.shape[-1]
    n_angles = scipy.fft.next_fast_len(int(np.ceil(np.pi * band)) * 2, real=True)
    n_angles += n_angles % 2
    half, n_kept = n_angles // 2, n_angles // 2
    k = np.arange(1, band + 1)[:, None] * 2 * np.pi / box
    phi = np.arange(half) * 2 * np.pi / n_angles
    kx, ky = (k * np.cos(phi)).astype(np.float32), (k * np.sin(phi)).astype(np.float32)
    weight = (np.arange(1, band + 1)[:, None] * np.ones(half)).astype(np.float32)
    polar = rings(reference[None], band, n_angles)[0]
    q = np.fft.fftfreq(n_angles, 1 / n_angles).astype(np.float32)
    spectrum = np.fft.fft(polar, axis=1).astype(np.complex64)
    shifts = shift_disc(max_shift_px, box / (2.25 * coarse_rings))
    full_x, full_y = np.concatenate([kx, -kx], 1), np.concatenate([ky, -ky], 1)
    shifted = np.stack([polar * np.exp(-1j * (full_x * x + full_y * y)) for x, y in shifts])[:, :coarse_rings]
    operand = np.fft.fft(shifted, axis=2)[:, :, :n_kept].conj() * np.arange(1, coarse_rings + 1)[None, :, None]
    operand = operand.astype(np.complex64)
    plan = finufft.Plan(2, (box, box), n_trans=BATCH, eps=1e-4, isign=-1, dtype="complex64", nthreads=1)
    plan.setpts(ky.ravel(), kx.ravel())

    def coarse(data: NDArray) -> NDArray[np.float64]:
        full = np.concatenate([data[:, :coarse_rings], data[:, :coarse_rings].conj()], axis=2)
        harmonics = scipy.fft.fft(full, axis=2, workers=1)[:, :, :n_kept]
        best = np.full(len(data), -np.inf, np.float32)
        pose = np.zeros((len(data), 3))
        for s in range(len(shifts)):
            product = np.zeros((len(data), n_kept + 1), np.complex64)
            product[:, :-1] = (harmonics * operand[s]).sum(axis=1)
            curve = scipy.fft.irfft(product, n=n_angles, axis=1, workers=1)
            where = curve.argmax(axis=1)
            value = curve[np.arange(len(data)), where]
            better = value > best
            best[better] = value[better]
            angle = 2 * np.pi * where[better] / n_angles
            c, d = np.cos(angle), np.sin(angle)
            x, y = shifts[s]
            pose[better] = np.stack([angle, c * x - d * y, d * x + c * y], axis=1)
        return pose

    def newton(data: NDArray, pose: NDArray) -> NDArray:
        turned = spectrum * np.exp(-1j * pose[:, 0, None, None] * q).astype(np.complex64)
        value, first, second = (
            scipy.fft.ifft(turned * f, axis=2, workers=1)[:, :, :half] for f in (1.0, -1j * q, -(q**2))
        )
        t = pose[:, 1:, None, None].astype(np.float32)
        moved = data.conj() * weight * np.exp(-1j * (kx * t[:, 0] + ky * t[:, 1]))
        a0, a1, a2 = moved * value, moved * first, (moved * second).real
        gradient = np.stack([a1.real.sum((1, 2)), (a0.imag * kx).sum((1, 2)), (a0.imag * ky).sum((1, 2))], axis=1)
        h = np.empty((len(data), 3, 3))
        h[:, 0, 0] = a2.sum((1, 2))
        h[:, 0, 1] = h[:, 1, 0] = (a1.imag * kx).sum((1, 2))
        h[:, 0, 2] = h[:, 2, 0] = (a1.imag * ky).sum((1, 2))
        h[:, 1, 1] = -(a0.real * kx * kx).sum((1, 2))
        h[:, 2, 2] = -(a0.real * ky * ky).sum((1, 2))
        h[:, 1, 2] = h[:, 2, 1] = -(a0.real * kx * ky).sum((1, 2))
        step = -np.linalg.solve(h, gradient[..., None].astype(np.float64))[..., 0]
        limit = np.array([2 * np.pi / n_angles, *[box / (2.25 * coarse_rings)] * 2])
        return pose + np.clip(step, -limit, limit)

    def call(images: NDArray) -> dict[str, NDArray]:
        parts = []
        for start in range(0, len(images), BATCH):
            tile = np.zeros((BATCH, box, box), np.complex64)
            part = images[start : start + BATCH]
            tile[: len(part)] = part
            data = plan.execute(tile).reshape(BATCH, band, half)[: len(part)]
            pose = coarse(data)
            for _ in range(n_steps):
                pose = newton(data, pose)
            parts.append(pose)
        pose = np.concatenate(parts)
        return {"psi": -np.rad2deg(pose[:, 0]), "dx": -pose[:, 1], "dy": -pose[:, 2]}

    return call
