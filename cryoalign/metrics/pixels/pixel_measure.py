"""What all measures of pixels share: one disc of the reference, the image moved once, and two ways to find its pose.

A measure of pixels says what two lists of masked pixels are worth and how that changes with the moving ones
(``compare``). :mod:`cryoalign.metrics.pixels.ladder` and :mod:`cryoalign.metrics.pixels.closed_form` search poses with
it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.metrics.measure import Matches, Measure, PairTable, Preparation, SearchLimits
from cryoalign.metrics.pair_search import best_matches
from cryoalign.metrics.pixels.climb import Climbers, climb
from cryoalign.metrics.pixels.masked_pixels import Compared, MaskedPixels, masked, reference_pixels
from cryoalign.metrics.pixels.moving import MovingImages
from cryoalign.metrics.pixels.pyramid import Level, level_of
from cryoalign.metrics.pixels.wiener import wiener_filtered

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PixelFeatures:
    """Images ready to be compared; levels are made when they are first asked for.

    Parameters
    ----------
    images
        Float32 (n, L, L), raw or filtered.
    background
        Mask and noise of the raw images.
    noise_power
        Noise power per ring in each of the images, float64 (n, L // 2 + 1); None = not known.
    """

    images: NDArray[np.float32]
    background: Preparation
    noise_power: NDArray[np.float64] | None = None
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    @property
    def box(self) -> int:
        """Side of the images in pixels."""
        return self.images.shape[-1]

    def level(self, box: int) -> Level:
        """Return the images at a level of the pyramid."""
        radius = self.background.radius(self.box)
        return self.once(("level", box), lambda: level_of(self.images, box, radius, self.noise_power))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` makes, made at the first call with this key: references meet many tiles of images."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def take(self, rows: NDArray[np.int64]) -> PixelFeatures:
        """Return some of the images."""
        noise = None if self.noise_power is None else self.noise_power[rows]
        return PixelFeatures(self.images[rows], self.background, noise)


class PixelMeasure(Measure):
    """A measure of pixels inside the reference's disc."""

    translations = ("grid", "none")

    @abstractmethod
    def compare(self, reference: MaskedPixels, moved: MaskedPixels, *, slopes: bool = False) -> Compared:
        """Return the measure of m moved images against one reference, and its derivatives.

        Parameters
        ----------
        reference
            One image.
        moved
            The m moved images.
        slopes
            Whether the derivatives by every moving pixel are wanted.

        Returns
        -------
        values, slopes
            Float64 (m,); float32 (m, P), or None where they were not wanted.
        """

    @abstractmethod
    def pairs(
        self, references: PixelFeatures, images: PixelFeatures, limits: SearchLimits, *, margins: bool
    ) -> tuple[PairTable, NDArray[np.float64]]:
        """Find the pose of every pair; where margins are wanted, also the value of its best other peak, (a, b)."""

    def prepare(self, images: NDArray[np.float32], background: Preparation) -> PixelFeatures:
        """Filter the images, float32 (n, L, L), where the measure wants it and there is noise; the rest comes later.

        What the search needs besides is made once, when it is first needed.
        """
        images = np.ascontiguousarray(images, dtype=np.float32)
        if images.ndim != 3 or images.shape[1] != images.shape[2]:
            raise ValueError(f"images must have shape (n, L, L), not {images.shape}")
        noise = background.noise_spectrum
        if noise is None:
            return PixelFeatures(images, background)
        if self.filters:
            filtered, left = wiener_filtered(images, noise)
            return PixelFeatures(filtered, background, left)
        return PixelFeatures(images, background, np.broadcast_to(noise, (len(images), len(noise))))

    def search(self, references: PixelFeatures, images: PixelFeatures, limits: SearchLimits) -> Matches:
        """Find the best reference and pose of each image."""
        table, runner_up = self.pairs(references, images, limits, margins=len(references) == 1)
        return best_matches(table, runner_up[0], lower_is_better=self.lower_is_better)

    def table(self, a: PixelFeatures, b: PixelFeatures, limits: SearchLimits) -> PairTable:
        """Compare all pairs."""
        return self.pairs(a, b, limits, margins=False)[0]

    def refine(self, references: PixelFeatures, images: PixelFeatures, poses: Poses, limits: SearchLimits) -> Matches:
        """Go from each image's pose to the nearest optimum, by descent on the measure itself at the full band."""
        start, everyone = np.stack([poses.psi, poses.dx, poses.dy], axis=1), np.arange(len(images))
        best = Climbers(everyone, start, poses.mirror, np.zeros(len(images)))
        moving = MovingImages(images.level(images.box))
        climb(self, best, references.level(references.box), 0, moving, limits.max_shift_px, None)
        found = Poses(wrap_degrees(best.pose[:, 0]), best.pose[:, 1], best.pose[:, 2], poses.mirror)
        value = self.values_at(references, 0, images, everyone, found)
        return Matches(np.zeros(len(images), np.int64), found, value, np.zeros(len(images)))

    def at_poses(self, reference: PixelFeatures, image: PixelFeatures, poses: Poses) -> NDArray[np.float64]:
        """Return the values of one image against one reference at each of m poses, (m,)."""
        return self.values_at(reference, 0, image, np.zeros(len(poses), np.int64), poses)

    def values_at(
        self, references: PixelFeatures, row: int, images: PixelFeatures, rows: NDArray[np.int64], poses: Poses
    ) -> NDArray[np.float64]:
        """Return the values of images, moved by a pose each, against one reference, on the raw pixels."""
        level = images.level(images.box)
        fixed = reference_pixels(references.level(references.box), row)
        moving = MovingImages(level)
        result = np.empty(len(poses))
        for first in range(0, len(poses), 256):
            part = slice(first, first + 256)
            moved = masked(moving.pixels(rows[part], poses.take(np.arange(len(poses))[part])), level, rows[part])
            result[part] = self.compare(fixed, moved)[0]
        return result
