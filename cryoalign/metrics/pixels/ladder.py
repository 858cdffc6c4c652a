"""The ladder that a measure without a closed form climbs: a sparse grid at a low band, then descent, band by band.

Every pair gets the few best peaks of the grid (:mod:`cryoalign.metrics.pixels.sparse_grid`); at each level of the
pyramid they go downhill on the measure itself, and the worse ones are left behind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.core.tiles import TILE
from cryoalign.metrics.measure import APART_DEG, PairTable, SearchLimits
from cryoalign.metrics.pixels.climb import Climbers, climb
from cryoalign.metrics.pixels.masked_pixels import MaskedPixels, masked
from cryoalign.metrics.pixels.moving import MovingImages
from cryoalign.metrics.pixels.pixel_measure import PixelFeatures, PixelMeasure
from cryoalign.metrics.pixels.pyramid import Level, band_boxes
from cryoalign.metrics.pixels.sparse_grid import PoseGrid, best_peaks, pose_grid, shifted_images, turned_references

PEAKS = 6
"""Peaks of the grid that go downhill at the lowest band."""
KEPT = 3
"""Of these, how many are followed to the next one; one of them is turned by more than 10 degrees if any is."""


class LadderMeasure(PixelMeasure):
    """A measure of pixels whose poses are found by the ladder."""

    cost = "a grid of all angles and shifts at a low band, then descents"
    filters = True

    def grid(self, turned: MaskedPixels, shifted: MaskedPixels) -> NDArray[np.float64]:
        """Compare every turned copy of a reference with every shifted copy of an image, float64 (A, columns)."""
        rows = []
        for a in range(len(turned.pixels)):
            one = MaskedPixels(turned.pixels[a : a + 1], turned.statistics[a : a + 1], turned.box, turned.inside)
            rows.append(self.compare(one, shifted)[0])
        return np.stack(rows)

    def pairs(
        self, references: PixelFeatures, images: PixelFeatures, limits: SearchLimits, *, margins: bool
    ) -> tuple[PairTable, NDArray[np.float64]]:
        """Climb for every pair, tile by tile of the images."""
        if self.shifts_by(limits) == "none":
            limits = replace(limits, max_shift_px=0.0)
        table, runner_up = PairTable.empty(len(references), len(images)), np.zeros((len(references), len(images)))
        boxes = band_boxes(images.box)
        low = references.level(boxes[0])
        grid = pose_grid(low, limits)
        sign = 1.0 if self.lower_is_better else -1.0
        turned = references.once("turned", lambda: [_turned_copies(low, a, grid) for a in range(len(references))])
        for first in range(0, len(images), TILE):
            rows = np.arange(first, min(first + TILE, len(images)))
            tile = images.take(rows)
            moving = [MovingImages(tile.level(box)) for box in boxes]
            shifted = [_shifted(tile.level(boxes[0]), i, grid) for i in range(len(rows))]
            windows = limits.windows(rows)
            window_of = [None] * len(rows) if windows is None else [(centre, windows[1]) for centre in windows[0]]
            for a in range(len(references)):
                peaks = [
                    best_peaks(sign * self.grid(turned[a], shifted[i]), grid, PEAKS, window_of[i])
                    for i in range(len(rows))
                ]
                climbers = _start(peaks)
                for number, (box, images_at) in enumerate(zip(boxes, moving, strict=True)):
                    if number:
                        climbers = _fittest(climbers)
                    climb(self, climbers, references.level(box), a, images_at, limits.max_shift_px, windows)
                _write(table, runner_up, a, rows, climbers)
                if margins:
                    self._at_ten_degrees(references, a, tile, table, runner_up, rows)
        return replace(table, value=sign * table.value), sign * runner_up

    def _at_ten_degrees(
        self,
        references: PixelFeatures,
        row: int,
        tile: PixelFeatures,
        table: PairTable,
        runner_up: NDArray[np.float64],
        rows: NDArray[np.int64],
    ) -> None:
        """Let the same pose turned by ten degrees either way be a runner-up too: there may be no other peak."""
        sign, best = 1.0 if self.lower_is_better else -1.0, table.poses((row, rows))
        for turn in (-APART_DEG, APART_DEG):
            turned = Poses(best.psi + turn, best.dx, best.dy, best.mirror)
            value = self.values_at(references, row, tile, np.arange(len(rows)), turned)
            runner_up[row, rows] = np.minimum(runner_up[row, rows], sign * value)


def _turned_copies(level: Level, row: int, grid: PoseGrid) -> MaskedPixels:
    return masked(turned_references(level, row, grid), level, np.full(len(grid.psi_deg), row))


def _shifted(level: Level, row: int, grid: PoseGrid) -> MaskedPixels:
    pixels = shifted_images(level, row, grid)
    return masked(pixels, level, np.full(len(pixels), row))


def _start(peaks: list[Poses]) -> Climbers:
    image = np.repeat(np.arange(len(peaks)), [len(p) for p in peaks])
    poses = Poses.concatenate(peaks)
    pose = np.stack([poses.psi, poses.dx, poses.dy], axis=1)
    return Climbers(image, pose, poses.mirror, np.zeros(len(image)))


def _fittest(climbers: Climbers) -> Climbers:
    """Keep the best of each image, peaks that met counted once, and the best that is turned away from the first."""
    kept: list[int] = []
    for image in np.unique(climbers.image):
        mine = np.flatnonzero(climbers.image == image)
        mine = mine[np.argsort(climbers.cost[mine], kind="stable")]
        chosen: list[int] = []
        for i in mine.tolist():
            if all(_distinct(climbers, i, j) for j in chosen):
                chosen.append(i)
        apart = [i for i in chosen if _turned(climbers, i, chosen[0])]
        few = chosen[:KEPT]
        if apart and apart[0] not in few:
            few = [*few[:-1], apart[0]]
        kept.extend(few)
    return climbers.take(np.array(kept, np.int64))


def _distinct(climbers: Climbers, i: int, j: int) -> bool:
    turn = abs(float(wrap_degrees(climbers.pose[i, 0] - climbers.pose[j, 0])))
    shift = float(np.hypot(*(climbers.pose[i, 1:] - climbers.pose[j, 1:])))
    return bool(climbers.mirror[i] != climbers.mirror[j]) or turn > 1.0 or shift > 0.5


def _turned(climbers: Climbers, i: int, j: int) -> bool:
    turn = abs(float(wrap_degrees(climbers.pose[i, 0] - climbers.pose[j, 0])))
    return bool(climbers.mirror[i] != climbers.mirror[j]) or turn > APART_DEG


def _write(
    table: PairTable, runner_up: NDArray[np.float64], a: int, rows: NDArray[np.int64], climbers: Climbers
) -> None:
    """Write the best of each image, and the cost of the best that is turned away from it."""
    for number, row in enumerate(rows):
        mine = np.flatnonzero(climbers.image == number)
        best = int(mine[np.argmin(climbers.cost[mine])])
        table.value[a, row] = climbers.cost[best]
        table.psi[a, row] = wrap_degrees(climbers.pose[best, 0])
        table.dx[a, row], table.dy[a, row] = climbers.pose[best, 1:]
        table.mirror[a, row] = climbers.mirror[best]
        others = [climbers.cost[i] for i in mine.tolist() if _turned(climbers, i, best)]
        runner_up[a, row] = min(others, default=np.inf)
