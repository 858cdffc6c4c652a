"""Pixels that no microscope makes: hot and dead ones of a detector, and what a cosmic ray leaves.

Such a pixel stands far out of the image's spread, and those around it do not follow. A bead, another particle or a
crystal is wider than that, since no microscope resolves a single pixel at such contrast.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from cryoalign.core.kernels import INNER

HOT_Z = 12.0
"""Robust standard deviations of the image by which a hot pixel departs from its background, at least."""
_FOLLOWS = 0.3
_FOLLOWERS = 3
"""A pixel is hot where at most so many of the 24 around it reach this share of its height."""


@njit(nogil=True, **INNER)
def _stands_alone(image, y, x):  # type: ignore[no-untyped-def]
    """Say whether hardly any pixel around reaches a share of this one's height, on its side."""
    box = image.shape[0]
    value = image[y, x]
    share = _FOLLOWS * abs(value)
    sign = np.float32(1) if value > 0 else np.float32(-1)
    count = -1  # the pixel itself
    for v in range(max(y - 2, 0), min(y + 3, box)):
        for u in range(max(x - 2, 0), min(x + 3, box)):
            count += sign * image[v, u] > share
    return count <= _FOLLOWERS


@njit(nogil=True, **INNER)
def row_largest(bits):  # type: ignore[no-untyped-def]
    """Return the largest size in a row of float32, as bits: signs taken off, they are in the order of the numbers."""
    largest = np.int32(0)
    for x in range(len(bits)):
        largest = max(largest, bits[x] & np.int32(0x7FFFFFFF))
    return largest


@njit(nogil=True, **INNER)
def find_alone(image, suspect, places):  # type: ignore[no-untyped-def]
    """Put the places of pixels beyond a size that stand alone into ``places``; return how many there are."""
    box = len(image)
    limit = np.full(1, suspect, np.float32)
    bits, least = image.view(np.int32), limit.view(np.int32)[0]
    n = 0
    for y in range(box):
        if row_largest(bits[y]) < least:  # whole numbers are compared in vectors, and most rows hold nothing
            continue
        for x in range(box):
            if abs(image[y, x]) > suspect and _stands_alone(image, y, x):
                places[n] = y * box + x
                n += 1
    return n


@njit(nogil=True, **INNER)
def replace_hot(image, suspect, places, mended):  # type: ignore[no-untyped-def]
    """Find hot pixels of an image without its plane, and replace them in the image with it; return how many.

    They take the median of those around that are not hot. ``places`` has room for all pixels.
    """
    box = image.shape[0]
    n = find_alone(image, suspect, places)
    if n == 0:
        return 0
    flat = image.ravel()
    # The spread of the whole image: where a particle is much above the noise, its own sharp points are no faults.
    spread = 1.4826 * np.median(np.abs(flat - np.median(flat)))
    hot = np.zeros((box, box), np.bool_)
    count = 0
    for k in range(n):
        y, x = places[k] // box, places[k] % box
        if abs(image[y, x]) > HOT_Z * spread:
            hot[y, x] = True
            count += 1
    if count == 0 or not spread > 0:
        return 0
    around, new = np.empty(24, np.float32), np.empty(n, np.float32)
    for k in range(n):
        y, x = places[k] // box, places[k] % box
        m = 0
        for v in range(max(y - 2, 0), min(y + 3, box)):
            for u in range(max(x - 2, 0), min(x + 3, box)):
                if not hot[v, u] and m < 24:
                    around[m] = mended[v, u]
                    m += 1
        new[k] = np.median(around[:m]) if m > 0 else mended[y, x] - image[y, x]
    for k in range(n):
        y, x = places[k] // box, places[k] % box
        if hot[y, x]:
            mended[y, x] = new[k]
    return count
