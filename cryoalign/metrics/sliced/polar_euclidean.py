"""Euclidean distance at all rotations from radial lines: the other half of the fusion.

The squared distance of two images is the integral of |F - G|^2 over the Fourier plane, on lines a sum with weight k. A
real image's transform at the opposite angle is its conjugate, so that Re F + Im F on the full circle holds all of it
(R. Bracewell, "Discrete Hartley transform", J. Opt. Soc. Am. 73:1832, 1983), and the curve over the angle is that of
:mod:`cryoalign.metrics.sliced.angle_curve`, with frequencies in the place of quantiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.sliced.sinogram import LineLayout


def euclidean_columns(lines: NDArray[np.complex64], layout: LineLayout) -> NDArray[np.float32]:
    """Return columns (n_angles, n_frequencies) whose mean squared difference is that of all pixels, summed."""
    k = np.arange(layout.n_frequencies, dtype=np.float64)
    k[0] = 0.125  # a disc of half a Fourier pixel, as 2 pi k is a ring's area
    weight = np.sqrt(2.0 * np.pi * k * layout.n_frequencies) / layout.box
    half = layout.half
    columns = np.empty((layout.n_angles, layout.n_frequencies), np.float32)
    np.add(lines.real, lines.imag, out=columns[:half])
    np.subtract(lines.real, lines.imag, out=columns[half:])
    columns *= weight.astype(np.float32)
    return columns
