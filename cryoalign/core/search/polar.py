"""Fourier transforms on rings: a batched, banded NUFFT for stacks of equal boxes, with finufft as its oracle.

A real image needs half of every ring only, since F(-k) = conj F(k). Rings lie in bands of equal angular sampling:
within a band they share their angles, so that the phase of a shift is a geometric series from ring to ring.
Sixteen images are interleaved so that one set of interpolation weights serves sixteen lanes; the grid is oversampled
1.25 times and read with a Kaiser-Bessel kernel five points wide (Fessler and Sutton, IEEE Trans. Signal Process.
51:560, 2003; Beatty, Nishimura and Pauly, IEEE Trans. Med. Imaging 24:799, 2005, for the kernel's shape).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel

N_BANDS = 6
EXTRA_SAMPLES = 6
LANES = 16
WIDTH = 5
OVERSAMPLING = 1.25


@dataclass(frozen=True, eq=False)
class RingLayout:
    """Polar sampling of the half plane, rings 1 .. n_rings of one Fourier pixel each.

    Parameters
    ----------
    box
        Side of the images, in pixels.
    first_ring
        First ring of each band, shape (bands + 1,) with the end appended; rings count from 1.
    samples
        Angles in half a circle for each band, shape (bands,).
    """

    box: int
    first_ring: NDArray[np.int64]
    samples: NDArray[np.int64]

    @property
    def n_rings(self) -> int:
        """Number of rings; also the highest frequency, in Fourier pixels."""
        return int(self.first_ring[-1]) - 1

    @property
    def ring_samples(self) -> NDArray[np.int64]:
        """Angles in half a circle for each ring, shape (n_rings,)."""
        return np.repeat(self.samples, np.diff(self.first_ring))

    @property
    def ring_start(self) -> NDArray[np.int64]:
        """Offset of each ring's points, with the total appended, shape (n_rings + 1,)."""
        return np.concatenate([[0], np.cumsum(self.ring_samples)])

    @property
    def n_points(self) -> int:
        """Number of points in the half plane."""
        return int(self.ring_samples.sum())

    @property
    def ring_weight(self) -> NDArray[np.float64]:
        """Quadrature weight 2 k dphi / box^2 of each ring: a weighted sum over points equals a sum over all pixels."""
        k = np.arange(1, self.n_rings + 1)
        return 2.0 * k * (np.pi / self.ring_samples) / self.box**2

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return kx, ky of every point in Fourier pixels, each of shape (n_points,)."""
        k = np.repeat(np.arange(1, self.n_rings + 1), self.ring_samples)
        angle = np.concatenate([np.arange(h) * np.pi / h for h in self.ring_samples])
        return k * np.cos(angle), k * np.sin(angle)

    def ring_mean(self, values: NDArray) -> NDArray[np.float64]:
        """Average over each ring: shape (..., n_points) to (..., n_rings)."""
        return np.add.reduceat(values, self.ring_start[:-1], axis=-1, dtype=np.float64) / self.ring_samples


def plan_rings(box: int, n_rings: int) -> RingLayout:
    """Lay out rings 1 .. n_rings for images of a box.

    Parameters
    ----------
    box
        Side of the images, in pixels.
    n_rings
        Highest ring, at most box // 2.

    Raises
    ------
    ValueError
        If the rings do not fit.
    """
    if not 1 <= n_rings <= box // 2:
        raise ValueError(f"rings 1 .. {n_rings} do not fit a box of {box} pixels")
    first = np.unique(np.round(np.linspace(1, n_rings + 1, min(N_BANDS, n_rings) + 1)).astype(np.int64))
    # Half a circle at frequency k of an image that reaches to L / 2 holds pi k harmonics.
    samples = np.ceil(np.pi * (first[1:] - 1)).astype(np.int64) + EXTRA_SAMPLES
    return RingLayout(box, first, samples)


def kaiser_bessel_shape(width: int, oversampling: float) -> float:
    """Return the shape parameter beta that balances aliasing (Beatty and others 2005, eq. 5)."""
    return float(np.pi * np.sqrt((width / oversampling) ** 2 * (oversampling - 0.5) ** 2 - 0.8))


def kaiser_bessel(x: NDArray[np.float64], width: int, beta: float) -> NDArray[np.float64]:
    """Evaluate the Kaiser-Bessel kernel at distances x in grid points; zero beyond width / 2."""
    inside = np.clip(1.0 - (2.0 * x / width) ** 2, 0.0, None)
    return np.where(np.abs(x) <= width / 2, np.i0(beta * np.sqrt(inside)) / np.i0(beta), 0.0)


def kaiser_bessel_transform(y: NDArray[np.float64], width: int, beta: float) -> NDArray[np.float64]:
    """Evaluate the kernel's Fourier transform at y cycles per grid point."""
    root = np.sqrt((beta**2 - (np.pi * width * y) ** 2).astype(np.complex128))
    root = np.where(np.abs(root) < 1e-8, 1e-8, root)
    return np.real(width * np.sinh(root) / root) / np.i0(beta)


