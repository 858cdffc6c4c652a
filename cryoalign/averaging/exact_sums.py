"""Sums of images that no order can change: fixed-point numbers in 64-bit integers.

Floating-point sums depend on their order, so on blocks and threads. An image scaled by a power of two and rounded to
an integer adds exactly; with 24 bits below the noise the rounding is float32's own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel

_BITS = 24


def fixed_point_scale(deviation: float) -> float:
    """Return the power of two that leaves 24 bits below a typical deviation of the pixels."""
    return float(2.0 ** (_BITS - np.floor(np.log2(deviation)))) if deviation > 0 else float(2.0**_BITS)


def places(rows: NDArray[np.integer]) -> NDArray[np.integer] | slice:
    """Return ascending rows as an index; as a slice where they are neighbours, which takes a view and not a copy."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


class ExactSums:
    """Sums of images for m classes.

    Parameters
    ----------
    n_classes, box
        Shape of the sums.
    scale
        From :func:`fixed_point_scale`; must be the same wherever sums are added.
    """

    def __init__(self, n_classes: int, box: int, scale: float) -> None:
        self.sums = np.zeros((n_classes, box, box), np.int64)
        self.counts = np.zeros(n_classes, np.int64)
        self.scale = scale

    def add(self, images: NDArray[np.float32], classes: NDArray[np.integer]) -> None:
        """Add images to 0-based classes; a negative class leaves an image out.

        Raises
        ------
        InputError
            If a pixel is too large for the sum, which then would be wrong.
        """
        if np.max(classes, initial=-1) >= len(self.counts):
            raise ValueError(f"there are {len(self.counts)} classes, not {int(np.max(classes)) + 1}")
        if not _add(np.ascontiguousarray(images), np.asarray(classes, np.int64), self.scale, self.sums, self.counts):
            raise InputError("a pixel is over a million times the typical deviation", hint="look for corrupt images")

    def pack(self) -> dict[str, NDArray]:
        """Return arrays for a part file: only classes that have members."""
        classes = np.flatnonzero(self.counts)
        taken = places(classes)
        return {"classes": classes, "counts": self.counts[taken], "sums": self.sums[taken]}

    def add_packed(self, classes: NDArray | slice, counts: NDArray, sums: NDArray) -> None:
        """Add what :meth:`pack` returned."""
        self.sums[classes] += sums
        self.counts[classes] += counts

    def totals(self) -> NDArray[np.float64]:
        """Return the sums in the images' own unit, float64 (m, box, box)."""
        return self.sums / self.scale


@kernel(nogil=True)
def _add(images, classes, scale, sums, counts):  # type: ignore[no-untyped-def]
    # 2^44 leaves room for half a million such pixels in one sum.
    limit = 2.0**44
    for i in range(images.shape[0]):
        c = classes[i]
        if c < 0:
            continue
        counts[c] += 1
        for y in range(images.shape[1]):
            for x in range(images.shape[2]):
                value = np.rint(images[i, y, x] * scale)
                if not abs(value) < limit:
                    return False
                sums[c, y, x] += np.int64(value)
    return True
