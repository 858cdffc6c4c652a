"""The one small interface through which methods see pixels."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class ImageSource(Protocol):
    """Rows in, float32 images out; may be read again, in any order, from any thread."""

    @property
    def box(self) -> int:
        """Side of the square images, in pixels."""
        ...

    def __len__(self) -> int:
        """Count the images."""
        ...

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the images of the given 0-based rows, float32 of shape (len(rows), box, box)."""
        ...


class ArraySource:
    """An image source over an array that is already in memory.

    Parameters
    ----------
    images
        Shape (n, box, box), any real dtype.
    """

    def __init__(self, images: NDArray[np.floating]) -> None:
        if images.ndim != 3 or images.shape[1] != images.shape[2]:
            raise ValueError(f"images must have shape (n, box, box), not {images.shape}")
        self._images = images

    @property
    def box(self) -> int:
        """Side of the square images, in pixels."""
        return int(self._images.shape[-1])

    def __len__(self) -> int:
        """Count the images."""
        return len(self._images)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the images of the given rows as a float32 copy of shape (len(rows), box, box)."""
        return np.ascontiguousarray(self._images[rows], dtype=np.float32)
