"""The Cramer-Rao bound of in-plane poses, and the maximum-likelihood estimate started at the truth.

Model, in Fourier space about the centre pixel: F(k) = C(k) exp(i k.d) G(R(psi) k), with G the reference's transform
summed exactly (a type-2 non-uniform FFT), C the CTF and noise of power P per pixel: E|N|^2 = P L^2. With derivatives
taken analytically, I_ab = sum Re(conj(dF/da) dF/db) / (P L^2), and the bound is the diagonal of the inverse.
(Kay, Fundamentals of Statistical Signal Processing I, 1993, chapters 3 and 7; scoring steps with halving.)
"""

from __future__ import annotations

from dataclasses import dataclass

import finufft
import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class Grid:
    """Half of the Fourier plane inside the Nyquist disc, without the origin: integer kx, ky of shape (p,)."""

    box: int
    kx: NDArray[np.float64]
    ky: NDArray[np.float64]

    @classmethod
    def make(cls, box: int, limit: float | None = None) -> Grid:
        """List the frequencies of a box below ``limit`` Fourier pixels (half the box if None)."""
        limit = box / 2 if limit is None else limit
        axis = np.rint(np.fft.fftfreq(box) * box)
        ky, kx = np.meshgrid(axis, axis, indexing="ij")
        keep = (kx**2 + ky**2 < limit**2) & ((kx > 0) | ((kx == 0) & (ky > 0)))
        return cls(box, kx[keep], ky[keep])

    @property
    def radius(self) -> NDArray[np.float64]:
        """Length of each frequency in Fourier pixels."""
        return np.hypot(self.kx, self.ky)

    def transform(self, images: NDArray) -> NDArray[np.complex128]:
        """Fourier transform images (n, L, L) about their centre pixel, at these frequencies: (n, p)."""
        spectra = np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2)))
        return spectra[:, self.ky.astype(int), self.kx.astype(int)]


def model(reference: NDArray, grid: Grid, pose: NDArray, ctf: NDArray | float) -> tuple[NDArray, NDArray]:
    """Return F (n, p) and its derivatives by psi (radians), dx, dy (3, n, p) at poses (n, 3)."""
    box = grid.box
    unit = 2 * np.pi / box
    offsets = np.arange(box) - box // 2
    image = reference.astype(np.complex128)
    moments = np.stack([image, -1j * offsets[None, :] * image, -1j * offsets[:, None] * image])
    c, s = np.cos(pose[:, :1]), np.sin(pose[:, :1])
    x, y = unit * (c * grid.kx - s * grid.ky), unit * (s * grid.kx + c * grid.ky)
    g, gx, gy = finufft.nufft2d2(y.ravel(), x.ravel(), moments, eps=1e-9, isign=-1, nthreads=1).reshape(3, *x.shape)
    phase = ctf * np.exp(1j * unit * (pose[:, 1:2] * grid.kx + pose[:, 2:3] * grid.ky))
    f = phase * g
    return f, np.stack([phase * (-y * gx + x * gy), 1j * unit * grid.kx * f, 1j * unit * grid.ky * f])


def _groups(truth: Arrays, chunk: int = 128) -> list[tuple[int, NDArray]]:
    """Split rows by reference, then into chunks."""
    index = truth.get("reference", np.zeros(len(truth["psi"]), int))
    found = []
    for value in np.unique(index):
        rows = np.flatnonzero(index == value)
        found += [(int(value), rows[i : i + chunk]) for i in range(0, len(rows), chunk)]
    return found


def bound_and_estimate(
    images: NDArray | None,
    references: NDArray,
    truth: Arrays,
    noise_power: NDArray,
    ctf: NDArray | None = None,
    n_steps: int = 12,
) -> tuple[dict[str, float], Arrays | None]:
    """Compute the bound, and the estimate where images are given.

    Parameters
    ----------
    images
        Shape (n, L, L), or None for the bound alone.
    references
        Clean references on the images' scale, shape (m, L, L).
    truth
        psi (degrees), dx, dy (pixels) and, for several references, reference (0-based), each (n,).
    noise_power
        Power per pixel at integer rings 0..L//2 (or more), linear between.
    ctf
        Values at ``Grid.make(L)``'s frequencies, shape (n, p); None for 1.

    Returns
    -------
    tuple
        Root mean square over images of the bound ({"psi_rms" in degrees, "shift_rms" in pixels, radial}), and the
        estimated poses by name.
    """
    grid = Grid.make(references.shape[-1])
    power = np.interp(grid.radius, np.arange(len(noise_power)), noise_power)
    weight = 2.0 / (power * grid.box**2)  # 2: the other half plane
    n = len(truth["psi"])
    variance = np.zeros((n, 3))
    best = np.stack([np.deg2rad(truth["psi"]), truth["dx"], truth["dy"]], axis=1).astype(float)
    for which, rows in _groups(truth):
        factor = 1.0 if ctf is None else ctf[rows]
        _, slope = model(references[which], grid, best[rows], factor)
        variance[rows] = np.diagonal(np.linalg.inv(_fisher(slope, weight)), axis1=1, axis2=2)
        if images is not None:
            data = grid.transform(images[rows])
            best[rows] = climb(data, references[which], grid, weight, best[rows], factor, n_steps)
    bound = {
        "psi_rms": float(np.rad2deg(np.sqrt(variance[:, 0].mean()))),
        "shift_rms": float(np.sqrt(variance[:, 1:].sum(axis=1).mean())),
    }
    if images is None:
        return bound, None
    found = {"psi": np.rad2deg(best[:, 0]), "dx": best[:, 1], "dy": best[:, 2]}
    if "reference" in truth:
        found["reference"] = truth["reference"]
    return bound, found


def _fisher(slope: NDArray, weight: NDArray) -> NDArray:
    return np.einsum("anp,bnp,p->nab", slope.conj(), slope, weight, optimize=True).real


def climb(
    data: NDArray, reference: NDArray, grid: Grid, weight: NDArray, pose: NDArray, ctf: NDArray | float, n_steps: int
) -> NDArray:
    """Climb the likelihood by scoring steps, halved where they did not help."""

    def look(at: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        predicted, slope = model(reference, grid, at, ctf)
        rest = data - predicted
        value = -0.5 * (np.abs(rest) ** 2 @ weight)
        gradient = np.einsum("np,anp,p->na", rest.conj(), slope, weight, optimize=True).real
        return value, gradient, np.linalg.solve(_fisher(slope, weight), gradient[..., None])[..., 0]

    value, _, step = look(pose)
    scale = np.ones((len(pose), 1))
    for _ in range(n_steps):
        trial = pose + scale * step
        new_value, _, new_step = look(trial)
        better = new_value >= value
        pose = np.where(better[:, None], trial, pose)
        step = np.where(better[:, None], new_step, step)
        value = np.maximum(value, new_value)
        scale = np.where(better[:, None], np.minimum(1.0, 2 * scale), scale / 2)
        if np.all(np.abs(scale * step) < 1e-5):
            break
    return pose
