"""What the sliced Wasserstein distances share: quantiles of lines, made once per image, compared at all rotations.

SW_p^p(f, g) = 1 / (2 pi) times the integral over t and q in [0, 1] of |F_t^-1(q) - G_t^-1(q)|^p, in pixels, with F_t^-1
the inverse distribution function of the projection of f onto the line at angle t (Shi, Singer and Verbeke,
arXiv 2503.13756). Images are kept centred: the shift has a closed form (:mod:`cryoalign.metrics.sliced.shift`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.poses import Poses, rotate_points
from cryoalign.metrics.measure import Matches, Measure, PairTable, Preparation, SearchLimits
from cryoalign.metrics.pair_search import Curves, best_matches, nearest_valleys, search_curves
from cryoalign.metrics.sliced.angle_curve import Harmonics, harmonics, tiles_of_curves, values_at
from cryoalign.metrics.sliced.features import SlicedFeatures, SlicedImage
from cryoalign.metrics.sliced.noisy_shift import BELOW_SNR, coarse_lines, mended
from cryoalign.metrics.sliced.quantiles import part_quantiles, positive_means
from cryoalign.metrics.sliced.shift import centre_of_lines, closed_form_shift, move_lines
from cryoalign.metrics.sliced.sinogram import LineLayout, line_gain, projections
from cryoalign.metrics.sliced.wiener_split import LineReader


@dataclass(frozen=True)
class SlicedMeasure(Measure):
    """A sliced Wasserstein distance.

    Parameters
    ----------
    p
        1 or 2; only 2 is fast, as its curve is a correlation.
    quantiles
        Of each line, even.
    """

    p: int = 2
    quantiles: int = 32

    unit = "pixels"
    in_pixels = True
    cost = "each image is transformed once, O(L^2 log L); a pair costs an FFT over the angle"
    pair_ms = 0.06
    loses_in_noise = "noise counts as mass that must be moved; euclidean, auto or the default is better"
    filters = True
    translations = ("closed-form", "none")
    parts: ClassVar[int] = 1
    """1: the positive part alone; 2: the negative one too."""

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, not {self.p}")
        if self.quantiles < 2 or self.quantiles % 2:
            raise ValueError(f"the number of quantiles must be even, not {self.quantiles}")

    @property
    def ramp(self) -> float:
        """Exponent of |k|; 0 for no filter."""
        return 0.0

    def prepare(self, images: NDArray[np.float32], background: Preparation) -> SlicedFeatures:
        """Mask, filter and transform images, float32 (n, L, L), each on its own.

        Noisy images pass the Wiener filter of ``background.stack_spectrum``, which must be given then.
        """
        reader = LineReader(images, background)
        ready = [self.ready(*reader.centred_lines(i), reader.layout) for i in range(len(images))]
        return self.features_of(ready, reader)

    def ready(self, lines: NDArray[np.complex64], moved: tuple[int, int], layout: LineLayout) -> SlicedImage:
        """Make an image ready from its lines (half, n_frequencies), which were moved by whole pixels (x, y)."""
        # The centre is that of the density itself: a filtered part's means tremble with the interpolation.
        centre = centre_of_lines(positive_means(projections(lines, layout.box)))
        # Moved before the split: the filter's tails are cut by the box, the same way for every copy of an image.
        filtered = lines * line_gain(layout, self.ramp)
        sharp = projections(move_lines(filtered, layout.box, *centre), layout.box)
        coarse = move_lines(coarse_lines(lines, layout), layout.box, *centre)
        return SlicedImage(part_quantiles(sharp, self.quantiles, self.parts), np.add(centre, moved), coarse)

    def features_of(self, images: list[SlicedImage], reader: LineReader) -> SlicedFeatures:
        """Join images, their columns expanded over the angle."""
        layout = reader.layout
        centred = harmonics([i.columns for i in images], (layout.n_angles, self.parts * self.quantiles // 2))
        centre = np.array([i.centre for i in images]).reshape(-1, 2)
        coarse = np.array([i.coarse for i in images]) if images else np.zeros((0, 1, 1), np.complex64)
        return SlicedFeatures(centred, centre, coarse, layout.box, reader.snr)

    def search(self, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits) -> Matches:
        """Find the best reference and pose of each image."""
        return self._shifted(best_matches(*self._pairs(references, images, limits)), references, images, limits)

    def table(self, a: SlicedFeatures, b: SlicedFeatures, limits: SearchLimits) -> PairTable:
        """Compare all pairs."""
        return self.with_shifts(self._pairs(a, b, limits, margins=False)[0], a, b, limits)

    def with_shifts(self, table: PairTable, a: SlicedFeatures, b: SlicedFeatures, limits: SearchLimits) -> PairTable:
        """Return a table of angles with the shifts of all pairs, in closed form, mended in noise."""
        first, second = np.indices(table.value.shape).reshape(2, -1)
        poses, shape = self._shifts(a, b, first, second, table.poses(), limits), table.value.shape
        return replace(table, dx=poses.dx.reshape(shape), dy=poses.dy.reshape(shape))

    def _pairs(
        self, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits, margins: bool = True
    ) -> tuple[PairTable, NDArray[np.float64]]:
        """Turn all pairs; with one reference also the value of the next lowest valley of each image."""
        sizes, curves_of = (len(references), len(images)), self.curves_of(references, images, limits)
        return search_curves(curves_of, *sizes, limits, power=1.0 / self.p, margins=margins)

    def refine(self, references: SlicedFeatures, images: SlicedFeatures, poses: Poses, limits: SearchLimits) -> Matches:
        """Walk to the nearest valley of the curve; the shift is found at its angle as in a search."""
        table = nearest_valleys(self.curves_of(references, images, limits), poses, power=1.0 / self.p)
        return self._shifted(best_matches(table, table.value[0]), references, images, limits)

    def _shifted(
        self, found: Matches, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits
    ) -> Matches:
        poses = self._shifts(references, images, found.reference, np.arange(len(images)), found.poses, limits)
        return replace(found, poses=poses)

    def _shifts(
        self, references: SlicedFeatures, images: SlicedFeatures, first: NDArray[np.int64], second: NDArray[np.int64],
        poses: Poses, limits: SearchLimits,
    ) -> Poses:  # fmt: skip
        """Return the poses of pairs of a reference and an image with shifts: in closed form, mended in noise."""
        if self.shifts_by(limits) != "closed-form":
            return poses
        dx, dy = closed_form_shift(references.centre[first], images.centre[second], poses.psi, poses.mirror)
        poses = Poses(poses.psi, dx, dy, poses.mirror)
        if min(references.snr, images.snr) < BELOW_SNR:
            poses = mended(poses, references.coarse, images.coarse, first, second, images.box)
        # Beyond the disc of shifts the nearest one inside is given.
        shrink = np.minimum(1.0, limits.max_shift_px / np.maximum(np.hypot(poses.dx, poses.dy), 1e-300))
        return Poses(poses.psi, poses.dx * shrink, poses.dy * shrink, poses.mirror)

    def curves_of(
        self, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits
    ) -> Callable[[bool], Curves]:
        """Return the curves of all pairs by the hand of the images."""
        centred = self.shifts_by(limits) == "closed-form"
        fixed = references.centred if centred else references.in_place()

        def tiles(mirror: bool) -> Curves:
            moving = images.mirrored() if mirror else images
            return self.tiles(fixed, moving.centred if centred else moving.in_place())

        return tiles

    def tiles(self, references: Harmonics, images: Harmonics) -> Curves:
        """Yield (rows, mean p-th power of the differences at every rotation) for tiles of images."""
        if self.p == 2:
            yield from tiles_of_curves(references, images)
            return
        fixed = [columns_back(references, i) for i in range(len(references))]
        for i in range(len(images)):
            curve = np.empty((len(fixed), 1, references.n_angles))
            one = columns_back(images, i)
            for a, columns in enumerate(fixed):
                _absolute_curve(columns, one, curve[a, 0])
            yield np.array([i]), curve

    def at_poses(self, reference: SlicedFeatures, image: SlicedFeatures, poses: Poses) -> NDArray[np.float64]:
        """Return the distance in pixels of one image at each of m poses to one reference, (m,).

        Nothing is resampled: turns are phases of the harmonics, and shifts are added to the quantiles.
        """
        result = np.empty(len(poses))
        for mirror in (False, True):
            rows = np.flatnonzero(poses.mirror == mirror)
            if len(rows) == 0:
                continue
            moved, psi = image.mirrored() if mirror else image, poses.psi[rows]
            # What the two centres differ by once the image was moved.
            x, y = rotate_points(psi, moved.centre[0, 0] + poses.dx[rows], moved.centre[0, 1] + poses.dy[rows])
            gap = reference.centre[0] - np.stack([x, y], axis=-1)
            if self.p == 1:
                result[rows] = _absolute_at(reference.centred, moved.centred, psi, gap)
                continue
            left = np.stack(rotate_points(psi, *moved.residual[0]), axis=-1)
            cross = ((reference.residual[0] - left) * gap).sum(axis=-1)
            square = values_at(reference.centred, moved.centred, psi) + cross + 0.5 * (gap**2).sum(axis=-1)
            result[rows] = np.sqrt(np.maximum(square, 0.0))
        return result


def columns_back(expanded: Harmonics, row: int, turn_deg: float = 0.0) -> NDArray[np.float32]:
    """Return the columns of one image again, (n_angles, columns), turned by an angle."""
    phase = np.exp(-1j * np.deg2rad(turn_deg) * np.arange(len(expanded.values)))
    turned = expanded.values[:, row] * phase[:, None]
    return np.asarray(scipy.fft.irfft(turned, n=expanded.n_angles, axis=0, workers=1), dtype=np.float32)


def _absolute_at(
    reference: Harmonics, image: Harmonics, psi_deg: NDArray[np.float64], gap: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean absolute difference of one pair at angles, with centres apart by a gap in pixels (A, 2)."""
    fixed, n = columns_back(reference, 0), reference.n_angles
    angle = np.arange(n) * (2 * np.pi / n)
    values = np.empty(len(psi_deg))
    for i, psi in enumerate(psi_deg):
        apart = gap[i, 0] * np.cos(angle) + gap[i, 1] * np.sin(angle)
        values[i] = np.abs(fixed - columns_back(image, 0, psi) + apart[:, None]).mean()
    return values


@kernel(nogil=True, fastmath=True)
def _absolute_curve(reference, image, curve):  # type: ignore[no-untyped-def]
    """Average |U_{t + l}(q) - V_t(q)| for every l: there is no short cut. Sums of one angle are in single precision."""
    n, count = reference.shape
    for shift in range(n):
        total = np.float64(0.0)
        for t in range(n):
            other = t + shift if t + shift < n else t + shift - n
            part = np.float32(0.0)
            for q in range(count):
                part += abs(reference[other, q] - image[t, q])
            total += part
        curve[shift] = total / (n * count)
