"""The yardstick for many references: every angle and shift at the full band, then every promising reference polished.

Plain and independent of the code under test: rings by finufft, one matrix product per angular harmonic, FFT over the
angle, and scoring steps on the Cartesian grid. White noise, no CTF.
"""

from __future__ import annotations

import finufft
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from .bound import Grid, climb, model

Arrays = dict[str, NDArray]


def rings(images: NDArray, n_rings: int, n_angles: int, eps: float = 1e-6) -> NDArray[np.complex128]:
    """Transform images (n, L, L) on full rings 1..n_rings: (n, n_rings, n_angles)."""
    k = np.arange(1, n_rings + 1)[:, None] * 2 * np.pi / images.shape[-1]
    phi = np.arange(n_angles // 2) * 2 * np.pi / n_angles
    x, y = (k * np.cos(phi)).ravel(), (k * np.sin(phi)).ravel()
    coefficients = np.ascontiguousarray(images, dtype=np.complex128)
    half = finufft.nufft2d2(y, x, coefficients, eps=eps, isign=-1, nthreads=1).reshape(len(images), n_rings, -1)
    return np.concatenate([half, half.conj()], axis=2)  # F(-k) = conj F(k)


def information_band(references: NDArray, share: float = 0.9995) -> int:
    """Return the ring below which sum k^2 |G|^2 over pixels holds the share."""
    box = references.shape[-1]
    grid = Grid.make(box)
    power = (np.abs(grid.transform(references)) ** 2).mean(axis=0) * grid.radius**2
    ring = np.bincount(np.rint(grid.radius).astype(int), power)
    return int(min(np.searchsorted(np.cumsum(ring) / ring.sum(), share) + 1, box // 2 - 1))


def shift_disc(radius: float, step: float) -> NDArray[np.float64]:
    """Lay a grid of shifts (s, 2) over a disc, in pixels."""
    line = np.arange(-int(np.ceil(radius / step)), int(np.ceil(radius / step)) + 1) * step
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    keep = np.hypot(x, y) <= radius + step / 2
    return np.stack([x[keep], y[keep]], axis=1)


def search(
    images: NDArray, references: NDArray, max_shift_px: float, *, keep: float = 0.9, tile: int = 64
) -> tuple[Arrays, NDArray]:
    """Find the best reference and pose of every image by X / sqrt(E).

    Returns
    -------
    tuple
        Poses by name (psi, dx, dy, reference) and the score of every reference, (n, m); those whose grid score is
        below ``keep`` of the best keep their grid score.
    """
    box, count = references.shape[-1], len(references)
    band = information_band(references)
    grid = Grid.make(box, band + 0.5)
    n_angles = scipy.fft.next_fast_len(int(np.ceil(2 * np.pi * band)) + 16, real=True)
    n_angles += n_angles % 2
    n_harmonics = n_angles // 2
    shifts = shift_disc(max_shift_px, box / (2.5 * band))
    operand = _operand(references, band, n_angles, shifts)
    energy = (np.abs(grid.transform(references)) ** 2).sum(axis=1)
    found = np.empty((len(images), 4))
    scores = np.empty((len(images), count))
    for start in range(0, len(images), tile):
        part = images[start : start + tile]
        harmonics = np.fft.fft(rings(part, band, n_angles, 1e-5), axis=2)[:, :, :n_harmonics].astype(np.complex64)
        value, where = _grid_maximum(harmonics, operand, len(shifts), count)
        grid_score = value / np.sqrt(energy)
        pose = np.empty((len(part), count, 3))
        pose[..., 0] = -2 * np.pi * (where % n_angles) / n_angles
        # Image = (reference moved by s) turned by a: psi = -a, d = -R(-psi) s.
        cosine, sine = np.cos(pose[..., 0]), np.sin(pose[..., 0])
        x, y = shifts[where // n_angles].transpose(2, 0, 1)
        pose[..., 1], pose[..., 2] = -(cosine * x + sine * y), -(-sine * x + cosine * y)
        data = grid.transform(part)
        score = grid_score.copy()
        weight = np.full(len(grid.kx), 2.0 / box**2)
        promising = grid_score >= keep * grid_score.max(axis=1, keepdims=True)
        for m in range(count):
            rows = np.flatnonzero(promising[:, m])
            if len(rows) == 0:
                continue
            pose[rows, m] = climb(data[rows], references[m], grid, weight, pose[rows, m], 1.0, 5)
            predicted, _ = model(references[m], grid, pose[rows, m], 1.0)
            score[rows, m] = np.einsum("np,np->n", data[rows].conj(), predicted).real / np.sqrt(energy[m])
        score[~promising] = -np.inf
        best = score.argmax(axis=1)
        rows = np.arange(len(part))
        found[start : start + len(part), :3] = pose[rows, best]
        found[start : start + len(part), 3] = best
        scores[start : start + len(part)] = score
    poses = {"psi": np.rad2deg(found[:, 0]), "dx": found[:, 1], "dy": found[:, 2], "reference": found[:, 3].astype(int)}
    return poses, scores


def _operand(references: NDArray, band: int, n_angles: int, shifts: NDArray) -> NDArray[np.complex64]:
    """Shift the references and expand them: (harmonics, rings, references * shifts), conjugated and weighted."""
    k = np.arange(1, band + 1)[:, None] * 2 * np.pi / references.shape[-1]
    phi = np.arange(n_angles) * 2 * np.pi / n_angles
    kx, ky = k * np.cos(phi), k * np.sin(phi)
    polar = rings(references, band, n_angles)
    out = np.empty((n_angles // 2, band, len(references) * len(shifts)), np.complex64)
    ring = np.arange(1, band + 1)[None, :, None]
    for s, (x, y) in enumerate(shifts):
        moved = np.fft.fft(polar * np.exp(-1j * (kx * x + ky * y)), axis=2)[:, :, : n_angles // 2] * ring
        out[:, :, s :: len(shifts)] = moved.conj().transpose(2, 1, 0)
    return out


def _grid_maximum(harmonics: NDArray, operand: NDArray, n_shifts: int, count: int) -> tuple[NDArray, NDArray]:
    """Maximise over angles and shifts: value and shift * n_angles + angle index, each (n, references)."""
    n, _, n_harmonics = harmonics.shape
    n_angles = 2 * n_harmonics
    left = np.ascontiguousarray(harmonics.transpose(2, 0, 1))
    value, where = np.empty((n, count), np.float32), np.empty((n, count), np.int64)
    # A few references at a time: the product for all would not fit the cache.
    per = max(1, 512 // n_shifts)
    for first in range(0, count, per):
        cells = slice(first * n_shifts, min(first + per, count) * n_shifts)
        product = np.matmul(left, operand[:, :, cells])
        spectrum = np.zeros((n, product.shape[2], n_harmonics + 1), np.complex64)
        spectrum[:, :, :-1] = product.transpose(1, 2, 0)
        # X(a) = sum_q F_q conj(G_q) exp(i q a), real since F(-k) = conj F(k).
        curve = scipy.fft.irfft(spectrum, n=n_angles, axis=2, workers=1)
        flat = curve.reshape(n, -1, n_shifts * n_angles)
        index = flat.argmax(axis=2)
        value[:, first : first + per] = np.take_along_axis(flat, index[..., None], 2)[..., 0]
        where[:, first : first + per] = index
    return value, where
