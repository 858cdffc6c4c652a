"""Discs round the centre pixel, the background outside them, and its normalisation.

Normalisation is RELION's: outside the particle's disc mean 0 and standard deviation 1, after a plane was fitted there
and subtracted (Scheres 2012, J. Struct. Biol. 180, 519).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.wrappers import KERNEL


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


def normalise_background(images: NDArray[np.floating], region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Take off the plane that fits the background, and bring the background to mean 0 and standard deviation 1.

    Parameters
    ----------
    images
        Shape (n, L, L).
    region
        Pixels of the background, bool of shape (L, L).

    Returns
    -------
    NDArray
        float32, shape (n, L, L); an image's result does not depend on its neighbours.

    Raises
    ------
    InputError
        If the background of an image is constant; the row counts from 1 within ``images``.
    """
    box = region.shape[-1]
    n = len(images)
    x, y = (offset.ravel() for offset in centre_offsets(box))
    plane = np.stack([np.ones(box * box), x, y])
    inside = np.flatnonzero(region)
    # Orthonormal on the region, so that the fit is three dot products.
    _, triangle = np.linalg.qr(plane[:, inside].T)
    basis = np.linalg.solve(triangle.T, plane)
    flat = np.ascontiguousarray(images).reshape(n, box * box)
    result = np.empty((n, box * box), np.float32)
    deviation = np.empty(n)
    _normalise(flat, inside, basis, result, deviation)
    flawed = np.flatnonzero(~(deviation > 0))
    if len(flawed):
        raise InputError(
            "the background is constant or not finite: it cannot be normalised",
            row=int(flawed[0]) + 1,
            hint="use a smaller mask diameter if the particles were masked before",
        )
    return result.reshape(images.shape)


@njit(cache=True, nogil=True, **KERNEL)
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


@njit(cache=True, nogil=True, **KERNEL)
def _normalise(flat, inside, basis, result, deviation):  # type: ignore[no-untyped-def]
    work = np.empty(flat.shape[1])
    coefficient = np.empty(basis.shape[0])
    for i in range(flat.shape[0]):
        first = float(flat[i, inside[0]])
        largest = 0.0
        for p in range(flat.shape[1]):
            work[p] = flat[i, p] - first
        for b in range(basis.shape[0]):
            total = 0.0
            for p in inside:
                total += basis[b, p] * work[p]
            coefficient[b] = total
        for b in range(basis.shape[0]):
            for p in range(flat.shape[1]):
                work[p] -= coefficient[b] * basis[b, p]
        squares = 0.0
        for p in inside:
            squares += work[p] ** 2
            largest = max(largest, abs(flat[i, p]))
        spread = np.sqrt(squares / len(inside))
        # Rounding alone leaves about 1e-16 of the largest value; float32 pixels cannot hold less than 1e-8 of it.
        deviation[i] = spread if spread > 1e-10 * largest else 0.0
        for p in range(flat.shape[1]):
            result[i, p] = work[p] / spread if deviation[i] > 0 else 0.0
