"""The same images at a few band limits, coarse to fine: what a search climbs.

A level is a crop of the Fourier plane (:func:`cryoalign.core.filters.fourier_resize`): a smaller box over the same
field of view, without the rings that would make many false peaks. Image pyramids: P. Thevenaz, U. E. Ruttimann,
M. Unser, "A pyramid approach to subpixel registration based on intensity", IEEE Trans. Image Process. 7 (1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.filters import fourier_resize
from cryoalign.core.masks import centre_offsets

LOWEST_BOX = 24
"""Side of the coarsest level, in its pixels: twelve rings."""
_STEP = 2.0
_WHOLE = 0.7  # a level this close to the images themselves is not worth its time
_FEWEST = 16  # pixels outside the mask that say something of the noise
_MAD = 1.4826  # standard deviations of a Gaussian per median absolute deviation


@dataclass(frozen=True, eq=False)
class Level:
    """Images at one band limit.

    Parameters
    ----------
    images
        Float32 (n, l, l).
    scale
        Pixels of the raw images per pixel of the level.
    inside
        Pixels of the mask in the flattened image, int64 (P,).
    statistics
        Of each image: mean and standard deviation inside the mask, standard deviation of the noise; float64 (n, 3).
    """

    images: NDArray[np.float32]
    scale: float
    inside: NDArray[np.int64]
    statistics: NDArray[np.float64]

    @property
    def box(self) -> int:
        """Side in pixels of the level."""
        return self.images.shape[-1]


def band_boxes(box: int) -> list[int]:
    """Return the sides of the levels, coarse to fine, the last the box itself."""
    boxes, side = [], float(LOWEST_BOX)
    while side < _WHOLE * box:
        boxes.append(round(side))
        side *= _STEP
    return [*boxes, box]


@lru_cache(maxsize=32)
def disc_pixels(box: int, radius_px: float) -> NDArray[np.int64]:
    """Return the flattened places of the pixels within a radius of the centre, int64; not to be written to."""
    x, y = centre_offsets(box)
    inside = np.flatnonzero((x**2 + y**2 <= radius_px**2).ravel())
    inside.setflags(write=False)
    return np.asarray(inside)


def level_of(
    images: NDArray[np.float32], box: int, radius_px: float, noise_power: NDArray[np.float64] | None = None
) -> Level:
    """Bring images to one level.

    Parameters
    ----------
    images
        Float32 (n, L, L).
    box
        Side of the level in pixels.
    radius_px
        Of the mask, in pixels of the images.
    noise_power
        Noise power per ring in each image, float64 (n, L // 2 + 1); None = measured outside the mask.
    """
    whole = images.shape[-1]
    small = np.ascontiguousarray(images, dtype=np.float32)
    if box != whole:
        # Image by image: a transform of a batch may round otherwise.
        small = np.stack([fourier_resize(image, box) for image in small]) if len(images) else small[:, :box, :box]
    inside = disc_pixels(box, radius_px * box / whole)
    statistics = np.empty((len(small), 3))
    outside = np.ones(box * box, bool)
    outside[inside] = False
    background = np.count_nonzero(outside) >= _FEWEST
    rings = None if noise_power is None else np.minimum(_rings_of(box), whole // 2)
    for i, pixels in enumerate(small.reshape(len(small), -1)):
        masked = pixels[inside].astype(np.float64)
        statistics[i] = masked.mean(), masked.std(), 0.0
        if noise_power is not None:
            # Power of the frequencies that the crop keeps, over L^2.
            statistics[i, 2] = np.sqrt(noise_power[i, rings].sum()) / whole
        elif background:
            beyond = pixels[outside]
            statistics[i, 2] = _MAD * np.median(np.abs(beyond - np.median(beyond)))
    return Level(small, whole / box, inside, statistics)


def _rings_of(box: int) -> NDArray[np.int64]:
    """Return the ring of every frequency of the whole plane, flattened."""
    k = np.fft.fftfreq(box, 1.0 / box)
    return np.asarray(np.floor(np.hypot(k[:, None], k) + 0.5).astype(np.int64).ravel())