@kernel(nogil=True)
def _load(images, first, taper, grid):  # type: ignore[no-untyped-def]
    """Interleave up to LANES images into the corner-centred, tapered grid (G, G, LANES)."""
    n, box, _ = images.shape
    size = grid.shape[0]
    centre = box // 2
    for y in range(box):
        gy = (y - centre) % size
        for x in range(box):
            gx = (x - centre) % size
            gain = taper[y] * taper[x]
            for lane in range(LANES):
                row = first + lane
                grid[gy, gx, lane] = images[row, y, x] * gain if row < n else 0.0


@kernel(nogil=True, fastmath=True)
def _interpolate(grid, ix, iy, wx, wy, out, first):  # type: ignore[no-untyped-def]
    """Read every polar point from the grid, 16 images at a time, and lay the result out image by image.

    grid is (ky, kx, 2 LANES) float32 with LANES complex pairs; out is (n, 2, points). The 25 taps are written out
    because only then does the compiler keep the sums of a point in registers (six times faster).
    """
    n = out.shape[0]
    points = ix.shape[0]
    row = 2 * LANES
    stride = grid.shape[1] * row
    flat = grid.reshape(-1)
    block = np.empty((8, row), np.float32)
    lanes = min(LANES, n - first)
    for start in range(0, points, 8):
        here = min(8, points - start)
        for u in range(here):
            p = start + u
            b0, b1, b2, b3, b4 = wx[p, 0], wx[p, 1], wx[p, 2], wx[p, 3], wx[p, 4]
            a0, a1, a2, a3, a4 = wy[p, 0], wy[p, 1], wy[p, 2], wy[p, 3], wy[p, 4]
            o = iy[p] * stride + ix[p] * row
            r0 = flat[o : o + 5 * row]
            r1 = flat[o + stride : o + stride + 5 * row]
            r2 = flat[o + 2 * stride : o + 2 * stride + 5 * row]
            r3 = flat[o + 3 * stride : o + 3 * stride + 5 * row]
            r4 = flat[o + 4 * stride : o + 4 * stride + 5 * row]
            for i in range(row):
                s0 = b0 * r0[i] + b1 * r0[i + 32] + b2 * r0[i + 64] + b3 * r0[i + 96] + b4 * r0[i + 128]
                s1 = b0 * r1[i] + b1 * r1[i + 32] + b2 * r1[i + 64] + b3 * r1[i + 96] + b4 * r1[i + 128]
                s2 = b0 * r2[i] + b1 * r2[i + 32] + b2 * r2[i + 64] + b3 * r2[i + 96] + b4 * r2[i + 128]
                s3 = b0 * r3[i] + b1 * r3[i + 32] + b2 * r3[i + 64] + b3 * r3[i + 96] + b4 * r3[i + 128]
                s4 = b0 * r4[i] + b1 * r4[i + 32] + b2 * r4[i + 64] + b3 * r4[i + 96] + b4 * r4[i + 128]
                block[u, i] = a0 * s0 + a1 * s1 + a2 * s2 + a3 * s3 + a4 * s4
        for lane in range(lanes):
            for u in range(here):
                out[first + lane, 0, start + u] = block[u, 2 * lane]
                out[first + lane, 1, start + u] = block[u, 2 * lane + 1]


