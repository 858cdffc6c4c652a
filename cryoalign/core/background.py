"""The background of images: plane, level and scale outside the particle's disc.

Normalisation is RELION's: outside the disc mean 0 and standard deviation 1, after the plane that fits there was taken
off (Scheres 2012, J. Struct. Biol. 180, 519). Before that, hot and dead pixels are replaced: a pixel that stands far
out of the image's spread and whose neighbours do not follow it. A bead, a neighbour or a crystal is wider than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.hot_pixels import find_alone, replace_hot, row_largest
from cryoalign.core.kernels import INNER, kernel
from cryoalign.core.masks import background_region, centre_offsets

_SUSPECT_Z = 6.5
"""Where no pixel departs further than this, none is looked at closely: noise does so once in ten thousand images."""
_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class Background:
    """What was found outside the discs of n images, float64 (n,) each, in units of the pixels as read.

    Parameters
    ----------
    mean, slope_x, slope_y
        Of the plane: its value at the centre pixel, and what it rises by in a pixel.
    deviation
        Standard deviation of what is left outside the disc; 0 where that is constant, NaN where a pixel is not finite.
    inside
        Standard deviation of what is left inside the disc.
    largest
        Largest departure from the plane anywhere in the image, hot pixels replaced, in deviations.
    hot_pixels
        How many were replaced, int32.
    """

    mean: NDArray[np.float64]
    slope_x: NDArray[np.float64]
    slope_y: NDArray[np.float64]
    deviation: NDArray[np.float64]
    inside: NDArray[np.float64]
    largest: NDArray[np.float64]
    hot_pixels: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.mean)

    @classmethod
    def joined(cls, parts: Sequence[Background]) -> Background:
        """Return what was found in several sets of images, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def normalise(
    images: NDArray[Any], diameter_px: float, *, in_place: bool = False
) -> tuple[NDArray[np.float32], Background]:
    """Replace hot pixels, take off the background's plane and divide by its standard deviation.

    Parameters
    ----------
    images
        Shape (n, L, L).
    diameter_px
        Diameter of the particle's disc in pixels: what is outside is background.
    in_place
        The images are float32 and C-contiguous, and may be overwritten.

    Returns
    -------
    images, background
        float32 (n, L, L), an image's result does not depend on its neighbours; and what was found. Images whose
        background is constant, or that hold a pixel that is not finite, are returned as they came.

    Raises
    ------
    InputError
        If the disc leaves fewer than 16 pixels of background.
    """
    box = images.shape[-1]
    outside, gram = _geometry(box, float(diameter_px))
    n = len(images)
    given = np.ascontiguousarray(images, dtype=np.float32)
    result = given if in_place else np.empty((n, box, box), np.float32)
    columns = np.empty((6, n))
    hot = np.zeros(n, np.int32)
    _normalise(given, outside, gram, result, columns, hot)
    mean, slope_x, slope_y, deviation, inside, largest = columns
    return result, Background(mean, slope_x, slope_y, deviation, inside, largest, hot)


