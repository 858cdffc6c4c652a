"""Noise of a given spectrum, one image per seed, and a source of such images in place of particles.

The built-in coloured spectrum, 1 + 15 / (1 + (f / 0.04)^3) with f in 1/A, follows what electron micrographs of frozen
particles show: flat up to about 30 A, falling sixteenfold towards high frequencies. Every image of a source has a
random stream of its own (Philox; Salmon et al. 2011, SC'11), keyed by seed and row, so that no block size, order or
number of threads can change it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, ctf_images
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


class NoiseSource:
    """An :class:`cryoalign.core.source.ImageSource` of noise.

    Parameters
    ----------
    noise_power
        Noise power E|F|^2 / L^2 per ring of each group, (groups, L // 2 + 1).
    group
        Group of each image, (n,).
    row
        What seeds each image, such as its row in the particle table, int (n,); each 0 or more.
    seed
        From 0 to 2^64 - 1.
    box
        L; 2 (rings - 1) if None.
    ctf, pixel_size_angstrom
        CTF of the n images, to multiply the noise of premultiplied data by it; None if there are no such data.
    """

    def __init__(
        self,
        noise_power: NDArray[np.float64],
        group: NDArray[np.integer],
        row: NDArray[np.integer],
        *,
        seed: int,
        box: int | None = None,
        ctf: CtfParameters | None = None,
        pixel_size_angstrom: float = 1.0,
    ) -> None:
        if len(group) != len(row):
            raise ValueError(f"{len(group)} groups for {len(row)} images")
        self._power, self._group, self._row = noise_power, group, row
        self._seed, self._box = seed, 2 * (noise_power.shape[1] - 1) if box is None else box
        self._ctf, self._pixel = ctf, pixel_size_angstrom

    @property
    def box(self) -> int:
        """Side of the square images, in pixels."""
        return self._box

    def __len__(self) -> int:
        """Count the images."""
        return len(self._row)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the images of the given 0-based rows, float32 of shape (len(rows), box, box)."""
        images = np.empty((len(rows), self._box, self._box), np.float32)
        for i, row in enumerate(rows):
            generator = np.random.Generator(np.random.Philox(key=[self._seed, int(self._row[row])]))
            images[i] = noise_image(generator, self._power[self._group[row]], self._box)
            if self._ctf is not None and self._ctf.premultiplied[row]:
                gain = ctf_images(self._ctf.take([row]), self._box, self._pixel)[0]
                images[i] = scipy.fft.irfft2(scipy.fft.rfft2(images[i]) * gain, s=images.shape[1:])
        return images
