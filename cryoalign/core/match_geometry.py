"""Images of one box and pixel size brought to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.filters import fourier_resize


def match_geometry(
    images: NDArray[np.float32], pixel_size_from: float, box: int, pixel_size_to: float
) -> NDArray[np.float32]:
    """Bring images to another box and pixel size (A), keeping the content at the centre pixel.

    The field of view is cropped or padded with the border's mean to the nearest whole pixel, then resampled in
    Fourier space.
    """
    source = images.shape[-1]
    if same_geometry(source, pixel_size_from, box, pixel_size_to):
        return np.asarray(images, dtype=np.float32)
    wanted = round(box * pixel_size_to / pixel_size_from)
    if wanted < 4:
        raise InputError("the images are too coarse for this box", value=f"{pixel_size_from:g} A/px")
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1).mean(axis=1)
    framed = reframe(images, wanted, border)
    return fourier_resize(framed, box)


def reframe(images: NDArray[np.float32], box: int, border: NDArray[np.floating]) -> NDArray[np.float32]:
    """Cut images (n, L, L) to another box, or pad them with a value each (n,); the centre pixel stays the centre."""
    source = images.shape[-1]
    framed = np.broadcast_to(border[:, None, None], (len(images), box, box)).astype(np.float32)
    half = min(source // 2, box // 2)
    upper = min(source - source // 2, box - box // 2)
    inside = slice(source // 2 - half, source // 2 + upper)
    target = slice(box // 2 - half, box // 2 + upper)
    framed[:, target, target] = images[:, inside, inside]
    return framed


def same_geometry(box_from: int, pixel_size_from: float, box: int, pixel_size_to: float) -> bool:
    """Tell whether boxes are equal and pixel sizes agree to 1e-4."""
    return box_from == box and abs(pixel_size_from / pixel_size_to - 1) < 1e-4
