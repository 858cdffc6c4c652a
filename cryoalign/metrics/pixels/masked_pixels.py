"""Pixels inside the mask, with what is known of their images: what measures of pixels compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.pixels.pyramid import Level

Compared = tuple[NDArray[np.float64], NDArray[np.float32] | None]
"""Values (m,), and their derivatives by every moving pixel, (m, P), where they are wanted."""


class MaskedPixels(NamedTuple):
    """Pixels inside the mask of m images.

    Parameters
    ----------
    pixels
        Float32 (m, P).
    statistics
        Mean and standard deviation inside the mask and standard deviation of the noise, float64 (m, 3), of the images
        before they were moved: they do not change with the pose.
    box, inside
        Side of the images, and where the pixels are in them, flattened.
    """

    pixels: NDArray[np.float32]
    statistics: NDArray[np.float64]
    box: int
    inside: NDArray[np.int64]


def masked(pixels: NDArray[np.float32], level: Level, rows: NDArray[np.int64]) -> MaskedPixels:
    """Join pixels (m, P) of images of a level with what is known of those images."""
    return MaskedPixels(pixels, level.statistics[rows], level.box, level.inside)


def reference_pixels(level: Level, row: int) -> MaskedPixels:
    """Return the masked pixels of one reference, as they are."""
    pixels = np.ascontiguousarray(level.images[row].ravel()[level.inside][None])
    return MaskedPixels(pixels, level.statistics[row : row + 1], level.box, level.inside)


def by_kernel(
    kernel: Callable[..., None], reference: MaskedPixels, moved: MaskedPixels, slopes: bool, *more: Any
) -> Compared:
    """Run a compiled kernel, which writes values (m,) and, where there is room for them, slopes (m, P)."""
    value = np.empty(len(moved.pixels))
    slope = np.empty(moved.pixels.shape if slopes else (0, 0), np.float32)
    # One layout: each further one would be compiled on its own.
    kernel(reference.pixels[0], np.ascontiguousarray(moved.pixels), *more, value, slope)
    return value, slope if slopes else None
