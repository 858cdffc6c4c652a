"""Images of pure noise in place of particles: the same spectra, as many, and any of them at any time.

Every image has a random stream of its own (Philox; Salmon et al. 2011, SC'11), keyed by seed and row, so that no block
size, order or number of threads can change it.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.simulation.noise import noise_image


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
