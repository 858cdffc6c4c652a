"""Parts of a run of averages put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages, finish_averages
from cryoalign.averaging.class_sums import ClassSums
from cryoalign.core.errors import InputError
from cryoalign.jobs.average.plan import AveragePlan
from cryoalign.jobs.parts import PartRange, PartStore


@dataclass(frozen=True, eq=False)
class MergedSums:
    """The sums of all memberships.

    Parameters
    ----------
    totals, power, counts
        Sums of C F and of C^2 and members of each class and half, at the geometry of the averages:
        (m, 2, box, box), (m, 2, box, box // 2 + 1), (m, 2).
    skipped
        0, or why a membership was left out (key of ``REASONS``), shape (k,).
    """

    totals: NDArray[np.float64]
    power: NDArray[np.float64]
    counts: NDArray[np.int64]
    skipped: NDArray[np.int8]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Memberships that were added."""
        return self.skipped == 0


def merge_sums(plan: AveragePlan, store: PartStore, ranges: Sequence[PartRange]) -> MergedSums:
    """Read all parts and put them together.

    Raises
    ------
    InputError
        If no particle is left.
    """
    m, box = plan.n_classes, plan.out_box
    sums = [ClassSums(plan.sum_settings(g)) for g in range(len(plan.geometries))]
    skipped = np.zeros(len(plan.members), np.int8)
    for part, arrays in store.load_all(ranges):
        skipped[plan.order[part.start : part.stop]] = arrays["skipped"]
        for g, geometry_sums in enumerate(sums):
            geometry_sums.add_packed(arrays, f"sums_{g}_")
    if not (skipped == 0).any():
        raise InputError("no usable particle is left", path=plan.particles.path)
    totals = np.zeros((2 * m, box, box))
    power = np.zeros((2 * m, box, box // 2 + 1))
    counts = np.zeros(2 * m, np.int64)
    while sums:
        geometry_sums = sums.pop(0)
        totals += geometry_sums.totals()
        power += geometry_sums.ctf_power()
        counts += geometry_sums.counts
    return MergedSums(
        totals.reshape(m, 2, box, box), power.reshape(m, 2, box, box // 2 + 1), counts.reshape(m, 2), skipped
    )


def averages_of(plan: AveragePlan, sums: MergedSums) -> ClassAverages:
    """Finish the averages: divided by their weights, filtered, with the FRC of their halves."""
    return finish_averages(
        sums.totals, sums.power, sums.counts, mask_diameter_px=plan.mask_diameter_px,
        pixel_size_angstrom=plan.out_pixel_size, treatment=plan.parameters.treatment, ssnr=plan.parameters.ssnr,
        shared_ring=plan.shared_ring,
    )  # fmt: skip
