"""Wiener's filter from an image's own spectrum: rings are kept by the share of their power that is not noise.

gain = S / (S + N) with S + N the image's power per ring, smoothed over five rings, and N the noise's (N. Wiener,
"Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949). Measures that are not linear in the
pixels need it: what a joint histogram or |r - m| makes of noise, no sum over pixels takes back.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.filters import apply_ring_gain, radial_average, ring_counts

_HALF = 2  # rings either side that share their power: one ring of one image scatters


def wiener_gain(images: NDArray[np.float32], noise_power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gain per ring of each image, float64 (n, L // 2 + 1), in [0, 1].

    Parameters
    ----------
    images
        Float32 (n, L, L).
    noise_power
        Noise power per ring, (L // 2 + 1,), E|F|^2 / L^2.
    """
    box = images.shape[-1]
    counts = ring_counts(box).astype(np.float64)
    gain = np.empty((len(images), box // 2 + 1))
    for i, image in enumerate(images):
        power = radial_average(np.abs(scipy.fft.rfft2(image)) ** 2, box) / box**2
        smooth = _over_rings(power * counts) / _over_rings(counts)
        gain[i] = np.clip(1.0 - noise_power / np.maximum(smooth, 1e-300), 0.0, 1.0)
    # The mean is not noise to be judged by one number: it keeps the level.
    gain[:, 0] = 1.0
    return gain


def wiener_filtered(
    images: NDArray[np.float32], noise_power: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the filtered images and the noise power per ring that is left in each, float64 (n, L // 2 + 1)."""
    noise = np.asarray(noise_power, dtype=np.float64)
    gain = wiener_gain(images, noise)
    # Image by image: a transform of a batch may round otherwise.
    filtered = [apply_ring_gain(image[None], g)[0] for image, g in zip(images, gain, strict=True)]
    return np.array(filtered, dtype=np.float32).reshape(images.shape), gain**2 * noise


def _over_rings(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, _HALF)
    return np.asarray(sum(padded[s : s + len(values)] for s in range(2 * _HALF + 1)))
