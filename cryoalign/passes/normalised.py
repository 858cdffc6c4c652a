"""Images as passes compare and add them: hot pixels replaced, plane, level and scale of the background taken off.

What is on disk stays as it was, and so do poses and origins: normalising is a matter of reading. A sample of the images
tells how their backgrounds are spread, by medians that a few odd ones cannot move; an image far from all others in
scale, level or largest value stands out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.background import Background, normalise
from cryoalign.core.errors import InputError
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.source import ImageSource
from cryoalign.core.tiles import TILE, map_tiles
from cryoalign.io.stacks import bad_images
from cryoalign.passes.bad_rows import CONSTANT_BACKGROUND, LOOK, STANDS_OUT, WHERE_IT_STANDS_OUT, reason_code

SAMPLE_ROWS = 1000
"""Images whose backgrounds are looked at first, at most."""
STANDS_OUT_Z = 8.0
"""Robust standard deviations from the median of the stack beyond which an image stands out."""
_NOISELESS = 0.1
"""Below this share of the deviation inside the mask there is no noise outside it: projections, averages, masked images.
Their background is no measure of anything, and they are read as they are."""
_LEAST_SPREAD = {"deviation": 0.08, "level": 0.25, "largest": 0.08}
"""Stacks that were normalised have hardly any spread: a deviation off by 8 % is no fault."""


@dataclass(frozen=True)
class Spread:
    """Median and robust standard deviation of something over a stack."""

    median: float
    deviation: float

    @classmethod
    def of(cls, values: NDArray[np.float64], least: float) -> Spread:
        """Return the spread of values, and at least so much."""
        median = float(np.median(values))
        return cls(median, max(1.4826 * float(np.median(np.abs(values - median))), least))

    def z(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how many deviations values differ from the median."""
        return np.asarray((values - self.median) / self.deviation)


@dataclass(frozen=True)
class StackBackground:
    """The backgrounds of a stack.

    Parameters
    ----------
    has_noise
        Whether there is noise outside the mask, by which images can be normalised.
    scale
        Median standard deviation outside the mask, in units of the pixels.
    spreads
        Of the logarithm of the deviation, the level in units of ``scale``, and the logarithm of the largest value.
    """

    has_noise: bool
    scale: float = 1.0
    spreads: tuple[Spread, ...] = ()

    @classmethod
    def of(cls, found: Background) -> StackBackground:
        """Sum up what was found in a sample; images that cannot be used say nothing."""
        usable = np.isfinite(found.deviation) & ((found.deviation > 0) | (found.inside > 0))
        if not usable.any():
            return cls(has_noise=False)
        scale = float(np.median(found.deviation[usable]))
        if not scale > _NOISELESS * float(np.median(found.inside[usable])):
            return cls(has_noise=False)
        noisy = usable & (found.deviation > 0)
        return cls(True, scale, tuple(
            Spread.of(values[noisy], least)
            for values, least in zip(_seen(found, scale), _LEAST_SPREAD.values(), strict=True)
        ))  # fmt: skip

    def z(self, found: Background) -> NDArray[np.float64]:
        """Return by how much images stand out in each of ``WHERE_IT_STANDS_OUT``, (3, n); 0 where that is unknown."""
        z = np.stack([spread.z(v) for spread, v in zip(self.spreads, _seen(found, self.scale), strict=True)])
        return np.where(np.isfinite(z), np.abs(z), 0.0)


def _seen(found: Background, scale: float) -> tuple[NDArray[np.float64], ...]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(found.deviation / scale), found.mean / scale, np.log(found.largest)


class NormalisedSource:
    """The images of a source, normalised as they are read.

    Parameters
    ----------
    raw
        The images as they are, of one geometry.
    diameter_px
        Diameter of the particle's mask in pixels.
    skip
        Leave out images that stand out.
    threads
        With which the sample is looked at; they change nothing.
    """

    def __init__(self, raw: ImageSource, diameter_px: float, *, skip: bool = False, threads: int = 1) -> None:
        self.raw = raw
        self._diameter_px, self._skip, self._threads = diameter_px, skip, threads

    @property
    def box(self) -> int:
        """Side of the square images, in pixels."""
        return self.raw.box

    def __len__(self) -> int:
        """Count the images."""
        return len(self.raw)

    @cached_property
    def stack(self) -> StackBackground:
        """What the backgrounds are like, by a sample that is read on the first call."""
        rows = evenly_spread(SAMPLE_ROWS, len(self))
        tiles = [rows[start : start + TILE] for start in range(0, len(rows), TILE)]
        try:
            looks = list(map_tiles(self._look_at_sample, tiles, self._threads))
        except InputError:  # the mask leaves no background
            return StackBackground(has_noise=False)
        return StackBackground.of(Background.joined(looks))

    def _look_at_sample(self, rows: NDArray[np.int64]) -> Background:
        return normalise(self.raw.read(rows), self._diameter_px, in_place=True)[1]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the normalised images of the given 0-based rows, float32 of shape (len(rows), box, box)."""
        return self.look(self.raw.read(rows), in_place=True)[0]

    def look(self, raw: NDArray[np.float32], *, in_place: bool = False) -> tuple[NDArray[np.float32], NDArray]:
        """Normalise images as read (n, box, box); return them, and what was seen, ``LOOK`` (n,).

        Those that cannot be used stay as they are. ``in_place`` overwrites what was read.
        """
        if not self.stack.has_noise:
            return raw, look_at(raw)
        images, found = normalise(raw, self._diameter_px, in_place=in_place)
        look = np.zeros(len(raw), LOOK)
        look["hot_pixels"] = found.hot_pixels
        z = self.stack.z(found)
        worst = z.argmax(axis=0)
        look["z"] = z.max(axis=0)
        out = look["z"] > STANDS_OUT_Z
        look["stands_out"][out] = worst[out] + 1
        if self._skip:
            look["reason"][out] = STANDS_OUT + worst[out]
        flat = np.flatnonzero(~(found.deviation > 0))
        if len(flat):
            look[flat] = look_at(raw[flat])
            constant = flat[look["reason"][flat] == 0]
            look["reason"][constant] = CONSTANT_BACKGROUND
        return images, look


def normalised_or_refused(images: NDArray[np.float32], diameter_px: float) -> NDArray[np.float32]:
    """Normalise images (n, L, L) that are to be written so.

    Raises
    ------
    InputError
        If the background of an image is constant; the row counts from 1 within ``images``.
    """
    result, found = normalise(images, diameter_px)
    flawed = np.flatnonzero(~(found.deviation > 0))
    if len(flawed):
        raise InputError(
            "the background is constant or not finite: it cannot be normalised", row=int(flawed[0]) + 1,
            hint="use a smaller mask diameter if the particles were masked before",
        )  # fmt: skip
    return result


def look_at(images: NDArray[np.float32]) -> NDArray:
    """Return what is seen of images that are used as they are, ``LOOK`` (n,)."""
    look = np.zeros(len(images), LOOK)
    for index, reason in bad_images(images):
        look["reason"][index] = reason_code(reason)
    return look


assert len(_LEAST_SPREAD) == len(WHERE_IT_STANDS_OUT)
