"""Second passes of ``average``: members held against their average, for intensities and for variance.

Both look at whitened members in the aligned frame; the noise is measured there, outside the mask, so that whatever
resampling did to it is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.averaging.aligned_members import aligned_members, member_transfer
from cryoalign.averaging.class_averages import half_references
from cryoalign.averaging.exact_sums import ExactSums, fixed_point_scale
from cryoalign.averaging.intensity import Intensities, amplitudes, shrunk_intensities
from cryoalign.averaging.variance import residuals, variance_maps, whitening_filter
from cryoalign.core.errors import InputError
from cryoalign.core.masks import soft_disc
from cryoalign.core.noise import estimate_noise_power
from cryoalign.passes.average.merge import MergedSums
from cryoalign.passes.average.part import MemberTile, member_tiles
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.bad_rows import LOOK
from cryoalign.runs.parts import PartRange, PartStore
from cryoalign.runs.work import PureWork

NOISE_MEMBERS, FEWEST_NOISE_MEMBERS = 2000, 200
"""Members that noise is measured on: so many over all groups, but not fewer than that in a group that has them."""
_CLEAN = 1e-3


class AlignedSource:
    """Aligned members as an image source, for what wants one; rows are memberships, all of one geometry."""

    def __init__(self, plan: AveragePlan, g: int) -> None:
        self._plan, self._g = plan, g

    @property
    def box(self) -> int:
        """Side of the averages, in pixels."""
        return self._plan.out_box

    def __len__(self) -> int:
        """Count the memberships."""
        return len(self._plan.members)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return aligned members, float32 (len(rows), box, box)."""
        plan = self._plan
        particle = plan.members.particle[rows]
        images = plan.geometries[self._g].source.read(plan.place_in[particle])
        ctf = plan.images.ctf_of(particle)
        return aligned_members(images, plan.members.poses.take(rows), ctf, plan.sum_settings(self._g))


def noise_groups(plan: AveragePlan) -> NDArray[np.int64]:
    """Return the noise group of each particle, shape (n,): those of one geometry and one optics group."""
    key = plan.geometry_of * (int(plan.particles.optics_index.max(initial=0)) + 1) + plan.particles.optics_index
    return np.asarray(np.unique(key, return_inverse=True)[1]).reshape(-1).astype(np.int64)


