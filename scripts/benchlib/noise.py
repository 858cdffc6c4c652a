"""White noise, and noise with the spectrum of real micrographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import starfile
from numpy.typing import NDArray


def draw(rng: np.random.Generator, n: int, box: int, power: NDArray | None = None) -> NDArray[np.float32]:
    """Draw noise images (n, box, box): white of variance 1, or of the given power per pixel by ring."""
    white = rng.standard_normal((n, box, box), dtype=np.float32)
    if power is None:
        return white
    gain = np.sqrt(np.interp(_radius(box), np.arange(len(power)), power))
    return np.fft.ifft2(np.fft.fft2(white) * gain).real.astype(np.float32)


def micrograph_spectrum(data: Path, box: int, pixel_size_angstrom: float) -> NDArray[np.float64]:
    """Return the noise power per ring 0..box-1 of a real micrograph, at frequencies of this box, mean over pixels 1.

    From the first group of sod-cryoem/model.star (rlnSigma2Noise against 1/A); constant beyond its last shell.
    """
    group = starfile.read(data / "sod-cryoem" / "model.star", always_dict=True)["model_group_1"]
    frequency = np.arange(box) / (box * pixel_size_angstrom)
    power = np.interp(frequency, group["rlnResolution"].to_numpy(float), group["rlnSigma2Noise"].to_numpy(float))
    return power / np.interp(_radius(box), np.arange(box), power).mean()


def _radius(box: int) -> NDArray[np.float64]:
    axis = np.fft.fftfreq(box) * box
    return np.hypot(*np.meshgrid(axis, axis, indexing="ij"))