@lru_cache(maxsize=16)
def _geometry(box: int, diameter_px: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return 1 outside the disc and 0 within, (box, box), and the inverse of the plane's normal equations, (3, 3)."""
    region = background_region(box, diameter_px)
    if box % 2 == 0 and np.count_nonzero(region[1:, 1:]) >= 16:
        # Without a counterpart on the other side of the centre: a mirrored image is to give the mirrored plane.
        region[0], region[:, 0] = False, False
    x, y = (offset[region] for offset in centre_offsets(box))
    basis = np.stack([np.ones_like(x), x, y])
    return region.astype(np.float32), cast("NDArray[np.float64]", np.linalg.inv(basis @ basis.T))


# One row at a time, and one thing at a time: so the compiler makes vectors of these loops.
@njit(nogil=True, fastmath=True, **INNER)
def _row_moments(row, level, outside, offset):  # type: ignore[no-untyped-def]
    total, along = np.float32(0), np.float32(0)
    for x in range(len(row)):
        value = outside[x] * (row[x] - level)
        total += value
        along += offset[x] * value
    return total, along


@njit(nogil=True, fastmath=True, **INNER)
def _row_without(row, start, slope, offset, left):  # type: ignore[no-untyped-def]
    for x in range(len(row)):
        left[x] = row[x] - (start + slope * offset[x])


@njit(nogil=True, fastmath=True, **INNER)
def _row_squares(left, outside):  # type: ignore[no-untyped-def]
    every, out, total, total_out = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for x in range(len(left)):
        square = left[x] * left[x]
        every += square
        out += outside[x] * square
        total += left[x]
        total_out += outside[x] * left[x]
    return every, out, total - total_out


@njit(nogil=True, **INNER)
def _fit(image, level, outside, offset, gram):  # type: ignore[no-untyped-def]
    """Return the plane outside the disc of an image from which a level was taken: at the centre, along x, along y."""
    total, along_x, along_y = 0.0, 0.0, 0.0
    for y in range(len(image)):
        row, row_x = _row_moments(image[y], level, outside[y], offset)
        total += row
        along_x += row_x
        along_y += np.float64(offset[y]) * row
    return (
        gram[0, 0] * total + gram[0, 1] * along_x + gram[0, 2] * along_y,
        gram[1, 0] * total + gram[1, 1] * along_x + gram[1, 2] * along_y,
        gram[2, 0] * total + gram[2, 1] * along_x + gram[2, 2] * along_y,
    )


@njit(nogil=True, **INNER)
def _start(level, plane, offset, y):  # type: ignore[no-untyped-def]
    return np.float32(np.float64(level) + plane[0] + plane[2] * offset[y])


@njit(nogil=True, **INNER)
def _left_over(image, level, plane, outside, offset, row):  # type: ignore[no-untyped-def]
    """Return, of what level and plane leave: sums of squares outside and inside, sum inside, largest size."""
    squares_out, squares_in, sum_in = 0.0, 0.0, 0.0
    bits, largest = row.view(np.int32), np.zeros(1, np.int32)
    for y in range(len(image)):
        _row_without(image[y], _start(level, plane, offset, y), np.float32(plane[1]), offset, row)
        every, out, inside = _row_squares(row, outside[y])
        squares_out += out
        squares_in += np.float64(every) - np.float64(out)
        sum_in += inside
        largest[0] = max(largest[0], row_largest(bits))
    return squares_out, squares_in, sum_in, np.float64(largest.view(np.float32)[0])


@njit(nogil=True, **INNER)
def _take_off(image, level, plane, offset, factor, row, left):  # type: ignore[no-untyped-def]
    """Write an image without level and plane, times a factor; ``left`` may be the image."""
    for y in range(len(image)):
        # Through a row of its own: where arrays are one and the same the compiler takes another way, and other bits.
        _row_without(image[y], _start(level, plane, offset, y), np.float32(plane[1]), offset, row)
        for x in range(len(row)):
            left[y, x] = factor * row[x]


@njit(nogil=True, **INNER)
def _level(image):  # type: ignore[no-untyped-def]
    """Return the median of eight pixels on the border: near the background's level, so that squares stay exact."""
    last = len(image) - 1
    some = np.empty(8, np.float32)
    for k in range(4):
        some[2 * k], some[2 * k + 1] = image[0, k * last // 4], image[last, (k + 1) * last // 4]
    return np.float32(np.median(some))


@njit(nogil=True, **INNER)
def _measure(image, outside, offset, gram, row):  # type: ignore[no-untyped-def]
    """Return level and plane of an image, and what `_left_over` says of the rest."""
    level = _level(image)
    plane = _fit(image, level, outside, offset, gram)
    squares_out, squares_in, sum_in, largest = _left_over(image, level, plane, outside, offset, row)
    return level, plane, squares_out, squares_in, sum_in, largest


@njit(nogil=True, **INNER)
def _to_unit(image):  # type: ignore[no-untyped-def]
    """Bring very small and very large pixels near 1, whose squares can be held; return the factor, 0 if none can."""
    bits, largest = image.view(np.int32), np.zeros(1, np.int32)
    for y in range(len(bits)):
        largest[0] = max(largest[0], row_largest(bits[y]))
    size = np.float64(largest.view(np.float32)[0])
    if not 0 < size < np.inf:
        return 0.0
    if 1e-6 < size < 1e6:
        return 1.0
    factor = 2.0 ** -np.floor(np.log2(size))
    flat = image.ravel()
    for p in range(len(flat)):
        flat[p] = np.float32(flat[p] * factor)
    return factor


@njit(nogil=True, **INNER)
def _mend(image, n_out, outside, offset, gram, row, left, places):  # type: ignore[no-untyped-def]
    """Replace the hot pixels of an image; return by what it was multiplied, how many there were, and its measures."""
    scale, count = 1.0, 0
    measured = _measure(image, outside, offset, gram, row)
    for _ in range(_ROUNDS):
        factor = _to_unit(image)
        if factor == 0.0:
            return 0.0, count, measured
        scale *= factor
        measured = _measure(image, outside, offset, gram, row)
        suspect, found = _SUSPECT_Z * np.sqrt(measured[2] / n_out), 0
        if measured[5] > suspect:
            # The plane owes something to the pixels that are replaced: the image itself is mended, and measured again.
            _take_off(image, measured[0], measured[1], offset, np.float32(1), row, left)
            found = replace_hot(left, suspect, places, image)
        if found == 0:
            break
        count += found
    return scale, count, measured


@njit(nogil=True, **INNER)
def _is_suspect(image, measured, n_out, offset, row, left, places):  # type: ignore[no-untyped-def]
    """Say whether an image must be looked at closely: its pixels cannot be squared, or some stand alone."""
    largest, suspect = measured[5], _SUSPECT_Z * np.sqrt(measured[2] / n_out)
    if not 1e-6 < largest < 1e6:  # said so that pixels which are not finite are looked at too
        return True
    if not largest > suspect:
        return False
    _take_off(image, measured[0], measured[1], offset, np.float32(1), row, left)
    return find_alone(left, suspect, places) > 0


@kernel(nogil=True)
def _normalise(images, outside, gram, result, columns, hot):  # type: ignore[no-untyped-def]
    box = images.shape[1]
    offset = (np.arange(box) - box // 2).astype(np.float32)
    row, places = np.empty(box, np.float32), np.empty(box * box, np.int64)
    mended, left = np.empty((box, box), np.float32), np.empty((box, box), np.float32)
    n_out = 0
    for y in range(box):
        for x in range(box):
            n_out += outside[y, x] > 0
    n_in = max(box * box - n_out, 1)
    for i in range(images.shape[0]):
        scale, is_mended = 1.0, False
        measured = _measure(images[i], outside, offset, gram, row)
        if _is_suspect(images[i], measured, n_out, offset, row, left, places):
            mended[:] = images[i]
            scale, hot[i], measured = _mend(mended, n_out, outside, offset, gram, row, left, places)
            is_mended = True
        level, plane, squares_out, squares_in, sum_in, largest = measured
        deviation = np.sqrt(squares_out / n_out)
        # float32 pixels cannot hold less than this share of their level: what is left of it is rounding.
        if deviation <= 1e-6 * abs(level + plane[0]) or deviation <= 1e-7 * largest:
            deviation = 0.0
        if scale == 0.0:
            columns[:, i] = 0.0 if (images[i] == images[i, 0, 0]).all() else np.nan
        else:
            columns[0, i], columns[1, i], columns[2, i] = (level + plane[0]) / scale, plane[1] / scale, plane[2] / scale
            columns[3, i] = deviation / scale
            columns[4, i] = np.sqrt(max(squares_in / n_in - (sum_in / n_in) ** 2, 0.0)) / scale
            columns[5, i] = largest / deviation if deviation > 0 else 0.0
        if scale == 0.0 or not deviation > 0:
            result[i] = images[i]
        elif is_mended:
            _take_off(mended, level, plane, offset, np.float32(1 / deviation), row, result[i])
        else:
            _take_off(images[i], level, plane, offset, np.float32(1 / deviation), row, result[i])
