"""Noise of a given spectrum, one image per seed.

The built-in coloured spectrum, 1 + 15 / (1 + (f / 0.04)^3) with f in 1/A, follows what electron micrographs of frozen
particles show: flat up to about 30 A, falling sixteenfold towards high frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.filters import conjugate_weight, ring_gain_image


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """The shape of a noise power spectrum; its level is set by the signal-to-noise ratio.

    Parameters
    ----------
    frequency
        Increasing frequencies from 0, in 1/A, shape (m,).
    power
        Relative power there, not negative, shape (m,); interpolated linearly, constant beyond the last.
    """

    frequency: NDArray[np.float64]
    power: NDArray[np.float64]

    def ring_power(self, box: int, pixel_size_angstrom: float) -> NDArray[np.float64]:
        """Return the power per ring of noise whose pixels have variance 1, float64 of shape (box // 2 + 1,).

        Raises
        ------
        InputError
            If nothing of the spectrum falls into the image.
        """
        ring = np.arange(box // 2 + 1) / (box * pixel_size_angstrom)
        power = np.interp(ring, self.frequency, self.power)
        weight = conjugate_weight(box)
        mean = float((weight * ring_gain_image(power, box).astype(np.float64)).sum()) / box**2
        if not mean > 0:
            raise InputError("the noise spectrum is zero at every frequency of the image")
        return power / mean


def white() -> NoiseSpectrum:
    """Return the spectrum of white noise."""
    return NoiseSpectrum(np.array([0.0]), np.array([1.0]))


def coloured() -> NoiseSpectrum:
    """Return the built-in spectrum of coloured noise."""
    frequency = np.linspace(0.0, 1.0, 2001)
    return NoiseSpectrum(frequency, 1.0 + 15.0 / (1.0 + (frequency / 0.04) ** 3))


def tabulated(frequency: NDArray[np.floating], sigma2: NDArray[np.floating]) -> NoiseSpectrum:
    """Return a spectrum from a table such as rlnResolution (1/A) and rlnSigma2Noise of a RELION model.star.

    Shell 0, whose value depends on how images were normalised, takes shell 1's.

    Raises
    ------
    InputError
        If there are fewer than two shells, frequencies do not increase from 0, or powers are negative or not finite.
    """
    frequency, power = np.asarray(frequency, np.float64).copy(), np.asarray(sigma2, np.float64).copy()
    if len(frequency) < 2 or len(frequency) != len(power):
        raise InputError("a noise spectrum needs at least two shells")
    if frequency[0] < 0 or not (np.diff(frequency) > 0).all():
        raise InputError("the frequencies of a noise spectrum must increase from 0")
    if not (np.isfinite(power).all() and (power >= 0).all()):
        raise InputError("a noise spectrum must be finite and not negative")
    power[0] = power[1]
    return NoiseSpectrum(frequency, power)


def noise_image(generator: np.random.Generator, ring_power: NDArray[np.float64], box: int) -> NDArray[np.float32]:
    """Draw one noise image.

    Parameters
    ----------
    generator
        Gives box * box standard normal numbers.
    ring_power
        Power per ring, shape (box // 2 + 1,).
    box
        Side of the image in pixels.

    Returns
    -------
    NDArray
        float32, shape (box, box).
    """
    image = generator.standard_normal((box, box), dtype=np.float32)
    if np.ptp(ring_power) == 0:
        return image * np.float32(np.sqrt(ring_power[0]))
    spectrum = scipy.fft.rfft2(image)
    spectrum *= ring_gain_image(np.sqrt(ring_power), box)
    return np.asarray(scipy.fft.irfft2(spectrum, s=(box, box), overwrite_x=True))
