"""References made ready for the search: ring power, tables to turn them by any angle, shifted copies for the GEMMs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.search.polar import (
    RingLayout,
    kaiser_bessel_shape,
    kaiser_bessel_transform,
    polar_samples_by_finufft,
)

TAPS = 6
"""Points of the kernel that reads a ring between its samples."""
FINE = 2
"""Oversampling of the rings in the turning tables."""
_STEPS = 512
"""Kernel values kept per fine sample; linear between them (error 2e-6)."""


def angular_harmonics(half: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    """Expand half rings of a real image's transform in exp(i q phi), q = 0 .. count - 1.

    Parameters
    ----------
    half
        Samples at phi = pi j / h, shape (..., h); the other half circle is their conjugate.
    count
        How many harmonics, at most h.

    Returns
    -------
    ndarray
        complex128, shape (..., count). The real part of the half ring holds the even harmonics, the imaginary part
        the odd ones.
    """
    h = half.shape[-1]
    spectrum_of_real = np.fft.fft(np.concatenate([half.real, half.real], axis=-1), axis=-1)[..., :count]
    spectrum_of_imag = np.fft.fft(np.concatenate([half.imag, -half.imag], axis=-1), axis=-1)[..., :count]
    even = np.arange(count) % 2 == 0
    return np.where(even, spectrum_of_real, 1j * spectrum_of_imag) / (2 * h)


def turning_kernel() -> NDArray[np.float32]:
    """Tabulate the weights that read rings, and their first and second derivatives, between samples.

    Least squares over the harmonics a ring can hold, the low ones weighted up: a kernel's own derivative leaves a
    constant with a slope, which the heavy low harmonics of a nearly round particle turn into an error of the angle.

    Returns
    -------
    ndarray
        float32, shape (steps + 1, 3, TAPS): weights of fine samples -2 .. 3 round a point at fraction f = step / steps
        past sample 0; planes are value, d/df and d2/df2.
    """
    beta = kaiser_bessel_shape(TAPS, float(FINE))
    fraction = np.arange(_STEPS + 1) / _STEPS
    # Phase advance of a harmonic from one fine sample to the next; a ring of h half-circle samples holds |q| < h.
    advance = np.linspace(-np.pi / FINE, np.pi / FINE, 401)[:, None]
    taps = np.arange(TAPS) - (TAPS // 2 - 1)
    held = np.exp(1j * advance * taps) / kaiser_bessel_transform(advance / (2 * np.pi), TAPS, beta)
    weight = 1.0 / (0.02 + np.abs(advance))
    left = _parts(held * weight)
    solution = np.empty((TAPS, 3, _STEPS + 1))
    for d in range(3):  # one by one, as three at once take their memory thrice
        wanted = (1j * advance) ** d * np.exp(1j * advance * fraction)
        solution[:, d] = np.linalg.lstsq(left, _parts(wanted * weight), rcond=None)[0]
    return np.ascontiguousarray(solution.transpose(2, 1, 0), dtype=np.float32)


def _parts(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.concatenate([values.real, values.imag])


@dataclass(frozen=True, eq=False)
class ReferenceBank:
    """References of one box on the rings of a layout.

    Parameters
    ----------
    layout
        Where they are sampled.
    samples
        Their transforms, complex64, shape (m, n_points).
    ring_power
        Quadrature-weighted power of each ring, float64, shape (m, n_rings): sum over a ring of w |G|^2.
    table
        Turning tables, float32, shape (m, 2, table length): rings oversampled FINE times, corrected for the kernel,
        FINE phases apart, each long enough for half a circle from any start.
    table_start
        Offset of each ring in a table plane, int64, shape (n_rings,).
    """

    layout: RingLayout
    samples: NDArray[np.complex64]
    ring_power: NDArray[np.float64]
    table: NDArray[np.float32]
    table_start: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the references."""
        return len(self.samples)


def table_row_length(samples: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
    """Length of one phase of a ring's table: a full circle, half a circle beyond it, and the taps."""
    return 3 * samples + TAPS


def build_bank(images: NDArray[np.floating], layout: RingLayout) -> ReferenceBank:
    """Transform references and tabulate them.

    Parameters
    ----------
    images
        Masked references, shape (m, box, box).
    layout
        Where to sample them.
    """
    samples = polar_samples_by_finufft(images, layout)
    start, count = layout.ring_start, layout.ring_samples
    power = layout.ring_mean(np.abs(samples) ** 2) * (layout.ring_weight * count)
    length = np.asarray(FINE * table_row_length(count))
    table_start = np.concatenate([[0], np.cumsum(length)])
    table = np.empty((len(images), 2, int(table_start[-1])), np.float32)
    beta = kaiser_bessel_shape(TAPS, float(FINE))
    for k, h in enumerate(count):
        half = samples[:, start[k] : start[k + 1]]
        fine = _oversample_ring(np.concatenate([half, half.conj()], axis=1), beta)
        # Phase p of the table holds fine samples p, p + FINE, ...: taps of equal phase are contiguous in the angle.
        row = int(table_row_length(int(h)))
        for phase in range(FINE):
            offset = int(table_start[k]) + phase * row
            turned = np.take(fine, phase + FINE * np.arange(row), axis=1, mode="wrap")
            table[:, 0, offset : offset + row] = turned.real
            table[:, 1, offset : offset + row] = turned.imag
    return ReferenceBank(layout, samples.astype(np.complex64), power, table, table_start[:-1].astype(np.int64))


def _oversample_ring(full: NDArray[np.complex128], beta: float) -> NDArray[np.complex128]:
    """Oversample full rings FINE times, divided by the kernel's transform: (m, n) to (m, FINE n)."""
    n = full.shape[1]
    spectrum = np.fft.fft(full, axis=1)
    q = np.fft.fftfreq(n, 1.0 / n)
    spectrum /= kaiser_bessel_transform(q / (FINE * n), TAPS, beta)
    padded = np.zeros((len(full), FINE * n), np.complex128)
    padded[:, : (n + 1) // 2] = spectrum[:, : (n + 1) // 2]
    padded[:, FINE * n - n // 2 :] = spectrum[:, n - n // 2 :]
    return np.fft.ifft(padded, axis=1) * FINE
