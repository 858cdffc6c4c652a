"""Images magnified about their centre pixel: one isotropic scale, by the trigonometric polynomial of the pixels.

magnified(q) = image(q / scale) for offsets q from the centre pixel, from Fourier coefficients up to what either grid
holds (shrinking keeps only frequencies below the new Nyquist frequency). The sum over frequencies has a closed form,
Dirichlet's kernel, and separates into rows and columns: two matrix products. Beyond the box lies its border's mean.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def magnified(images: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Magnify images by a factor.

    Parameters
    ----------
    images
        Float32 (n, L, L).
    scale
        Above 1 makes the content larger.
    """
    if scale == 1.0:
        return np.asarray(images, dtype=np.float32)
    weights, inside = _weights(images.shape[-1], float(scale))
    window = np.logical_and.outer(inside, inside)
    result = np.empty(images.shape, np.float32)
    # Image by image: a product of a batch may round otherwise.
    for i, image in enumerate(images):
        pixels = image.astype(np.float64)
        border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]]).mean()
        result[i] = np.where(window, weights @ (pixels - border) @ weights.T, 0.0) + border
    return result


def magnified_power(power: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return the power per ring (L // 2 + 1,) of magnified images: ring k holds what was at scale * k.

    The variance of a pixel stays, so that power per ring grows by scale^2; what was beyond the Nyquist frequency is
    next to nothing.
    """
    ring = np.arange(len(power), dtype=np.float64)
    least = 1e-6 * float(np.max(power))
    return np.asarray(scale**2 * np.interp(scale * ring, ring, power, right=least))


@lru_cache(maxsize=64)
def _weights(box: int, scale: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the weights of the pixels of a line (L out, L in), and which output pixels come from inside the box."""
    offset = np.arange(box) - box // 2
    place = offset / scale
    t = place[:, None] - offset
    band = min(box // 2, int(scale * box / 2))
    at_pixel = np.abs(np.remainder(t + 0.5 * box, box) - 0.5 * box) < 1e-9
    angle = np.where(at_pixel, 0.5, np.pi * t / box)
    if box % 2 and band == box // 2:
        kernel = np.where(at_pixel, 1.0, np.sin(box * angle) / (box * np.sin(angle)))
    else:  # the highest frequency counts half, at either sign
        kernel = np.where(at_pixel, 2.0 * band / box, np.sin(2 * band * angle) / (box * np.tan(angle)))
    inside = (place >= offset[0] - 0.5) & (place <= offset[-1] + 0.5)
    return kernel, inside
