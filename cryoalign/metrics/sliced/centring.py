"""Where an image is, before anything of it is cut away: a mask about the box loses part of what lies off its middle.

The centre of mass of the density inside a soft disc about that very centre, by iteration from the widest disc that fits
the box: the mean shift with a flat kernel (Y. Cheng, "Mean shift, mode seeking, and clustering", IEEE Trans. Pattern
Anal. Mach. Intell. 17:790, 1995). Noise would drag the centre to the middle of the disc: noisy images are
Wiener-filtered first. What is found does not depend on where the image was, and on no other image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel

ROUNDS = 3
"""The first in the widest disc; images that are wholly inside the second one's mask are found by then."""
FEWEST = 16
"""Pixels beyond the mask that tell a level; with fewer it is 0."""


def centre_of_density(image: NDArray[np.float32], radius_px: float, edge_px: float) -> tuple[float, float]:
    """Return the centre (x, y) of the positive density in pixels from the centre pixel; (0, 0) where there is none.

    Parameters
    ----------
    image
        Float32 (L, L), filtered if it is noisy.
    radius_px, edge_px
        Of the soft disc; the mean beyond the radius is taken off first.
    """
    found = np.zeros(2)
    _fixed_point(np.ascontiguousarray(image, dtype=np.float32), float(radius_px), float(edge_px), ROUNDS, found)
    return float(found[0]), float(found[1])


def masked_about(
    image: NDArray[np.float32], centre: tuple[float, float], radius_px: float, edge_px: float
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Mask an image by a soft disc about a centre, and move it there by whole pixels.

    Parameters
    ----------
    image
        Float32 (L, L).
    centre
        (x, y) in pixels from the centre pixel.
    radius_px, edge_px
        Of the disc, which the circle that fits the box cuts; the mean beyond the radius is taken off first.

    Returns
    -------
    masked, moved
        Float32 (L, L), and by how many pixels (x, y) what is at its centre pixel was away from there.
    """
    place = np.array([*centre, *np.floor(np.asarray(centre) + 0.5)])
    result = np.zeros(image.shape, np.float32)
    _mask(np.ascontiguousarray(image, dtype=np.float32), place, float(radius_px), float(edge_px), result)
    return result, (int(place[2]), int(place[3]))


@kernel(nogil=True, inline="always")
def _span(radius, across, middle):  # type: ignore[no-untyped-def]
    """Return the first column inside a circle and the first one after it, on a row ``across`` from its centre."""
    square = radius * radius - across * across
    if square < 0.0:
        return 0, 0
    half = np.sqrt(square)
    return int(np.ceil(middle - half)), int(np.floor(middle + half)) + 1


@kernel(nogil=True)
def _level(image, total, x, y, radius):  # type: ignore[no-untyped-def]
    """Average the pixels beyond a radius, given the sum of all."""
    box = image.shape[0]
    middle = box // 2
    inside, count = 0.0, box * box
    for i in range(box):
        first, last = _span(radius, i - middle - y, middle + x)
        first, last = max(first, 0), min(last, box)
        for j in range(first, last):
            inside += image[i, j]
        count -= max(last - first, 0)
    return (total - inside) / count if count >= FEWEST else 0.0


@kernel(nogil=True)
def _sum(image):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            total += image[i, j]
    return total


@kernel(nogil=True, inline="always")
def _edge(square, radius, width):  # type: ignore[no-untyped-def]
    """Return the soft disc's value at a squared distance: a raised cosine outside the radius."""
    beyond = (np.sqrt(square) - radius) / width
    return 0.5 + 0.5 * np.cos(np.pi * beyond) if beyond < 1.0 else 0.0


@kernel(nogil=True)
def _fixed_point(image, radius, edge, rounds, found):  # type: ignore[no-untyped-def]
    box = image.shape[0]
    middle = box // 2
    total = _sum(image)
    for k in range(rounds):
        x, y = found[0], found[1]
        inner = np.float64(middle) if k == 0 else radius
        level = _level(image, total, x, y, inner)
        mass, along_x, along_y = 0.0, 0.0, 0.0
        for i in range(box):
            v = i - middle - y
            first, last = _span(min(inner + edge, np.float64(middle)), v, middle + x)
            for j in range(max(first, 0), min(last, box)):
                value = image[i, j] - level
                if value <= 0.0:
                    continue
                u = j - middle - x
                square = u * u + v * v
                if square > inner * inner:
                    value *= _edge(square, inner, edge)
                mass += value
                along_x += value * u
                along_y += value * v
        if not mass > 0.0:
            return
        found[0] = x + along_x / mass
        found[1] = y + along_y / mass


@kernel(nogil=True)
def _mask(image, place, radius, edge, result):  # type: ignore[no-untyped-def]
    box = image.shape[0]
    middle = box // 2
    x, y = place[0], place[1]
    level = _level(image, _sum(image), x, y, radius)
    step_x, step_y = int(place[2]), int(place[3])
    for i in range(max(0, -step_y), min(box, box - step_y)):
        row = i + step_y
        v = row - middle - y
        first, last = _span(min(radius + edge, np.float64(middle)), v, middle + x)
        for column in range(max(first, step_x, 0), min(last, box + step_x, box)):
            u = column - middle - x
            value = image[row, column] - level
            square = u * u + v * v
            if square > radius * radius:
                value *= _edge(square, radius, edge)
            result[i, column - step_x] = value
