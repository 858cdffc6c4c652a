"""Squared differences and correlations by the core: all shifts and rotations by GEMM, then Newton.

|reference - moved|^2 = |reference|^2 + |image|^2 - 2 <reference, moved>, and turning and shifting keep |image|^2, so
that the best pose is that of the cross-correlation: the peak that :mod:`cryoalign.core.search.search` finds and
refines by Newton's method. Where nothing is shifted, one FFT over the angle finds it
(:mod:`cryoalign.metrics.sliced.polar_rotation`). The value is then taken from the pixels inside the mask, at that pose.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.masks import background_region, background_statistics, soft_disc
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.search import Searcher, SearchSettings, plan_search
from cryoalign.core.tiles import TILE
from cryoalign.metrics.measure import APART_DEG, PairTable, SearchLimits
from cryoalign.metrics.pair_search import lowest, next_lowest, search_curves
from cryoalign.metrics.pixels.pixel_measure import PixelFeatures, PixelMeasure
from cryoalign.metrics.sliced.angle_curve import Harmonics
from cryoalign.metrics.sliced.polar_rotation import polar_harmonics, rotation_curves

_EDGE_PX = 3.0
_PLANS_KEPT = 64  # references whose search plans are kept for the next images


class Lost(NamedTuple):
    """What is lost from the best pose of n images to a lower peak.

    Parameters
    ----------
    mean_square
        By how much the mean squared difference is larger there, (n,).
    contrast
        Standard deviation inside the mask, of the reference times that of each image, (n,).
    pixels
        Of the mask.
    """

    mean_square: NDArray[np.float64]
    contrast: NDArray[np.float64]
    pixels: int

    @property
    def normalised(self) -> NDArray[np.float64]:
        """Return the mean square in units of either contrast, (n,)."""
        return np.asarray(self.mean_square / np.maximum(self.contrast, 1e-300))


class ClosedFormMeasure(PixelMeasure):
    """A measure of pixels whose best pose is the peak of the cross-correlation."""

    cost = "without shifts one FFT over the angle and a resampling, with shifts a search by the core for each reference"
    pair_ms = 1.8

    def pairs(
        self, references: PixelFeatures, images: PixelFeatures, limits: SearchLimits, *, margins: bool
    ) -> tuple[PairTable, NDArray[np.float64]]:
        """Search every reference on its own, so that each pair has its pose."""
        if self.shifts_by(limits) == "none":
            table, lost = _by_rotation(references, images, limits, margins)
        else:
            table = _by_core(references, images, limits)
            lost = _at_other_angles(references, images, table) if margins else np.zeros(table.value.shape)
        runner_up = np.empty(table.value.shape)
        everyone, known = np.arange(len(images)), images.level(images.box)
        for a in range(len(references)):
            table.value[a] = self.values_at(references, a, images, everyone, table.poses(a))
            contrast = references.level(references.box).statistics[a, 1] * known.statistics[:, 1]
            pixels = len(known.inside)
            runner_up[a] = self.at_lower_peak(table.value[a], Lost(lost[a] / pixels, contrast, pixels))
        return table, runner_up

    @abstractmethod
    def at_lower_peak(self, value: NDArray[np.float64], lost: Lost) -> NDArray[np.float64]:
        """Return the value where the mean squared difference is worse than at the best pose.

        Parameters
        ----------
        value
            At the best pose, (n,).
        lost
            Between the best pose and the best other peak.
        """


def _by_core(references: PixelFeatures, images: PixelFeatures, limits: SearchLimits) -> PairTable:
    """Find poses by the core, which has none where no peak of the cross-correlation is above 0."""
    table = PairTable.empty(len(references), len(images))
    positive = np.ones(table.value.shape, bool)
    flat, radius = np.ones((1, references.box // 2 + 1)), references.background.radius(references.box)
    settings = SearchSettings(limits.max_shift_px, radius, mirror=limits.mirror)
    moving = images.once("level", lambda: without_background(images.images, images.background.radius(images.box)))
    for a in range(len(references)):
        source = references.once("masked", lambda: _masked(references))[a : a + 1]
        make = partial(plan_search, source, flat, settings)
        few = len(references) <= _PLANS_KEPT
        searcher = Searcher(references.once((a, limits.max_shift_px, limits.mirror), make) if few else make())
        for first in range(0, len(images), TILE):
            rows = np.arange(first, min(first + TILE, len(images)))
            found = searcher.search(moving[rows], psi_window=_windows(limits, rows))
            table.psi[a, rows], table.mirror[a, rows] = found.poses.psi, found.poses.mirror
            table.dx[a, rows], table.dy[a, rows] = found.poses.dx, found.poses.dy
            positive[a, rows] = found.score > 0
    return replace(table, found=positive)


def _at_other_angles(references: PixelFeatures, images: PixelFeatures, table: PairTable) -> NDArray[np.float64]:
    """Return what the best other angle adds to the sum of squares of the aligned images of the first reference."""
    aligned = PixelFeatures(resample(images.images, table.poses(0)), images.background)
    still = SearchLimits(psi_centre_deg=np.zeros(len(images)), psi_half_width_deg=0.5 * APART_DEG)
    fixed, moved = (_polar(features) for features in (references.take(np.arange(1)), aligned))
    lost = np.zeros(table.value.shape)
    for rows, curve in rotation_curves(fixed, moved):
        psi, value = lowest(curve[0], still, rows)
        lost[0, rows] = next_lowest(curve[0], psi, SearchLimits(), rows) - value
    return np.maximum(lost, 0.0) * fixed.values.shape[-1]


def _by_rotation(
    references: PixelFeatures, images: PixelFeatures, limits: SearchLimits, margins: bool
) -> tuple[PairTable, NDArray[np.float64]]:
    """Find angles alone; also what the best other peak adds to the sum of squares, (a, b), where margins are wanted."""
    fixed, moving = (f.once("polar", partial(_polar, f)) for f in (references, images))
    table, other = search_curves(
        lambda mirror: rotation_curves(fixed, moving.mirrored() if mirror else moving),
        len(fixed), len(moving), limits, margins=margins,
    )  # fmt: skip
    lost = np.zeros(table.value.shape)
    if margins:
        lost = np.maximum(other - table.value, 0.0) * fixed.values.shape[-1]
    # |r - m|^2 < |r|^2 + |m|^2 where the two correlate.
    correlates = table.value < fixed.energy[:, None] + moving.energy
    return replace(table, found=correlates), lost


def _polar(features: PixelFeatures) -> Harmonics:
    return polar_harmonics(_masked(features))


def _masked(features: PixelFeatures) -> NDArray[np.float32]:
    """Take the background off images and mask them softly."""
    radius = features.background.radius(features.box)
    disc = soft_disc(features.box, 2 * radius, _EDGE_PX)
    return np.asarray(without_background(features.images, radius) * disc, dtype=np.float32)


def without_background(images: NDArray[np.float32], radius_px: float) -> NDArray[np.float32]:
    """Take the mean outside the disc off each image: a level would leak into the first rings."""
    level, _ = background_statistics(images, background_region(images.shape[-1], 2 * radius_px))
    return np.asarray(images - level[:, None, None].astype(np.float32), dtype=np.float32)


def _windows(limits: SearchLimits, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    window = limits.windows(rows)
    return None if window is None else window[0][:, None] + np.array([-1.0, 1.0]) * window[1]