@kernel(nogil=True)
def _gather(full, rows, conjugate, columns, kept):  # type: ignore[no-untyped-def]
    """Copy the band around the origin, folding ky < 0 onto the conjugate half; complex pairs seen as float32."""
    size = full.shape[1]
    for r in range(rows.shape[0]):
        sign = np.float32(-1.0) if conjugate[r] else np.float32(1.0)
        for c in range(columns.shape[0]):
            column = (size - columns[c]) % size if conjugate[r] else columns[c]
            for lane in range(0, kept.shape[2], 2):
                kept[r, c, lane] = full[rows[r], column, lane]
                kept[r, c, lane + 1] = sign * full[rows[r], column, lane + 1]


class PolarTransform:
    """Transform of images of one box onto the points of a layout.

    The value at a point is sum over pixels of image(q) exp(-2 pi i k.q / box), q from the centre pixel box // 2.

    Parameters
    ----------
    layout
        The rings.
    """

    def __init__(self, layout: RingLayout) -> None:
        self.layout = layout
        box = layout.box
        self._size = size = scipy.fft.next_fast_len(int(np.ceil(box * OVERSAMPLING / 2)) * 2, real=True)
        ratio = size / box
        beta = kaiser_bessel_shape(WIDTH, ratio)
        offsets = np.arange(box) - box // 2
        self._taper = (1.0 / kaiser_bessel_transform(offsets / size, WIDTH, beta)).astype(np.float32)
        kx, ky = (v * ratio for v in layout.points())
        left, low = (np.ceil(v - WIDTH / 2).astype(np.int64) for v in (kx, ky))
        taps = np.arange(WIDTH)
        self._wx = kaiser_bessel(left[:, None] + taps - kx[:, None], WIDTH, beta).astype(np.float32)
        self._wy = kaiser_bessel(low[:, None] + taps - ky[:, None], WIDTH, beta).astype(np.float32)
        # Rows kept after the first transform, below (the mirror half) and above; columns wrap into a halo.
        self._below = int(-low.min())
        self._above = int(low.max()) + WIDTH
        self._halo = int(max(-left.min(), left.max() + WIDTH))
        self._ix = left + self._halo
        self._iy = low + self._below
        # Where each kept row and column comes from: negative ky are conjugates read from the other half.
        columns = np.arange(-self._halo, self._halo)
        self._columns = columns % size
        rows = np.arange(-self._below, self._above)
        folded = rows % size
        self._conjugate = folded > size // 2
        self._rows = np.where(self._conjugate, size - folded, folded)
        self._buffers: tuple[NDArray, NDArray] | None = None

    def __call__(self, images: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Transform images.

        Parameters
        ----------
        images
            Shape (n, box, box), float32.
        out
            Where to write, float32 of shape (n, 2, n_points); made if None.

        Returns
        -------
        ndarray
            Real and imaginary planes, float32, shape (n, 2, n_points).
        """
        n, size = len(images), self._size
        if out is None:
            out = np.empty((n, 2, self.layout.n_points), np.float32)
        if self._buffers is None:
            self._buffers = (
                np.zeros((size, size, LANES), np.float32),
                np.zeros((len(self._rows), 2 * self._halo, 2 * LANES), np.float32),
            )
        grid, kept = self._buffers
        top = int(self._rows.max()) + 1
        for first in range(0, n, LANES):
            _load(images, first, self._taper, grid)
            half = scipy.fft.rfft(grid, axis=0, workers=1)[:top]
            full = scipy.fft.fft(half, axis=1, workers=1, overwrite_x=True)
            _gather(full.view(np.float32), self._rows, self._conjugate, self._columns, kept)
            _interpolate(kept, self._ix, self._iy, self._wx, self._wy, out, first)
        return out


def polar_samples_by_finufft(
    images: NDArray[np.floating], layout: RingLayout, tolerance: float = 1e-9
) -> NDArray[np.complex128]:
    """Compute the same samples with finufft, in double precision: the oracle, and the path for references.

    Returns
    -------
    ndarray
        complex128, shape (n, n_points).
    """
    import finufft

    kx, ky = layout.points()
    images = np.ascontiguousarray(images, dtype=np.complex128)
    scale = 2 * np.pi / layout.box
    result = finufft.nufft2d2(ky * scale, kx * scale, images, eps=tolerance, isign=-1, nthreads=1)
    return np.asarray(result).reshape(len(images), -1)
