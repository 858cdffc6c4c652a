"""The first look at the images of one geometry: some of them, read once for everybody who asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.core.errors import InputError
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.masks import background_statistics
from cryoalign.core.noise import masked_power, noise_of_ring_power
from cryoalign.core.source import ImageSource
from cryoalign.core.tiles import TILE, map_tiles
from cryoalign.io.stacks import usable

SAMPLE_ROWS = 2000
"""Images that are looked at, at most, for each noise group and for the unit of sums."""
_CLEAN = 1e-3
"""Noise is taken to be at least this share of the images' mean power: cleaner data would divide by nothing."""
_NOTHING_USABLE = "no usable image among the particles"


class Sample:
    """What is known of some images; an image that was looked at is not read again for its variance.

    Parameters
    ----------
    source
        The images of one geometry, all that the table holds: a subset could fall on the other side of a power of two.
    threads
        Change nothing but the time.
    """

    def __init__(self, source: ImageSource, threads: int = 1) -> None:
        self._source, self._threads = source, threads
        self._everywhere = np.ones((source.box, source.box), bool)
        self._variance: dict[int, float] = {}  # NaN where the image cannot be used

    def noise_power(self, members: Sequence[NDArray[np.int64]], mask_diameter_px: float) -> NDArray[np.float64]:
        """Return the noise power of each group of rows, (groups, box // 2 + 1), and at least a share of all power.

        Raises
        ------
        InputError
            If no image of the sample can be used, or the mask leaves no background.
        """
        box, looked_at = self._source.box, []
        noise = np.zeros((len(members), box // 2 + 1))
        for index, group in enumerate(members):
            rows = group[evenly_spread(SAMPLE_ROWS, len(group))]
            looked_at += rows.tolist()
            tiles = self._look(rows, lambda images: masked_power(images, mask_diameter_px))
            # Nothing outside the mask, of noiseless projections or particles that were masked before, is no noise.
            with suppress(InputError):
                noise[index] = noise_of_ring_power(tiles, box, mask_diameter_px)
        return np.maximum(noise, _CLEAN * self._mean_variance(looked_at))

    def sum_scale(self) -> float:
        """Return the fixed-point scale of sums of these images, one rule, so that all commands add in the same unit.

        Raises
        ------
        InputError
            If no image of the sample can be used.
        """
        rows = evenly_spread(SAMPLE_ROWS, len(self._source))
        unknown = np.array([row for row in rows.tolist() if row not in self._variance], np.int64)
        self._look(unknown, None)
        return fixed_point_scale(float(np.sqrt(self._mean_variance(rows.tolist()))))

    def _look(self, rows: NDArray[np.int64], measure: Callable[[NDArray], NDArray] | None) -> list[NDArray]:
        """Read images, note their variance, and return what is measured of the usable ones, by tiles of 64."""

        def look(some: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray | None]:
            images, variance = self._source.read(some), np.full(len(some), np.nan)
            good = usable(images)
            images = images[good]
            variance[good] = background_statistics(images, self._everywhere)[1] ** 2
            return variance, None if measure is None or not len(images) else measure(images)

        tiles = [rows[start : start + TILE] for start in range(0, len(rows), TILE)]
        found = []
        looks = map_tiles(look, tiles, min(self._threads, len(tiles)))
        for some, (variance, measured) in zip(tiles, looks, strict=True):
            self._variance |= dict(zip(some.tolist(), variance.tolist(), strict=True))
            if measured is not None:
                found.append(measured)
        return found

    def _mean_variance(self, rows: Sequence[int]) -> float:
        found = [value for value in (self._variance[row] for row in rows) if value == value]
        if not found:
            raise InputError(_NOTHING_USABLE)
        return float(np.mean(found))
