"""What a comparison found: of every measure, with ranks, and how far the measures agree with each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.magnify import magnified
from cryoalign.core.masks import centre_offsets
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.jobs.compare.geometry import Pairs, Setting
from cryoalign.jobs.compare.given import Judged
from cryoalign.jobs.compare.images import ImageSet
from cryoalign.jobs.compare.search import UNIT, Found
from cryoalign.metrics.alike import same_registration


@dataclass(frozen=True, eq=False)
class CompareResult:
    """Everything that a run found.

    Attributes
    ----------
    a, b
        The images, in one box.
    pairs, setting
        Who was compared with whom, and how.
    metrics
        Names of the measures, in their order.
    found
        Of each.
    correlation
        Float64 (metrics, P): correlation inside the mask at the pose of each measure: one yardstick for all.
    agreeing
        int64 (metrics, P): measures with the same registration, itself included; 0 where it found none.
    rank
        int64 (metrics, P), 1 = best.
    judged
        What each measure says of the poses that B came with; empty where that was not asked.
    """

    a: ImageSet
    b: ImageSet
    pairs: Pairs
    setting: Setting
    metrics: tuple[str, ...]
    found: dict[str, Found]
    correlation: NDArray[np.float64]
    agreeing: NDArray[np.int64]
    rank: NDArray[np.int64]
    judged: dict[str, Judged]

    def given_pose(self, pair: int) -> Poses:
        """Return the pose that the image of B of a pair came with."""
        return self.b.poses.take([int(self.pairs.b[pair])])

    def as_given(self, pair: int) -> NDArray[np.float32]:
        """Return the image of B of a pair at the pose that it came with, (L, L)."""
        row = int(self.pairs.b[pair])
        return np.asarray(resample(self.b.pixels[row : row + 1], self.given_pose(pair))[0])

    def aligned(self, metric: str, pair: int) -> NDArray[np.float32]:
        """Return the image of B of a pair as a measure lays it onto that of A, (L, L)."""
        row, found = int(self.pairs.b[pair]), self.found[metric]
        image = magnified(self.b.pixels[row : row + 1], float(found.scale[pair]))
        return np.asarray(resample(image, found.poses.take([pair]))[0])


def result_of(
    a: ImageSet,
    b: ImageSet,
    pairs: Pairs,
    setting: Setting,
    found: dict[str, Found],
    lower: dict[str, bool],
    judged: dict[str, Judged],
) -> CompareResult:
    """Add what follows from poses and values; ``lower`` tells of each measure whether lower is better."""
    metrics = tuple(found)
    several = pairs.every and len(a) > 1
    group = pairs.b if several else np.zeros(len(pairs), np.int64)
    rank = np.stack([ranks(found[m].value if lower[m] else -found[m].value, group) for m in metrics])
    correlation = np.stack([_correlations(a, b, pairs, setting, found[m]) for m in metrics])
    agreeing = agreement(list(found.values()))
    return CompareResult(a, b, pairs, setting, metrics, found, correlation, agreeing, rank, judged)


def ranks(cost: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank rows within their group by cost, 1 = lowest; ties by row."""
    order = np.lexsort((np.arange(len(cost)), cost, group))
    first = np.r_[True, np.diff(group[order]) != 0]
    start = np.maximum.accumulate(np.where(first, np.arange(len(cost)), 0))
    result = np.empty(len(cost), np.int64)
    result[order] = np.arange(len(cost)) - start + 1
    return result


def agreement(found: list[Found]) -> NDArray[np.int64]:
    """Count, for each measure and pair, the measures with the same registration, int64 (metrics, P); 0: it has none."""
    count = np.zeros((len(found), len(found[0].value)), np.int64)
    for i, one in enumerate(found):
        for other in found:
            same = same_registration(one.poses, one.scale, other.poses, other.scale)
            count[i] += same & ~one.nothing & ~other.nothing
    return count


def _correlations(a: ImageSet, b: ImageSet, pairs: Pairs, setting: Setting, found: Found) -> NDArray[np.float64]:
    x, y = centre_offsets(setting.box)
    inside = x**2 + y**2 <= setting.mask_radius_px**2
    result = np.empty(len(pairs))
    for first in range(0, len(pairs), UNIT):
        rows = np.arange(first, min(first + UNIT, len(pairs)))
        images = np.concatenate([magnified(b.pixels[pairs.b[r]][None], float(found.scale[r])) for r in rows])
        moved = resample(images, found.poses.take(rows))
        for row, image in zip(rows, moved, strict=True):
            one, other = (pixels[inside].astype(np.float64) for pixels in (a.pixels[pairs.a[row]], image))
            one, other = one - one.mean(), other - other.mean()
            spread = np.sqrt((one @ one) * (other @ other))
            result[row] = one @ other / spread if spread > 0 else 0.0
    return result
