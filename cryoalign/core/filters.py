"""Gains per Fourier ring, averages over rings, and resizing in Fourier space, to another box and pixel size.

Ring k holds the frequencies whose radius rounds to k Fourier pixels; rings 0 .. L // 2 are kept, the corners beyond
share the last ring's gain. Resizing is trigonometric interpolation (as ``scipy.signal.resample``) about the centre.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel
from cryoalign.core.limits import SAME_GEOMETRY
from cryoalign.core.magnify import magnified

EDGE_RINGS = 3.0
"""Width of either edge of a band-pass."""


@lru_cache(maxsize=8)
def ring_index(box: int) -> NDArray[np.int64]:
    """Return the ring of each frequency of an ``rfft2``, int64 of shape (L, L // 2 + 1); corners exceed L // 2.

    The array cannot be written to: all callers share it.
    """
    ky, kx = np.meshgrid(np.fft.fftfreq(box, 1.0 / box), np.arange(box // 2 + 1), indexing="ij")
    ring = np.floor(np.hypot(kx, ky) + 0.5).astype(np.int64)
    ring.setflags(write=False)
    return np.asarray(ring)


@lru_cache(maxsize=8)
def conjugate_weight(box: int) -> NDArray[np.float64]:
    """Return how often each frequency of an ``rfft2`` counts in the full plane: 1 or 2, shape (L, L // 2 + 1).

    The array cannot be written to, as that of `ring_counts`.
    """
    weight = np.full((box, box // 2 + 1), 2.0)
    weight[:, 0] = 1.0
    if box % 2 == 0:
        weight[:, -1] = 1.0
    weight.setflags(write=False)
    return weight


@lru_cache(maxsize=8)
def ring_counts(box: int) -> NDArray[np.int64]:
    """Return how many frequencies of the full plane lie in each ring 0 .. L // 2."""
    counts = np.bincount(ring_index(box).ravel(), conjugate_weight(box).ravel())
    counts = counts[: box // 2 + 1].astype(np.int64)
    counts.setflags(write=False)
    return np.asarray(counts)


@lru_cache(maxsize=8)
def _gain_index(box: int) -> NDArray[np.int64]:
    """Return whose gain each frequency of an ``rfft2`` has: its ring's, in the corners the last ring's."""
    return np.minimum(ring_index(box), box // 2)


def radial_average(power: NDArray[np.floating], box: int) -> NDArray[np.float64]:
    """Average over rings.

    Parameters
    ----------
    power
        Real values on the frequencies of an ``rfft2``, shape (..., L, L // 2 + 1).
    box
        Side L of the images in pixels.

    Returns
    -------
    NDArray
        float64, shape (..., L // 2 + 1); both halves of the plane count, the corners do not.
    """
    half = box // 2 + 1
    if power.shape[-2:] != (box, half):
        raise ValueError(f"power must have shape (..., {box}, {half}), not {power.shape}")
    flat = np.ascontiguousarray(power).reshape(-1, box * half)
    sums = np.zeros((len(flat), int(ring_index(box).max()) + 1))
    _ring_sums(flat, ring_index(box).ravel(), conjugate_weight(box).ravel(), sums)
    return (sums[:, :half] / ring_counts(box)).reshape(*power.shape[:-2], half)


def ring_gain_image(gain: NDArray[np.floating], box: int) -> NDArray[np.float32]:
    """Spread a gain per ring (..., L // 2 + 1) over the frequencies of an ``rfft2``: float32 (..., L, L // 2 + 1)."""
    return np.asarray(gain, dtype=np.float32)[..., _gain_index(box)]


def apply_ring_gain(images: NDArray[np.floating], gain: NDArray[np.floating]) -> NDArray[np.float32]:
    """Multiply images by a gain per ring in Fourier space.

    Parameters
    ----------
    images
        Shape (n, L, L).
    gain
        Shape (L // 2 + 1,) for all or (n, L // 2 + 1).

    Returns
    -------
    NDArray
        float32, shape (n, L, L).
    """
    box = images.shape[-1]
    spectrum = scipy.fft.rfft2(np.asarray(images, dtype=np.float32), axes=(-2, -1))
    spectrum *= ring_gain_image(gain, box)
    return np.asarray(scipy.fft.irfft2(spectrum, s=(box, box), axes=(-2, -1), overwrite_x=True))


def bandpass(
    box: int,
    pixel_size_angstrom: float,
    lowpass_angstrom: float | None = None,
    highpass_angstrom: float | None = None,
) -> NDArray[np.float64]:
    """Return the gain per ring of a band-pass with raised-cosine edges of `EDGE_RINGS` rings.

    Parameters
    ----------
    box
        Side L of the images in pixels.
    pixel_size_angstrom
        Pixel size in A.
    lowpass_angstrom, highpass_angstrom
        Resolutions in A where the gain is one half; None leaves that side open. A high-pass also removes the mean.

    Returns
    -------
    NDArray
        float64, shape (L // 2 + 1,), values in [0, 1].
    """
    ring = np.arange(box // 2 + 1, dtype=np.float64)
    gain = np.ones_like(ring)
    length = box * pixel_size_angstrom
    for resolution, sign in ((lowpass_angstrom, 1.0), (highpass_angstrom, -1.0)):
        if resolution is None:
            continue
        if not resolution > 0:
            raise ValueError(f"a resolution must be positive, not {resolution}")
        beyond = sign * (ring - length / resolution) / EDGE_RINGS
        gain *= 0.5 + 0.5 * np.cos(np.pi * np.clip(beyond + 0.5, 0.0, 1.0))
    if highpass_angstrom is not None:
        gain[0] = 0.0
    return gain


def fourier_resize(images: NDArray[np.floating], new_box: int) -> NDArray[np.float32]:
    """Resample images to another number of pixels over the same field of view.

    The content at the centre pixel L // 2 comes to the new centre pixel, the mean is kept, and going to a larger box
    and back changes nothing.

    Parameters
    ----------
    images
        Shape (..., L, L).
    new_box
        New side in pixels.

    Returns
    -------
    NDArray
        float32, shape (..., new_box, new_box).
    """
    from scipy.signal import resample  # slow to import, rarely needed

    box = images.shape[-1]
    pixels = np.asarray(images, dtype=np.float32)
    if new_box == box:
        return pixels.copy()
    pixels = np.roll(pixels, (-(box // 2),) * 2, (-2, -1))
    pixels = resample(resample(pixels, new_box, axis=-1), new_box, axis=-2)
    return np.asarray(np.roll(pixels, (new_box // 2,) * 2, (-2, -1)), dtype=np.float32)


def match_geometry(
    images: NDArray[np.float32], pixel_size_from: float, box: int, pixel_size_to: float
) -> NDArray[np.float32]:
    """Bring images to another box and pixel size (A), keeping the content at the centre pixel.

    The field of view is cropped or padded with the border's mean to the nearest whole pixel, then resampled in
    Fourier space; what the whole pixel left of the scale is made up by magnifying about the centre.
    """
    source = images.shape[-1]
    if same_geometry(source, pixel_size_from, box, pixel_size_to):
        return np.asarray(images, dtype=np.float32)
    wanted = round(box * pixel_size_to / pixel_size_from)
    if wanted < 4:
        raise InputError("the images are too coarse for this box", value=f"{pixel_size_from:g} A/px")
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1).mean(axis=1)
    resized = fourier_resize(reframe(images, wanted, border), box)
    scale = wanted * pixel_size_from / (box * pixel_size_to)
    return resized if abs(scale - 1) < SAME_GEOMETRY else magnified(resized, scale)


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
    return box_from == box and abs(pixel_size_from / pixel_size_to - 1) < SAME_GEOMETRY


@kernel(nogil=True)
def _ring_sums(flat, ring, weight, sums):  # type: ignore[no-untyped-def]
    for i in range(flat.shape[0]):
        for p in range(flat.shape[1]):
            sums[i, ring[p]] += weight[p] * flat[i, p]
