"""How far averages lie from the centre: the centre of mass of what is bright, found again after every step.

The mask cuts off what lies outside it, so the first answer falls short; moved by it, the particle comes into the mask,
and the answers go to zero at the centre.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.masks import centre_offsets, soft_disc

LOWPASS_OF_MASK = 8.0
"""Detail finer than the mask's diameter over this is smoothed away before density is called positive."""
_STEPS = 50
_SMALL_PX = 0.005
_EDGE_PX = 5.0


def centres_of_mass(images: NDArray[np.floating], mask_diameter_px: float) -> NDArray[np.float64]:
    """Return the centre of mass of the positive density within the mask, as offsets (x, y) from the centre pixel.

    Density is low-passed, and counted from the mean outside the mask.

    Parameters
    ----------
    images
        Shape (m, L, L).
    mask_diameter_px
        In pixels.

    Returns
    -------
    NDArray
        float64 (m, 2), in pixels; 0 where nothing is positive.
    """
    box = images.shape[-1]
    smooth = scipy.fft.irfft2(_smoothed(images, mask_diameter_px), s=(box, box), workers=1)
    return _centres(smooth, mask_diameter_px)


def recentring_shifts(averages: NDArray[np.floating], mask_diameter_px: float) -> NDArray[np.float64]:
    """Return the point of each average that is to become its centre, as an offset (x, y) from the centre pixel.

    Parameters
    ----------
    averages
        Shape (m, L, L).
    mask_diameter_px
        In pixels.

    Returns
    -------
    NDArray
        float64 (m, 2), in pixels, within a quarter of the box.
    """
    box = averages.shape[-1]
    ky, kx = np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None, :]
    spectra = _smoothed(averages, mask_diameter_px)
    shifts = np.zeros((len(averages), 2))
    for i in range(len(averages)):
        for _ in range(_STEPS):
            moved = spectra[i] * np.exp(2j * np.pi * (kx * shifts[i, 0] + ky * shifts[i, 1]))
            image = scipy.fft.irfft2(moved, s=(box, box), workers=1)
            step = _centres(image[None], mask_diameter_px)[0]
            shifts[i] = np.clip(shifts[i] + step, -box / 4, box / 4)
            if np.hypot(*step) < _SMALL_PX:
                break
    return shifts


def _smoothed(images: NDArray[np.floating], mask_diameter_px: float) -> NDArray[np.complexfloating]:
    """Return spectra after a Gaussian low-pass that halves amplitudes at mask diameter / LOWPASS_OF_MASK."""
    box = images.shape[-1]
    k2 = np.fft.fftfreq(box)[:, None] ** 2 + np.fft.rfftfreq(box)[None, :] ** 2
    half = LOWPASS_OF_MASK / mask_diameter_px
    return np.asarray(scipy.fft.rfft2(np.asarray(images, np.float64), workers=1) * np.exp2(-k2 / half**2))


def _centres(images: NDArray[np.float64], mask_diameter_px: float) -> NDArray[np.float64]:
    box = images.shape[-1]
    x, y = centre_offsets(box)
    # The soft edge belongs to the disc, so that nothing jumps when a step moves a pixel across its border.
    disc = soft_disc(box, max(mask_diameter_px - 2 * _EDGE_PX, 1.0), _EDGE_PX)
    outside = np.hypot(x, y) > 0.5 * mask_diameter_px
    level = images[:, outside].mean(axis=1) if outside.any() else images.min(axis=(1, 2))
    density = np.maximum(images - level[:, None, None], 0.0) * disc
    mass = density.sum(axis=(1, 2))
    centre = np.stack([(density * x).sum(axis=(1, 2)), (density * y).sum(axis=(1, 2))], axis=1)
    return np.where(mass[:, None] > 0, centre / np.where(mass > 0, mass, 1.0)[:, None], 0.0)
