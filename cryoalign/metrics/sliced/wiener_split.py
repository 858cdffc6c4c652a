"""Mask and Wiener filter before the split: noise enters sliced distances through clipping at zero.

Every positive fluctuation of the background would count as mass, far from the centre. A soft mask and a Wiener filter
S / (S + N) from the stack's own spectrum take it away before an image is split into its positive and negative part; a
threshold would take weak parts of the particle too. The gain is a function of the ring, applied to the radial lines.
The mask lies about the image's own centre (:mod:`cryoalign.metrics.sliced.centring`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain, conjugate_weight, radial_average, ring_index
from cryoalign.core.masks import background_region, background_statistics, soft_disc
from cryoalign.core.tiles import TILE
from cryoalign.metrics.measure import Preparation
from cryoalign.metrics.sliced.centring import centre_of_density, masked_about
from cryoalign.metrics.sliced.sinogram import LineTransform, line_gain, line_layout

EDGE_PX = 5.0
_SMALLEST_GAIN = 1e-3


def masked_images(images: NDArray[np.floating], background: Preparation) -> NDArray[np.float32]:
    """Take the level outside the disc off images (n, L, L) and multiply them by the soft disc."""
    images = np.asarray(images, dtype=np.float32)
    disc, outside = _disc_and_outside(images.shape[-1], background.radius(images.shape[-1]))
    level = np.zeros(len(images), np.float32)
    if outside is not None:
        level = background_statistics(images, outside)[0].astype(np.float32)
    return np.asarray((images - level[:, None, None]) * disc, dtype=np.float32)


@lru_cache(maxsize=4)
def _disc_and_outside(box: int, radius: float) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return the soft disc, cut by the circle that fits the box, and what is outside it; neither to be written to."""
    disc = soft_disc(box, 2 * radius, EDGE_PX) * soft_disc(box, 2 * (box // 2), 0)
    try:
        return disc, background_region(box, 2 * radius)
    except InputError:  # the disc leaves no background to measure
        return disc, None


def stack_power(images: NDArray[np.floating], background: Preparation) -> NDArray[np.float64]:
    """Return the mean power per ring of masked images, E|F|^2 / L^2, float64 (L // 2 + 1,); signal and noise."""
    box = images.shape[-1]
    total = np.zeros(box // 2 + 1)
    for first in range(0, len(images), TILE):
        masked = masked_images(images[first : first + TILE], background)
        for image in masked:
            total += radial_average(np.abs(np.fft.rfft2(image)) ** 2, box)
    return total / (max(1, len(images)) * float(box) ** 2)


def known_of_stack(images: NDArray[np.floating], background: Preparation) -> Preparation:
    """Add the spectrum of a stack and its SNR to what is known of it; the images may be a sample, float32 (n, L, L)."""
    if background.noise_spectrum is None or len(images) == 0:
        return background
    box, power = images.shape[-1], stack_power(images, background)
    snr = estimated_snr(power, masked_noise_power(background, box), background, box)
    return replace(background, snr=snr, stack_spectrum=power)


def masked_noise_power(background: Preparation, box: int) -> NDArray[np.float64]:
    """Return the noise power per ring that the mask leaves, in the units of :func:`stack_power`."""
    if background.noise_spectrum is None:
        return np.zeros(box // 2 + 1)
    share = float((_disc_and_outside(box, background.radius(box))[0].astype(np.float64) ** 2).mean())
    return np.asarray(background.noise_spectrum, dtype=np.float64) * share


def wiener_gain(power: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return S / (S + N) per ring from the power S + N and the noise N of masked images; small where S is."""
    signal = np.maximum(power - noise, _SMALLEST_GAIN * power)
    return np.asarray(signal / np.maximum(power, np.finfo(np.float64).tiny))


def estimated_snr(power: NDArray[np.float64], noise: NDArray[np.float64], background: Preparation, box: int) -> float:
    """Return the variance of the signal over that of the noise, both over the frame; infinite for clean images.

    Parameters
    ----------
    power, noise
        From :func:`stack_power` and :func:`masked_noise_power`: all of the signal is taken to be inside the mask.
    """
    if background.snr is not None:
        return float(background.snr)
    if background.noise_spectrum is None:
        return float("inf")
    count = conjugate_weight(box)
    ring = np.minimum(ring_index(box), box // 2)
    # The mean is not variance; ring 0 is left out.
    signal = float((np.maximum(power - noise, 0.0)[ring] * count)[ring > 0].sum()) / box**2
    return signal / background.noise_variance(box)


class LineReader:
    """Radial lines of images after the mask and the filter, image by image; not to be shared by threads.

    Parameters
    ----------
    images
        Float32 (n, L, L).
    background
        Mask and noise. Noisy images pass the Wiener filter of ``stack_spectrum``.

    Raises
    ------
    ValueError
        If a noise spectrum comes without that of the stack (:func:`known_of_stack`): the filter would be that of the
        images which happen to be prepared together, and so would every answer.
    """

    def __init__(self, images: NDArray[np.float32], background: Preparation) -> None:
        images = np.ascontiguousarray(images, dtype=np.float32)
        if images.ndim != 3 or images.shape[1] != images.shape[2]:
            raise ValueError(f"images must have shape (n, L, L), not {images.shape}")
        box = images.shape[-1]
        self._images, self._background = images, background
        self.layout = line_layout(box)
        self._transform = LineTransform(self.layout)
        self.snr = float("inf")
        """Estimated from the spectra, or as it was given."""
        self._ring_gain: NDArray[np.float64] | None = None
        self._gain: NDArray[np.float32] | None = None
        if background.noise_spectrum is not None:
            noise = masked_noise_power(background, box)
            power = background.stack_spectrum
            if power is None:
                raise ValueError("noisy images need the spectrum of their stack")
            self._ring_gain = wiener_gain(power, noise)
            self._gain = line_gain(self.layout, 0.0, self._ring_gain)
            self.snr = estimated_snr(power, noise, background, box)

    def centred_lines(self, row: int) -> tuple[NDArray[np.complex64], tuple[int, int]]:
        """Return the lines of one image, masked about its own centre, and the pixels (x, y) it was moved there by.

        Lines are complex64 (half, n_frequencies).
        """
        image = self._images[row]
        radius = self._background.radius(image.shape[-1])
        density = image if self._ring_gain is None else apply_ring_gain(image[None], self._ring_gain)[0]
        masked, moved = masked_about(image, centre_of_density(density, radius, EDGE_PX), radius, EDGE_PX)
        lines = self._transform(masked)
        return lines if self._gain is None else lines * self._gain, moved
