"""Rotations alone, of squared differences: in polar Fourier coordinates a rotation is a shift along the angle.

By Parseval's theorem sum over pixels (r - m)^2 = 1/L^2 integral |R - M|^2 k dk dt; on lines through the origin
(:mod:`cryoalign.metrics.sliced.sinogram`) the integral is a sum over columns, and all rotations come from one FFT over
the angle (:mod:`cryoalign.metrics.sliced.angle_curve`). Both images are masked about the centre, which no rotation
moves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.tiles import TILE
from cryoalign.metrics.sliced.angle_curve import Harmonics, harmonics
from cryoalign.metrics.sliced.sinogram import LineTransform, line_layout


def polar_harmonics(images: NDArray[np.float32]) -> Harmonics:
    """Expand masked images (n, L, L) over the angle, so that curves of a pair are its mean squared differences.

    The mean is over angles and columns: up to a factor, the same for all pairs, it is the mean over pixels.
    """
    layout = line_layout(images.shape[-1])
    transform = LineTransform(layout)
    k = np.arange(layout.n_frequencies, dtype=np.float64)
    k[0] = 0.125  # the middle of the plane is a disc of radius one half
    gain = (np.sqrt(2 * np.pi * k) / layout.box).astype(np.float32)
    expanded = []
    for image in images:
        lines = transform(image) * gain
        half = np.concatenate([lines.real, lines.imag], axis=1)
        opposite = np.concatenate([lines.real, -lines.imag], axis=1)
        expanded.append(np.concatenate([half, opposite]))
    return harmonics(expanded, (layout.n_angles, 2 * layout.n_frequencies))


def rotation_curves(references: Harmonics, images: Harmonics) -> Iterator[tuple[NDArray[np.int64], NDArray]]:
    """Yield (rows, curves (m, rows, n_angles)) for tiles of images: mean squared differences at every rotation.

    Pair by pair, so that one pair of large images costs no more than itself, and no bit depends on the others.
    """
    count = references.n_angles * references.values.shape[-1]
    for first in range(0, len(images), TILE):
        rows = np.arange(first, min(first + TILE, len(images)))
        curve = np.empty((len(references), len(rows), references.n_angles))
        for a in range(len(references)):
            for i, row in enumerate(rows):
                product = np.empty(len(references.values), np.complex128)
                _products(references.values, a, images.values, row, product)
                correlation = scipy.fft.irfft(product, n=references.n_angles, workers=1)
                curve[a, i] = references.energy[a] + images.energy[row] - (2.0 / count) * correlation
        yield rows, np.maximum(curve, 0.0, out=curve)


@kernel(nogil=True)
def _products(reference, a, image, b, product):  # type: ignore[no-untyped-def]
    """Sum reference times conjugate image over the columns of every harmonic."""
    for h in range(reference.shape[0]):
        real, imaginary = 0.0, 0.0
        for c in range(reference.shape[2]):
            r, i = reference[h, a, c], image[h, b, c]
            real += r.real * i.real + r.imag * i.imag
            imaginary += r.imag * i.real - r.real * i.imag
        product[h] = complex(real, imaginary)
