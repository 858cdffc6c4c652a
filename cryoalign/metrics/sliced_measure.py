"""What the sliced Wasserstein distances share: quantiles of lines, made once per image, compared at all rotations.

SW_p^p(f, g) = 1 / (2 pi) times the integral over t and q in [0, 1] of |F_t^-1(q) - G_t^-1(q)|^p, in pixels, with F_t^-1
the inverse distribution function of the projection of f onto the line at angle t (Shi, Singer and Verbeke,
arXiv 2503.13756). Images are kept centred: the shift has a closed form (:mod:`cryoalign.metrics.sliced_shift`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.fft
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.poses import Poses, rotate_points
from cryoalign.metrics.angle_curve import Harmonics, harmonics, tiles_of_curves, values_at
from cryoalign.metrics.measure import (
    Matches,
    PairTable,
    Preparation,
    SearchLimits,
    Translation,
    chosen_translation,
)
from cryoalign.metrics.pair_search import Curves, best_matches, nearest_valleys, search_curves
from cryoalign.metrics.quantiles import part_quantiles, positive_means
from cryoalign.metrics.sinogram import LineLayout, line_gain, projections
from cryoalign.metrics.sliced_shift import centre_of_lines, closed_form_shift, move_lines
from cryoalign.metrics.wiener_split import LineReader


@dataclass(frozen=True, eq=False)
class SlicedFeatures:
    """Quantiles of n centred images, expanded over the angle.

    Parameters
    ----------
    centred
        Harmonics of the centred images' columns, one for each quantile of the lower half of each part.
    centre
        Where the images were, v = (x, y) in pixels from the centre pixel, float64 (n, 2).
    """

    centred: Harmonics
    centre: NDArray[np.float64]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.centre)

    @property
    def residual(self) -> NDArray[np.float64]:
        """What is left of a centre, on average over the columns, in pixels, (n, 2)."""
        first = self.centred.values[1].astype(np.complex128).mean(axis=-1) * (2.0 / self.centred.n_angles)
        return np.stack([first.real, -first.imag], axis=-1)

    def mirrored(self) -> SlicedFeatures:
        """Return the features of the mirrored images."""
        return SlicedFeatures(self.centred.mirrored(), self.centre * np.array([-1.0, 1.0]))

    def in_place(self) -> Harmonics:
        """Return the harmonics of the images where they are."""
        added = first_harmonic(self.centre, self.centred.n_angles)
        return self.centred.with_first(added.astype(self.centred.values.dtype)[:, None])


def first_harmonic(vector: NDArray[np.float64], n_angles: int) -> NDArray[np.complex128]:
    """Return the first harmonic of <v, (cos t, sin t)> over n angles for vectors (..., 2)."""
    return np.asarray(0.5 * n_angles * (vector[..., 0] - 1j * vector[..., 1]))


@dataclass(frozen=True)
class SlicedMeasure(ABC):
    """A sliced Wasserstein distance; see :class:`cryoalign.metrics.measure.Measure`.

    Parameters
    ----------
    p
        1 or 2; only 2 is fast, as its curve is a correlation.
    quantiles
        Of each line, even.
    """

    p: int = 2
    quantiles: int = 32

    name: ClassVar[str]
    title: ClassVar[str]
    cost: ClassVar[str]
    warning: ClassVar[str | None]
    lower_is_better: ClassVar[bool] = True
    translations: ClassVar[tuple[Translation, ...]] = ("closed-form", "none")

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, not {self.p}")
        if self.quantiles < 2 or self.quantiles % 2:
            raise ValueError(f"the number of quantiles must be even, not {self.quantiles}")

    @property
    @abstractmethod
    def parts(self) -> int:
        """1: the positive part alone; 2: the negative one too."""

    @property
    @abstractmethod
    def ramp(self) -> float:
        """Exponent of |k|; 0 for no filter."""

    def prepare(self, images: NDArray[np.float32], background: Preparation) -> SlicedFeatures:
        """Mask, filter and transform images, float32 (n, L, L), each on its own.

        Noisy images pass the Wiener filter of ``background.stack_spectrum``, or of these images' own spectrum.
        """
        reader = LineReader(images, background)
        columns, centre = [], np.empty((len(images), 2))
        for i in range(len(images)):
            lines, moved = reader.centred_lines(i)
            part, centre[i] = self.columns_of(lines, reader.layout)
            centre[i] += moved
            columns.append(part)
        return self.features_of(columns, centre, reader.layout)

    def columns_of(
        self, lines: NDArray[np.complex64], layout: LineLayout
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the quantiles of an image moved to its centre, (n_angles, columns), and that centre."""
        # The centre is that of the density itself: a filtered part's means tremble with the interpolation.
        centre = centre_of_lines(positive_means(projections(lines, layout.box)))
        # Moved before the split: the filter's tails are cut by the box, the same way for every copy of an image.
        filtered = lines * line_gain(layout, self.ramp)
        moved = projections(move_lines(filtered, layout.box, *centre), layout.box)
        return part_quantiles(moved, self.quantiles, self.parts), np.asarray(centre)

    def features_of(
        self, columns: list[NDArray[np.float32]], centre: NDArray[np.float64], layout: LineLayout
    ) -> SlicedFeatures:
        """Join the columns of images, expanded over the angle, and their centres."""
        return SlicedFeatures(harmonics(columns, (layout.n_angles, self.parts * self.quantiles // 2)), centre)

    def search(self, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits) -> Matches:
        """Find the best reference and pose of each image."""
        return best_matches(*self._pairs(references, images, limits))

    def table(self, a: SlicedFeatures, b: SlicedFeatures, limits: SearchLimits) -> PairTable:
        """Compare all pairs."""
        return self._pairs(a, b, limits, margins=False)[0]

    def _pairs(
        self, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits, margins: bool = True
    ) -> tuple[PairTable, NDArray[np.float64]]:
        """Compare all pairs; with one reference also the value of the next lowest valley of each image."""
        curves_of, shifted = self._curves(references, images, limits)
        sizes = len(references), len(images)
        table, next_value = search_curves(curves_of, *sizes, limits, power=1.0 / self.p, margins=margins)
        return shifted(table), next_value

    def refine(self, references: SlicedFeatures, images: SlicedFeatures, poses: Poses, limits: SearchLimits) -> Matches:
        """Walk to the nearest valley of the curve; the shift is that of the closed form at its angle."""
        curves_of, shifted = self._curves(references, images, limits)
        table = shifted(nearest_valleys(curves_of, poses, power=1.0 / self.p))
        return best_matches(table, table.value[0])

    def _curves(
        self, references: SlicedFeatures, images: SlicedFeatures, limits: SearchLimits
    ) -> tuple[Callable[[bool], Curves], Callable[[PairTable], PairTable]]:
        """Return the curves of all pairs by the hand of the images, and what adds shifts to a table of angles."""
        centred = chosen_translation(self, limits) == "closed-form"
        fixed = references.centred if centred else references.in_place()

        def curves_of(mirror: bool) -> Curves:
            moving = images.mirrored() if mirror else images
            return self.tiles(fixed, moving.centred if centred else moving.in_place())

        def shifted(table: PairTable) -> PairTable:
            if not centred:
                return table
            first = references.centre[: len(table.value), None]
            dx, dy = closed_form_shift(first, images.centre[None], table.psi_deg, table.mirror)
            # Beyond the disc of shifts the nearest one inside is given.
            shrink = np.minimum(1.0, limits.max_shift_px / np.maximum(np.hypot(dx, dy), 1e-300))
            return replace(table, dx=dx * shrink, dy=dy * shrink)

        return curves_of, shifted

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

    def curve(
        self, reference: SlicedFeatures, image: SlicedFeatures, psi_deg: NDArray[np.float64], at: Poses | None = None
    ) -> NDArray[np.float64]:
        """Return the distance in pixels of one pair at each angle (A,), with the shift and the mirror of ``at``."""
        still = at if at is not None else Poses.identity(1)
        psi = np.asarray(psi_deg, dtype=np.float64)
        dx, dy, mirror = (np.full(len(psi), column[0]) for column in (still.dx, still.dy, still.mirror))
        return self._at_poses(reference, image, Poses(psi, dx, dy, mirror))

    def value(
        self,
        reference: NDArray[np.float32],
        image: NDArray[np.float32],
        poses: Poses,
        background: Preparation | None = None,
    ) -> NDArray[np.float64]:
        """Return the distance in pixels of one image, moved by each pose, to one reference: (m,).

        The noise is that of the image. Nothing is resampled: turns are phases of the harmonics, and shifts are added to
        the quantiles.
        """
        known = background or Preparation()
        fixed = self.prepare(np.asarray(reference, np.float32)[None], replace(known, noise_spectrum=None))
        moving = self.prepare(np.asarray(image, np.float32)[None], known)
        return self._at_poses(fixed, moving, poses)

    def _at_poses(self, reference: SlicedFeatures, image: SlicedFeatures, poses: Poses) -> NDArray[np.float64]:
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


@njit(cache=True, nogil=True, fastmath=True)
def _absolute_curve(reference, image, curve):  # type: ignore[no-untyped-def]
    """Average |U_{t + l}(q) - V_t(q)| for every l: there is no short cut. Sums of one angle are in single precision."""
    n, count = reference.shape
    for shift in range(n):
        total = 0.0
        for t in range(n):
            other = t + shift if t + shift < n else t + shift - n
            part = np.float32(0.0)
            for q in range(count):
                part += abs(reference[other, q] - image[t, q])
            total += part
        curve[shift] = total / (n * count)
