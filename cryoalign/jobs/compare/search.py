"""The best pose of every pair under one measure: images of B in units of fixed rows, which threads share.

A unit prepares its images and searches each reference on its own, so that every pair has its pose and its margin. With
a scale the whole search is done at every scale of a grid, and the best one is refined
(:mod:`cryoalign.jobs.compare.scales`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.magnify import magnified, magnified_power
from cryoalign.core.noise import noise_power
from cryoalign.core.poses import Poses
from cryoalign.core.tiles import RoomyPool
from cryoalign.jobs.compare.geometry import Pairs, Setting
from cryoalign.jobs.compare.scales import ScaleGrid, best_scales, refined
from cryoalign.metrics.measure import Matches, Measure, Preparation
from cryoalign.metrics.sliced.wiener_split import known_of_stack

UNIT = 8
"""Images of B that are prepared together: by rows, whatever the number of threads."""
_NOISE_ROWS = 500


@dataclass(frozen=True, eq=False)
class Found:
    """What one measure says of P pairs.

    Attributes
    ----------
    value, margin
        Float64 (P,): the measure at the best pose, and by how much that is better than another peak.
    poses
        They bring the (magnified) image of B onto that of A.
    scale
        What the image of B is magnified by, about its centre pixel and before anything else; float64 (P,).
    nothing
        Pairs without an answer, bool (P,): nothing correlates, and the image was left where it is.
    """

    value: NDArray[np.float64]
    margin: NDArray[np.float64]
    poses: Poses
    scale: NDArray[np.float64]
    nothing: NDArray[np.bool_]

    @classmethod
    def join(cls, parts: list[Found]) -> Found:
        """Put parts one after another."""
        names = ("value", "margin", "scale", "nothing")
        value, margin, scale, nothing = (np.concatenate([getattr(f, name) for f in parts]) for name in names)
        return cls(value, margin, Poses.concatenate([f.poses for f in parts]), scale, nothing)


def known_of(pixels: NDArray[np.float32], radius_px: float, *, noise: bool) -> Preparation:
    """Return what is known of a set of images: the mask and, outside it, the noise."""
    clean = Preparation(mask_radius_px=radius_px)
    if not noise:
        return clean
    rows = np.unique(np.arange(min(len(pixels), _NOISE_ROWS)) * len(pixels) // min(len(pixels), _NOISE_ROWS))
    try:
        power = noise_power(pixels[rows], 2 * radius_px)
    except InputError:  # nothing but one grey level outside the mask
        return clean
    return known_of_stack(pixels[rows], Preparation(radius_px, power))


def at_scale(known: Preparation, scale: float) -> Preparation:
    """Return what is known of the images once they are magnified."""
    if scale == 1.0 or known.noise_spectrum is None or known.stack_spectrum is None:
        return known
    noise, stack = (magnified_power(power, scale) for power in (known.noise_spectrum, known.stack_spectrum))
    # The mask takes in more or less of the particle: the SNR follows from the spectra.
    return Preparation(known.mask_radius_px, noise, None, stack)


class PairSearch:
    """The search of all pairs under one measure.

    Parameters
    ----------
    measure
        The measure.
    a, b
        Pixels of both sets, float32 (n, L, L).
    known_a, known_b
        From :func:`known_of`.
    setting
        Mask and limits.
    grid
        Scales to try; None = the images as they are.
    """

    def __init__(
        self,
        measure: Measure,
        a: NDArray[np.float32],
        b: NDArray[np.float32],
        known_a: Preparation,
        known_b: Preparation,
        setting: Setting,
        grid: ScaleGrid | None,
    ) -> None:
        self.measure, self.setting, self.grid = measure, setting, grid
        self._a, self._b, self._known_a, self._known_b = a, b, known_a, known_b
        self._references: dict[int, Any] = {}

    def reference(self, row: int) -> Any:
        """Return an image of A, prepared."""
        if row in self._references:
            return self._references[row]
        return self.measure.prepare(self._a[row : row + 1], self._known_a)

    def image(self, row: int, scale: float) -> Any:
        """Return an image of B, magnified and prepared."""
        return self.images(np.array([row]), scale)

    def images(self, rows: NDArray[np.int64], scale: float) -> Any:
        """Return images of B, magnified and prepared."""
        return self.measure.prepare(magnified(self._b[rows], scale), at_scale(self._known_b, scale))

    def run(self, pairs: Pairs, threads: int, done: Callable[[int], None]) -> Found:
        """Search all pairs; ``done`` is told how many are finished."""
        with RoomyPool(threads) as pool:
            if pairs.every or len(self._a) < len(pairs):  # an image of A is needed more than once
                rows = range(len(self._a))
                self._references = dict(zip(rows, pool.map(self.reference, rows), strict=True))
            units = [np.arange(first, min(first + UNIT, len(self._b))) for first in range(0, len(self._b), UNIT)]
            parts = []
            for part in pool.map(lambda rows: self._unit(pairs, rows), units):
                parts.append(part)
                done(len(part.value))
        return Found.join(parts)

    def _unit(self, pairs: Pairs, rows: NDArray[np.int64]) -> Found:
        """Search the pairs of a few images of B, in the order of the pairs."""
        if not pairs.every:
            return Found.join([self._together([int(pairs.a[row])], np.array([row])) for row in rows])
        return self._together(sorted(self._references), rows)

    def _together(self, wanted: list[int], rows: NDArray[np.int64]) -> Found:
        """Search some of A with some of B; the pairs of one image of B stand together."""
        references = [self.reference(row) for row in wanted]
        if self.grid is None:
            images = self.images(rows, 1.0)
            return _found([self.measure.search(r, images, self.setting.limits) for r in references])
        tried, worth = [], []
        for scale in self.grid.scales:
            images = self.images(rows, float(scale))
            matches = [self.measure.search(r, images, self.setting.limits) for r in references]
            tried.append(_found(matches, scale))
            compared = [
                self.measure.across_scales(r, images, m.poses, m.score)
                for r, m in zip(references, matches, strict=True)
            ]
            worth.append(np.stack(compared, axis=1).ravel())
        best = best_scales(np.stack(worth), lower=self.measure.lower_is_better)
        parts = []
        for pair, at in enumerate(best):
            image, reference = divmod(pair, len(references))
            pose = tried[at].poses.take([pair])
            scale, match = refined(self, references[reference], int(rows[image]), self.grid, int(at), pose)
            parts.append(_found([match], scale))
        return Found.join(parts)


def _found(matches: list[Matches], scale: float = 1.0) -> Found:
    """Set matches of several references with the same images in the order of pairs: image by image."""
    order = np.arange(len(matches) * len(matches[0].score)).reshape(len(matches), -1).T.ravel()
    value, margin = (np.concatenate([getattr(m, name) for m in matches])[order] for name in ("score", "margin"))
    poses = Poses.concatenate([m.poses for m in matches]).take(order)
    nothing = np.concatenate([np.zeros(len(m.score), bool) if m.found is None else ~m.found for m in matches])[order]
    return Found(value, margin, poses, np.full(len(order), float(scale)), nothing)