def whitening_filters(plan: AveragePlan, good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure the noise of every group and return its whitening filter, (groups, out_box, out_box // 2 + 1).

    Parameters
    ----------
    plan
        The plan.
    good
        Memberships that can be used, shape (k,).
    """
    groups = noise_groups(plan)[plan.members.particle]
    n_groups = int(noise_groups(plan).max()) + 1
    limit = max(FEWEST_NOISE_MEMBERS, NOISE_MEMBERS // n_groups)
    box = plan.out_box
    filters = np.zeros((n_groups, box, box // 2 + 1))
    for group in range(n_groups):
        rows = np.flatnonzero(good & (groups == group))
        if not len(rows):
            continue
        source = AlignedSource(plan, int(plan.geometry_of[plan.members.particle[rows[0]]]))
        try:
            power = estimate_noise_power(source, [rows], plan.mask_diameter_px, max_rows=limit)[0]
        except InputError:
            power = np.zeros(box // 2 + 1)  # nothing outside the mask: noiseless, or masked before
        clean = _CLEAN * float(source.read(rows[:64]).var(axis=(1, 2)).mean())
        if power.mean() < clean:
            power = np.full(box // 2 + 1, clean)
        filters[group] = whitening_filter(power, box)
    return filters.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _SecondPass(PureWork):
    """What the part functions have in common: tiles of members with their spectra, filters and T.

    Parameters
    ----------
    plan
        The plan.
    filters
        From :func:`whitening_filters`, float32.
    """

    plan: AveragePlan
    filters: NDArray[np.float32]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Noise group of each particle, (n,)."""
        return noise_groups(self.plan)

    def tiles(self, part: PartRange) -> Iterator[tuple[MemberTile, NDArray, NDArray, NDArray | None]]:
        """Yield tile, spectra of its aligned members, their whitening filters, and T."""
        plan = self.plan
        members = plan.order[part.start : part.stop]
        for tile in member_tiles(plan, members, np.zeros(len(part), LOOK)):
            settings = plan.sum_settings(tile.g)
            aligned = aligned_members(tile.images, tile.poses, tile.ctf, settings)
            transfer = member_transfer(tile.poses, tile.ctf, settings)
            filters = self.filters[self.groups[plan.members.particle[tile.members]]]
            yield tile, scipy.fft.rfft2(aligned, workers=1), filters, transfer


def half_models(plan: AveragePlan, sums: MergedSums, ssnr_per_image: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the masked Wiener averages of either half of each class, (2, m, box, box).

    Parameters
    ----------
    plan, sums, ssnr_per_image
        The plan, the sums it led to, and the signal-to-noise ratio that filters the halves.
    """
    mask = soft_disc(plan.out_box, plan.mask_diameter_px)
    models = np.zeros((2, plan.n_classes, plan.out_box, plan.out_box), np.float32)
    for first in range(0, plan.n_classes, sums.classes_at_once):
        some = slice(first, min(first + sums.classes_at_once, plan.n_classes))
        halves = half_references(
            *sums.read(some.start, some.stop), sums.counts[some], ssnr_per_image[some],
            mask_diameter_px=plan.mask_diameter_px,
        )  # fmt: skip
        models[:, some] = halves * mask
    return models


@dataclass(frozen=True, eq=False)
class IntensityPart(_SecondPass):
    """Fits every member to the Wiener average of the other half of its class; ``models`` from `half_models`."""

    models: NDArray[np.float32]

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Return <x, m> and <m, m> of the memberships of a part, in the plan's order."""
        plan = self.plan
        position = np.full(len(plan.members), -1, np.int64)
        position[plan.order[part.start : part.stop]] = np.arange(len(part))
        product, energy = np.zeros(len(part)), np.zeros(len(part))
        for tile, spectra, filters, transfer in self.tiles(part):
            half = plan.half[plan.members.particle[tile.members]]
            others = self.models[1 - half, plan.members.class_index[tile.members]]
            models = scipy.fft.rfft2(others, workers=1) * filters
            if transfer is not None:
                models *= transfer
            at = position[tile.members]
            product[at], energy[at] = amplitudes(spectra * filters, models, plan.out_box)
        return {"product": product, "energy": energy}


def merge_intensities(
    plan: AveragePlan, store: PartStore, ranges: Sequence[PartRange], good: NDArray[np.bool_]
) -> Intensities:
    """Read all parts and turn the fits into one intensity for each membership, shape (k,)."""
    product, energy = np.zeros(len(plan.members)), np.zeros(len(plan.members))
    for part, arrays in store.load_all(ranges):
        rows = plan.order[part.start : part.stop]
        product[rows], energy[rows] = arrays["product"], arrays["energy"]
    energy[~good] = 0.0
    return shrunk_intensities(product, energy)


@dataclass(frozen=True, eq=False)
class VariancePart(_SecondPass):
    """Sums residuals and their squares; ``averages`` are those of the classes, (m, box, box)."""

    averages: NDArray[np.float32]

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Return the sums of the memberships of a part."""
        plan = self.plan
        sums, squares = _residual_sums(plan), _residual_sums(plan)
        for tile, spectra, filters, transfer in self.tiles(part):
            classes = plan.members.class_index[tile.members]
            models = scipy.fft.rfft2(self.averages[classes], workers=1)
            if transfer is not None:
                models *= transfer
            if tile.scales is not None:
                models *= tile.scales[:, None, None].astype(np.float32)
            left = residuals(spectra, models, filters, plan.out_box)
            sums.add(left, classes)
            squares.add(left**2, classes)
        return _named("sums", sums) | _named("squares", squares)


def merge_variance(plan: AveragePlan, store: PartStore, ranges: Sequence[PartRange]) -> NDArray[np.float32]:
    """Read all parts and return the variance map of each class, (m, box, box)."""
    sums, squares = _residual_sums(plan), _residual_sums(plan)
    for _, arrays in store.load_all(ranges):
        for name, exact in (("sums", sums), ("squares", squares)):
            exact.add_packed(*(arrays[f"{name}_{part}"] for part in ("classes", "counts", "sums")))
    return variance_maps(sums.totals(), squares.totals(), sums.counts)


def _residual_sums(plan: AveragePlan) -> ExactSums:
    # Residuals have a deviation near 1 by construction.
    return ExactSums(plan.n_classes, plan.out_box, fixed_point_scale(1.0))


def _named(name: str, sums: ExactSums) -> dict[str, NDArray]:
    return {f"{name}_{part}": values for part, values in sums.pack().items()}
