"""The measure that the noise allows: sliced Wasserstein, Euclidean, or both, by the estimated SNR.

Transport distances see deformed copies for what they are, and lose to noise first; Euclidean ones keep on. Between the
two, both curves over the angle are made relative to their means over all rotations and added with a weight that grows
with the SNR. Images that must also be shifted are not fused: a rotation about a centre of mass that noise has moved is
off for both, so that the noisier ones go by Euclidean distance over all shifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses
from cryoalign.metrics.euclidean import Euclidean
from cryoalign.metrics.measure import Matches, Measure, PairTable, Preparation, Ranking, SearchLimits
from cryoalign.metrics.pair_search import Curves, best_matches, nearest_valleys, search_curves
from cryoalign.metrics.pixels.pixel_measure import PixelFeatures
from cryoalign.metrics.ramp_filtered import RampFilteredSlicedWasserstein
from cryoalign.metrics.rfsw_ncc import RfswWithCorrelation
from cryoalign.metrics.sliced.angle_curve import Harmonics, curve_means, harmonics, tiles_of_curves, values_at
from cryoalign.metrics.sliced.features import SlicedFeatures
from cryoalign.metrics.sliced.polar_euclidean import euclidean_columns
from cryoalign.metrics.sliced.shift import move_lines
from cryoalign.metrics.sliced.wiener_split import LineReader

Choice = Literal["rfsw", "fusion", "euclidean"]

SLICED_FROM = 1.0
"""Rotations of images with this SNR or more go by sliced Wasserstein alone."""
EUCLIDEAN_BELOW = 0.03
"""Rotations of images with a lower SNR go by Euclidean distance alone."""
WEIGHT_PER_SNR = 10.0
"""Weight of the sliced Wasserstein curve in the fusion, at SNR 1; at most 5."""
SHIFTED_FROM = 0.5
"""Images with this SNR or more go by sliced Wasserstein alone where they are shifted too: of hand-written digits moved
by 6 px along each axis it turns 83.1 % back at SNR 1 and 77.9 % at 0.3, Euclidean distance 79.3 % and 78.6 %."""

_RFSW = RampFilteredSlicedWasserstein()
_EUCLIDEAN = Euclidean()


@dataclass(frozen=True, eq=False)
class AutomaticFeatures:
    """Images ready for either measure; ``snr`` is that of the stack, infinite for clean images."""

    sliced: SlicedFeatures
    polar: Harmonics
    pixels: PixelFeatures
    snr: float

    def __len__(self) -> int:
        """Count the images."""
        return len(self.sliced)

    def mirrored(self) -> AutomaticFeatures:
        """Return the features of the mirrored images, for rotations only."""
        return AutomaticFeatures(self.sliced.mirrored(), self.polar.mirrored(), self.pixels, self.snr)


class _One(NamedTuple):
    """A measure with its features of two sets."""

    measure: Measure
    a: Any
    b: Any
    limits: SearchLimits


def choice(snr: float, shifts: bool) -> Choice:
    """Return which measure images of an SNR are compared by."""
    if shifts:
        return "rfsw" if snr >= SHIFTED_FROM else "euclidean"
    if snr >= SLICED_FROM:
        return "rfsw"
    return "fusion" if snr >= EUCLIDEAN_BELOW else "euclidean"


@dataclass(frozen=True)
class Automatic(Measure):
    """Sliced Wasserstein, Euclidean or a fusion of both by the estimated SNR of the images; lower is better.

    Scores are pixels for rfsw, Euclidean distances, or, fused, a share of the distance at a random rotation: they
    compare within one stack only.
    """

    name = "auto"
    words = "rfsw, a fusion, or euclidean, by the estimated SNR"
    unit = "of the measure that was chosen"
    cost = "rfsw's and the Euclidean one's together"
    pair_ms = 1.8
    warning = "with shifts, noisy images are compared by Euclidean distance alone"
    filters = True
    translations = ("closed-form", "none")

    def prepare(self, images: NDArray[np.float32], background: Preparation) -> AutomaticFeatures:
        """Transform images, float32 (n, L, L), once for both measures."""
        reader = LineReader(images, background)
        layout, sliced, polar = reader.layout, [], []
        for i in range(len(images)):
            lines, (x, y) = reader.centred_lines(i)
            sliced.append(_RFSW.ready(lines, (x, y), layout))
            polar.append(euclidean_columns(move_lines(lines, layout.box, -x, -y), layout))
        return AutomaticFeatures(
            _RFSW.features_of(sliced, reader),
            harmonics(polar, (layout.n_angles, layout.n_frequencies)),
            _EUCLIDEAN.prepare(images, background),
            reader.snr,
        )

    def search(self, references: AutomaticFeatures, images: AutomaticFeatures, limits: SearchLimits) -> Matches:
        """Find the best reference and pose of each image."""
        if one := self._one(references, images, limits, images.snr):
            return one.measure.search(one.a, one.b, one.limits)
        return best_matches(*self._rotations(references, images, limits, images.snr))

    def refine(
        self, references: AutomaticFeatures, images: AutomaticFeatures, poses: Poses, limits: SearchLimits
    ) -> Matches:
        """Go to the nearest optimum of what was chosen."""
        if one := self._one(references, images, limits, images.snr):
            return one.measure.refine(one.a, one.b, poses, one.limits)
        curves_of, power = self._curves(references, images, images.snr)
        table = nearest_valleys(curves_of, poses, power=power)
        return best_matches(table, table.value[0])

    def table(self, a: AutomaticFeatures, b: AutomaticFeatures, limits: SearchLimits) -> PairTable:
        """Compare all pairs; the noisier set says how."""
        snr = min(a.snr, b.snr)
        if one := self._one(a, b, limits, snr):
            return one.measure.table(one.a, one.b, one.limits)
        return self._rotations(a, b, limits, snr, margins=False)[0]

    def at_poses(self, reference: AutomaticFeatures, image: AutomaticFeatures, poses: Poses) -> NDArray[np.float64]:
        """Return the values of one image against one reference at each of m poses, (m,); shifted ones are not fused."""
        chosen = choice(image.snr, bool(np.any(poses.dx) or np.any(poses.dy)))
        if chosen == "rfsw":
            return _RFSW.at_poses(reference.sliced, image.sliced, poses)
        if chosen == "euclidean":
            return _EUCLIDEAN.at_poses(reference.pixels, image.pixels, poses)
        weight, result = sliced_weight(image.snr), np.empty(len(poses))
        fixed = (reference.sliced.in_place(), reference.polar)
        for mirror in np.unique(poses.mirror).tolist():
            rows = poses.mirror == mirror
            moved = image.mirrored() if mirror else image
            one, other = (
                values_at(a, b, poses.psi[rows]) / _positive(curve_means(a, b)[0, 0])
                for a, b in zip(fixed, (moved.sliced.in_place(), moved.polar), strict=True)
            )
            result[rows] = (weight * one + other) / (1.0 + weight)
        return result

    def for_ranking(self, snr: float | None, shifts: bool) -> Ranking:
        """Return the blend that ranks better where rfsw alone would align."""
        return RfswWithCorrelation() if choice(np.inf if snr is None else snr, shifts) == "rfsw" else self

    def _one(self, a: AutomaticFeatures, b: AutomaticFeatures, limits: SearchLimits, snr: float) -> _One | None:
        """Return the one measure that images of an SNR go by; None where their curves over the angle are looked at."""
        shifts = self.shifts_by(limits) != "none"
        if choice(snr, shifts) == "rfsw":
            return _One(_RFSW, a.sliced, b.sliced, limits)
        return _One(_EUCLIDEAN, a.pixels, b.pixels, replace(limits, translation="grid")) if shifts else None

    def _rotations(
        self, references: AutomaticFeatures, images: AutomaticFeatures, limits: SearchLimits, snr: float,
        margins: bool = True,
    ) -> tuple[PairTable, NDArray[np.float64]]:  # fmt: skip
        """Compare all pairs by their fused, or their Euclidean, curves."""
        curves_of, power = self._curves(references, images, snr)
        return search_curves(curves_of, len(references), len(images), limits, power=power, margins=margins)

    def _curves(
        self, references: AutomaticFeatures, images: AutomaticFeatures, snr: float
    ) -> tuple[Callable[[bool], Curves], float]:
        """Return the curves of all pairs by the hand of the images, and the power that makes them values."""
        euclidean = choice(snr, shifts=False) == "euclidean"
        weight = sliced_weight(min(references.snr, images.snr))

        def curves_of(mirror: bool) -> Curves:
            moving = images.mirrored() if mirror else images
            polar = tiles_of_curves(references.polar, moving.polar)
            if euclidean:
                return polar
            sliced = tiles_of_curves(references.sliced.in_place(), moving.sliced.in_place())
            return _fused(sliced, polar, weight)

        return curves_of, 0.5 if euclidean else 1.0


def sliced_weight(snr: float) -> float:
    """Return the weight of the sliced Wasserstein curve beside the Euclidean one, which has 1."""
    return float(min(5.0, WEIGHT_PER_SNR * snr))


def _fused(sliced: Curves, polar: Curves, weight: float) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
    """Add curves that were divided by their means over all rotations."""
    for (rows, first), (_, second) in zip(sliced, polar, strict=True):
        relative = [part / _positive(part.mean(axis=-1, keepdims=True)) for part in (first, second)]
        yield rows, (weight * relative[0] + relative[1]) / (1.0 + weight)


def _positive(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(np.maximum(values, np.finfo(np.float32).tiny))
