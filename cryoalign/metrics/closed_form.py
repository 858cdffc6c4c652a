"""Squared differences and correlations by the core: all shifts and rotations by GEMM, then Newton.

|reference - moved|^2 = |reference|^2 + |image|^2 - 2 <reference, moved>, and turning and shifting keep |image|^2, so
that the best pose is that of the cross-correlation: the peak that :mod:`cryoalign.core.search` finds and refines by
Newton's method. The value is then taken from the pixels inside the mask, at that pose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.masks import background_region, background_statistics, soft_disc
from cryoalign.core.poses import Poses
from cryoalign.core.search import Searcher, SearchSettings, plan_search
from cryoalign.core.tiles import TILE
from cryoalign.metrics.measure import PairTable, SearchLimits, chosen_translation
from cryoalign.metrics.pixel_measure import PixelFeatures, PixelMeasure

_EDGE_PX = 3.0


class ClosedFormMeasure(PixelMeasure):
    """A measure of pixels whose best pose is the peak of the cross-correlation."""

    def pairs(
        self, references: PixelFeatures, images: PixelFeatures, limits: SearchLimits
    ) -> tuple[PairTable, NDArray[np.float64]]:
        """Search every reference on its own, so that each pair has its pose."""
        if chosen_translation(self, limits) == "none":
            limits = replace(limits, max_shift_px=0.0)
        table, runner_up = PairTable.empty(len(references), len(images)), np.zeros((len(references), len(images)))
        radius = references.background.radius(references.box)
        sources = without_background(references.images, radius) * soft_disc(references.box, 2 * radius, _EDGE_PX)
        flat = np.ones((1, references.box // 2 + 1))
        settings = SearchSettings(limits.max_shift_px, radius, mirror=limits.mirror)
        level = images.level(images.box)
        for a in range(len(references)):
            searcher = Searcher(plan_search(sources[a : a + 1], flat, settings))
            share = np.ones(len(images))
            for first in range(0, len(images), TILE):
                rows = np.arange(first, min(first + TILE, len(images)))
                moving = without_background(images.images[rows], radius)
                found = searcher.search(moving, psi_window=_windows(limits, rows))
                table.psi_deg[a, rows], table.mirror[a, rows] = found.poses.psi, found.poses.mirror
                table.dx[a, rows], table.dy[a, rows] = found.poses.dx, found.poses.dy
                lost = found.margin / np.maximum(found.score, 1e-300)
                share[rows] = np.where(found.score > 0, np.clip(1.0 - lost, 0.0, 1.0), 1.0)
            poses = Poses(table.psi_deg[a], table.dx[a], table.dy[a], table.mirror[a])
            table.value[a] = self.values_at(references, a, images, np.arange(len(images)), poses)
            runner_up[a] = self.at_lower_peak(
                table.value[a],
                share,
                references.level(references.box).statistics[a],
                level.statistics,
                len(level.inside),
            )
        return table, runner_up

    def at_lower_peak(
        self,
        value: NDArray[np.float64],
        share: NDArray[np.float64],
        reference: NDArray[np.float64],
        images: NDArray[np.float64],
        pixels: int,
    ) -> NDArray[np.float64]:
        """Return the value where the correlation is but a share of that at the best pose.

        Parameters
        ----------
        value, share
            At the best pose, and the correlation of the best other peak over that of the best, (n,).
        reference, images
            Mean, standard deviation and noise inside the mask, (3,) and (n, 3).
        pixels
            Of the mask.
        """
        raise NotImplementedError


def without_background(images: NDArray[np.float32], radius_px: float) -> NDArray[np.float32]:
    """Take the mean outside the disc off each image: a level would leak into the first rings."""
    level, _ = background_statistics(images, background_region(images.shape[-1], 2 * radius_px))
    return np.asarray(images - level[:, None, None].astype(np.float32), dtype=np.float32)


def _windows(limits: SearchLimits, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    if limits.window(int(rows[0])) is None:
        return None
    centre = np.asarray(limits.psi_centre_deg, dtype=np.float64)[rows]
    return centre[:, None] + np.array([-1.0, 1.0]) * float(limits.psi_half_width_deg or 0.0)
