"""What ranks views best: the ramp-filtered sliced Wasserstein distance, sharper, with a share of correlation.

To turn a deformed copy back, mass that has to be moved says all. To rank many clean views it does not: every part of
every line is brought to mass one, so that its strength is lost, and a few quite different views come out near. So

    D^2 = rfsw^2 + (s R)^2 |f / |f| - g / |g||^2,        R the radius of the mask,

at the best rotation of both together: a distance in pixels still. |f| leaves the mean out; the second term is
2 (1 - correlation). Exponent and share were chosen on clean projections of eight molecules, seeds apart from those of
`scripts/bench toy_neighbours`: 1.5 and 0.25; between 1.25 and 2, and 0.18 and 0.3, little changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.metrics.measure import PairTable, Preparation, Ranking, SearchLimits
from cryoalign.metrics.pair_search import Curves, search_curves
from cryoalign.metrics.ramp_filtered import RampFilteredSlicedWasserstein
from cryoalign.metrics.sliced.angle_curve import Harmonics, harmonics, tiles_of_curves
from cryoalign.metrics.sliced.features import SlicedFeatures
from cryoalign.metrics.sliced.polar_euclidean import euclidean_columns
from cryoalign.metrics.sliced.shift import move_lines
from cryoalign.metrics.sliced.sinogram import LineLayout
from cryoalign.metrics.sliced.wiener_split import LineReader

SHARE = 0.25
"""Of the mask's radius: what two images without anything in common are apart at least, over sqrt 2."""

_RFSW = RampFilteredSlicedWasserstein(exponent=1.5)


@dataclass(frozen=True, eq=False)
class RfswNccFeatures:
    """Images ready to be ranked.

    Parameters
    ----------
    sliced
        Quantiles, and where the images were.
    centred, in_place
        Polar lines, each image's of norm one, of the image moved to its centre, and where it is.
    weight
        Of their squared distance, in square pixels.
    """

    sliced: SlicedFeatures
    centred: Harmonics
    in_place: Harmonics
    weight: float

    def __len__(self) -> int:
        """Count the images."""
        return len(self.sliced)


@dataclass(frozen=True)
class RfswWithCorrelation(Ranking):
    """Ramp-filtered distance and correlation together, in pixels; lower is better. There is nothing to align."""

    name = "rfsw-ncc"
    words = "ramp-filtered sliced Wasserstein distance with a share of correlation, to rank views"
    unit = "pixels"
    in_pixels = True
    cost = "each image is transformed once, O(L^2 log L); a pair costs two FFTs over the angle"
    pair_ms = 0.06
    warning = "neighbours of raw noisy particles by steerable-pca or euclidean are better"
    loses_in_noise = _RFSW.loses_in_noise
    filters = True

    def prepare(self, images: NDArray[np.float32], background: Preparation) -> RfswNccFeatures:
        """Mask, filter and transform images, float32 (n, L, L), each on its own."""
        reader = LineReader(images, background)
        layout, sliced, centred, still = reader.layout, [], [], []
        for i in range(len(images)):
            lines, (x, y) = reader.centred_lines(i)
            one = _RFSW.ready(lines, (x, y), layout)
            sliced.append(one)
            centred.append(_unit_columns(move_lines(lines, layout.box, *(one.centre - (x, y))), layout))
            still.append(_unit_columns(move_lines(lines, layout.box, -x, -y), layout))
        shape = layout.n_angles, layout.n_frequencies
        weight = (SHARE * background.radius(layout.box)) ** 2
        return RfswNccFeatures(
            _RFSW.features_of(sliced, reader), harmonics(centred, shape), harmonics(still, shape), weight
        )

    def table(self, a: RfswNccFeatures, b: RfswNccFeatures, limits: SearchLimits) -> PairTable:
        """Compare all pairs."""
        closed = _RFSW.shifts_by(limits) == "closed-form"
        fixed, moving = (f.centred if closed else f.in_place for f in (a, b))
        sliced = _RFSW.curves_of(a.sliced, b.sliced, limits)

        def curves_of(mirror: bool) -> Curves:
            return _sum(sliced(mirror), tiles_of_curves(fixed, moving.mirrored() if mirror else moving), b.weight)

        table, _ = search_curves(curves_of, len(a), len(b), limits, power=0.5, margins=False)
        return _RFSW.with_shifts(table, a.sliced, b.sliced, limits)


def _unit_columns(lines: NDArray[np.complex64], layout: LineLayout) -> NDArray[np.float32]:
    """Return polar columns without the mean, of norm one; zeros for an image of one grey level."""
    columns = euclidean_columns(lines, layout)
    columns[:, 0] = 0.0
    norm = np.sqrt(np.square(columns, dtype=np.float64).mean())
    return columns if norm == 0 else columns / np.float32(norm)


def _sum(first: Curves, second: Curves, weight: float) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
    for (rows, one), (_, other) in zip(first, second, strict=True):
        yield rows, one + np.float32(weight) * other
