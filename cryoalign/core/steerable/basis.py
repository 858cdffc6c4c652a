"""A Fourier-Bessel basis that is orthonormal on the pixels of a disc, frequency by frequency.

Bessel functions J_k(R_kq r / c) e^{ik phi} that vanish at the radius c (Zhao & Singer 2013, J. Opt. Soc. Am. A 30,
871), up to the Nyquist frequency. On pixels they are not quite orthogonal: the eigenvectors of each frequency's Gram
matrix are, so that white noise stays white. Coefficients are a_k = sum over pixels of image f(r) e^{-ik phi},
phi = atan2(y, x) about the pixel L // 2, for k >= 0; those of -k are the conjugates. A rotation by psi multiplies a_k
by e^{-ik psi}, the flip of x (phi to pi - phi) gives (-1)^k conj(a_k).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import ArrayLike, NDArray

GEMM_ROWS = 512
"""Images of one matrix product; products start at multiples of it, so that no caller changes the arithmetic."""
SMALLEST_GRAM_EIGENVALUE = 0.05
"""Combinations of functions that the pixels hardly see are dropped below this; an ideal grid would give 1."""


@dataclass(frozen=True, eq=False)
class FourierBesselBasis:
    """Functions f(r) e^{ik phi} on a disc of pixels, orthonormal within each angular frequency k.

    Parameters
    ----------
    box
        Side L of the images in pixels.
    radius_px
        Radius of the disc in pixels.
    frequency
        Angular frequency of each function, int64 (P0,), ascending from 0.
    matrix
        What images are multiplied by, float32 (L * L, 2 P0): real and imaginary part of f e^{-ik phi}, interleaved.
    """

    box: int
    radius_px: float
    frequency: NDArray[np.int64]
    matrix: NDArray[np.float32]

    def expand(self, images: NDArray[np.floating]) -> NDArray[np.complex64]:
        """Return the coefficients of images (n, L, L): complex64 (n, P0); those of k = 0 are real."""
        return multiply_pixels(images, self.matrix)

    def synthesize(self, coefficients: NDArray[np.complexfloating]) -> NDArray[np.float32]:
        """Return the images that coefficients (n, P0) stand for, float32 (n, L, L), 0 outside the disc."""
        # Functions of k and -k come together as twice the real part.
        weighted = np.ascontiguousarray(coefficients * multiplicity(self.frequency), dtype=np.complex64)
        return (weighted.view(np.float32) @ self.matrix.T).reshape(-1, self.box, self.box)


@lru_cache(maxsize=4)
def plan_basis(box: int, radius_px: float | None = None) -> FourierBesselBasis:
    """Make the basis for images of a box.

    Parameters
    ----------
    box
        Side L in pixels, even or odd.
    radius_px
        Radius of the disc in pixels; (L - 1) / 2 if None, which is also the largest.

    Raises
    ------
    ValueError
        If the disc does not fit or holds fewer pixels than a basis needs.
    """
    largest = 0.5 * (box - 1)
    radius = largest if radius_px is None else float(radius_px)
    if not 2.0 <= radius <= largest:
        raise ValueError(f"a disc of radius {radius} pixels does not suit a box of {box}: from 2 to {largest}")
    offset = np.arange(box) - box // 2
    y, x = np.meshgrid(offset, offset, indexing="ij")
    inside = np.flatnonzero((np.hypot(x, y) <= radius).ravel())
    r, phi = np.hypot(x, y).ravel()[inside], np.arctan2(y, x).ravel()[inside]
    # Pixels of one radius share the values of Bessel functions.
    rings, ring = np.unique(r, return_inverse=True)
    pixels = np.bincount(ring).astype(np.float64)
    frequency: list[int] = []
    columns: list[NDArray] = []
    for k in range(int(np.pi * radius) + 1):
        roots = _bessel_roots(k, np.pi * radius)
        if not len(roots):
            break
        radial = scipy.special.jv(k, np.outer(rings / radius, roots))
        radial /= np.sqrt(np.pi) * radius * np.abs(scipy.special.jv(k + 1, roots))
        value, vector = np.linalg.eigh(radial.T @ (pixels[:, None] * radial))
        keep = np.flatnonzero(value >= SMALLEST_GRAM_EIGENVALUE)[::-1]
        if not len(keep):
            continue
        radial = radial @ (fixed_signs(vector[:, keep]) / np.sqrt(value[keep]))
        columns.append(radial[ring] * np.exp(-1j * k * phi)[:, None])
        frequency += [k] * len(keep)
    functions = np.zeros((box * box, len(frequency)), np.complex64)
    functions[inside] = np.concatenate(columns, axis=1)
    return FourierBesselBasis(box, radius, np.array(frequency, np.int64), functions.view(np.float32))


def multiplicity(frequency: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return how often each component counts in a product of real images: 1 for k = 0, else 2, for k and -k."""
    return np.where(np.asarray(frequency) == 0, 1, 2).astype(np.float32)


