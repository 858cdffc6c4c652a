"""Discs round the centre pixel, and the background outside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel


def centre_offsets(box: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (x, y), each of shape (box, box): offsets from the centre pixel ``box // 2`` in pixels."""
    offset = np.arange(box, dtype=np.float64) - box // 2
    x, y = np.meshgrid(offset, offset)
    return x, y


def soft_disc(box: int, diameter_px: float, edge_px: float = 5) -> NDArray[np.float32]:
    """Return a disc that is 1 up to its radius and falls to 0 along a raised cosine.

    Parameters
    ----------
    box
        Side L in pixels.
    diameter_px
        Diameter of the part that is 1, in pixels.
    edge_px
        Width of the edge in pixels, outside the diameter (as RELION's ``width_mask_edge``); 0 makes a hard disc.

    Returns
    -------
    NDArray
        float32, shape (L, L), values in [0, 1].
    """
    if diameter_px < 0 or edge_px < 0:
        raise ValueError("a disc needs a diameter and an edge that are not negative")
    x, y = centre_offsets(box)
    beyond = np.hypot(x, y) - 0.5 * diameter_px
    if edge_px == 0:
        return (beyond <= 0).astype(np.float32)
    return (0.5 + 0.5 * np.cos(np.pi * np.clip(beyond / edge_px, 0.0, 1.0))).astype(np.float32)


def background_region(box: int, diameter_px: float) -> NDArray[np.bool_]:
    """Return the pixels outside the disc of the given diameter, bool of shape (box, box).

    Raises
    ------
    InputError
        If fewer than 16 pixels are outside: too few to say anything about the background.
    """
    x, y = centre_offsets(box)
    region = np.hypot(x, y) > 0.5 * diameter_px
    if np.count_nonzero(region) < 16:
        raise InputError(
            f"a mask of {diameter_px:g} px leaves no background in a box of {box} px",
            hint="use a smaller mask diameter",
        )
    return np.asarray(region)


def background_statistics(
    images: NDArray[np.floating], region: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation over the region, each of shape (n,) float64.

    Parameters
    ----------
    images
        Shape (n, L, L).
    region
        Shape (L, L).
    """
    inside = np.flatnonzero(region)
    n = len(images)
    mean, deviation = np.empty(n), np.empty(n)
    _statistics(np.ascontiguousarray(images).reshape(n, region.size), inside, mean, deviation)
    return mean, deviation


@kernel(nogil=True)
def _statistics(flat, inside, mean, deviation):  # type: ignore[no-untyped-def]
    for i in range(flat.shape[0]):
        total = 0.0
        for p in inside:
            total += flat[i, p]
        centre = total / len(inside)
        squares = 0.0
        for p in inside:
            squares += (flat[i, p] - centre) ** 2
        mean[i], deviation[i] = centre, np.sqrt(squares / len(inside))