def multiply_pixels(images: NDArray[np.floating], matrix: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Multiply images (n, L, L) by a matrix of pixels (L * L, 2 P): complex64 (n, P), in fixed tiles of rows."""
    n, pixels = len(images), matrix.shape[0]
    result = np.empty((n, matrix.shape[1]), np.float32)
    for start in range(0, n, GEMM_ROWS):
        tile = np.asarray(images[start : start + GEMM_ROWS], dtype=np.float32).reshape(-1, pixels)
        np.matmul(tile, matrix, out=result[start : start + GEMM_ROWS])
    return result.view(np.complex64)


def shifted_images(images: NDArray[np.floating], shifts_px: ArrayLike) -> NDArray[np.float32]:
    """Move images by +d by a phase ramp, periodically.

    Parameters
    ----------
    images
        Shape (n, L, L).
    shifts_px
        d = (dx, dy) in pixels, shape (n, 2) for each image or (2,) for all.

    Returns
    -------
    NDArray
        float32, shape (n, L, L).
    """
    box = images.shape[-1]
    shifts = np.broadcast_to(np.asarray(shifts_px, dtype=np.float64), (len(images), 2))
    along_x, along_y = (_ramp(box, shifts[:, axis]) for axis in range(2))
    spectrum = scipy.fft.rfft2(np.asarray(images, dtype=np.float32), axes=(-2, -1))
    spectrum *= (along_y[:, :, None] * along_x[:, None, : box // 2 + 1]).astype(np.complex64)
    return np.asarray(scipy.fft.irfft2(spectrum, s=(box, box), axes=(-2, -1), overwrite_x=True))


def shift_pixels(functions: NDArray[np.complex64], box: int, shift_px: tuple[float, float]) -> NDArray[np.complex64]:
    """Move columns of pixels (L * L, P) so that <image, column> becomes that of the image moved by +d, periodically."""
    ramp_x, ramp_y = (np.conj(_ramp(box, np.array([d], dtype=np.float64))[0]) for d in shift_px)
    spectrum = scipy.fft.fft2(functions.reshape(box, box, -1), axes=(0, 1))
    spectrum *= (ramp_y[:, None] * ramp_x)[:, :, None].astype(np.complex64)
    moved = scipy.fft.ifft2(spectrum, axes=(0, 1), overwrite_x=True).reshape(box * box, -1)
    return np.ascontiguousarray(moved, dtype=np.complex64)


def fixed_signs(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the largest entry of each column positive, so that eigenvectors have one sign on every machine."""
    largest = np.take_along_axis(vectors, np.argmax(np.abs(vectors), axis=0)[None], axis=0)
    return np.where(largest < 0, -vectors, vectors)


def _ramp(box: int, shift: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the transform of a shift along one axis, (n, L); real at the Nyquist frequency of even boxes."""
    k = np.fft.fftfreq(box, 1.0 / box)
    ramp = np.exp(-2j * np.pi / box * k * shift[:, None])
    if box % 2 == 0:
        ramp[:, box // 2] = ramp[:, box // 2].real
    return ramp


def _bessel_roots(order: int, limit: float) -> NDArray[np.float64]:
    """Return the positive roots of J_order up to a limit."""
    # Roots are more than 3 apart from each other, but for the first, which lies beyond the order.
    count = max(int((limit - order) / 3.0) + 2, 1)
    roots = scipy.special.jn_zeros(order, count)
    return np.asarray(roots[roots <= limit])
