"""Parts of a run of averages put together, some classes at a time where there are many."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.class_averages import ClassAverages, ReadSums, finish_in_chunks
from cryoalign.averaging.class_sums import ClassSums
from cryoalign.core.errors import InputError
from cryoalign.io.writing import naming, reserve
from cryoalign.passes.average.plan import AveragePlan
from cryoalign.passes.bad_rows import LOOK
from cryoalign.runs.parts import PartRange, PartStore

MERGE_BYTES = 32 * 2**20
"""Sums that are put together at a time, where those of all classes would be large."""
HALVES_BYTES = 16 * 2**20
"""Images of halves that are larger than this go to a file."""


@dataclass(frozen=True, eq=False)
class MergedSums:
    """The sums of all memberships, of m classes at the geometry of the averages.

    Parameters
    ----------
    read
        Gives the sums of C F and of C^2 of a range of classes.
    classes_at_once
        How many classes are best read together.
    counts
        Members of each class and half, (m, 2).
    look
        What reading found of the image of each membership, ``LOOK`` (k,).
    """

    read: ReadSums
    classes_at_once: int
    counts: NDArray[np.int64]
    look: NDArray

    @property
    def good(self) -> NDArray[np.bool_]:
        """Memberships that were added."""
        return np.asarray(self.look["reason"] == 0)


def merge_sums(plan: AveragePlan, store: PartStore, ranges: Sequence[PartRange]) -> MergedSums:
    """Read all parts and put them together: all sums now, or, where the work is ordered by class, when they are read.

    Raises
    ------
    InputError
        If no particle is left.
    """
    m, box, geometries = plan.n_classes, plan.out_box, range(len(plan.geometries))
    look = np.zeros(len(plan.members), LOOK)
    counts = np.zeros(2 * m, np.int64)
    sums = [] if plan.by_class else [ClassSums(plan.sum_settings(g)) for g in geometries]
    for part, arrays in store.load_all(ranges):
        look[plan.order[part.start : part.stop]] = arrays["look"]
        for g in geometries:
            counts[arrays[f"sums_{g}_cells"]] += arrays[f"sums_{g}_counts"]
        for g, geometry_sums in enumerate(sums):
            geometry_sums.add_packed(arrays, f"sums_{g}_")
    if not (look["reason"] == 0).any():
        raise InputError("no usable particle is left", path=plan.particles.path)
    if plan.by_class:
        at_once = plan.classes_per_block
        return MergedSums(_ByClass(plan, store, ranges), at_once, counts.reshape(m, 2), look)
    totals, power = _together(sums, m, box)
    return MergedSums(lambda a, b: (totals[a:b], power[a:b]), m, counts.reshape(m, 2), look)


class _ByClass:
    """Reads the sums of some classes from the parts that hold them."""

    def __init__(self, plan: AveragePlan, store: PartStore, ranges: Sequence[PartRange]) -> None:
        self._plan, self._store = plan, store
        classes = plan.members.class_index[plan.order]
        held = [classes[part.start : part.stop] for part in ranges]
        self._held = [(part, int(c.min()), int(c.max())) for part, c in zip(ranges, held, strict=True)]

    def __call__(self, first: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return totals and powers of classes first .. stop - 1."""
        plan = self._plan
        settings = [plan.sum_settings(g) for g in range(len(plan.geometries))]
        sums = [ClassSums(replace(one, n_cells=2 * (stop - first))) for one in settings]
        for _, arrays in self._store.load_all([part for part, low, high in self._held if low < stop and high >= first]):
            for g, geometry_sums in enumerate(sums):
                geometry_sums.add_packed(arrays, f"sums_{g}_", 2 * first)
        return _together(sums, stop - first, plan.out_box)


def _together(sums: list[ClassSums], m: int, box: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add the sums of all geometries, giving back the memory of each."""
    first = sums.pop(0)
    totals, power = first.totals(), first.ctf_power()
    del first
    while sums:
        geometry_sums = sums.pop(0)
        totals += geometry_sums.totals()
        power += geometry_sums.ctf_power()
    return totals.reshape(m, 2, box, box), power.reshape(m, 2, box, box // 2 + 1)


def averages_of(plan: AveragePlan, sums: MergedSums, scratch: Path | None = None) -> ClassAverages:
    """Finish the averages: divided by their weights, filtered, with the FRC of their halves.

    Parameters
    ----------
    plan, sums
        The plan and its sums.
    scratch
        Folder for the images of halves where there are many: they are as large as all else together, and are written
        once and read once.
    """
    shape = (2, plan.n_classes, plan.out_box, plan.out_box)
    halves = None
    if scratch is not None and 4 * np.prod(shape, dtype=np.int64) > HALVES_BYTES:
        # The name goes at once: the file is there for as long as the array is.
        with tempfile.TemporaryFile(dir=scratch) as handle:
            with naming(scratch):
                reserve(handle.fileno(), 4 * int(np.prod(shape, dtype=np.int64)))
            halves = np.asarray(np.memmap(handle, np.float32, "r+", shape=shape))
    return finish_in_chunks(
        sums.read, sums.counts, box=plan.out_box, classes_at_once=sums.classes_at_once,
        mask_diameter_px=plan.mask_diameter_px, pixel_size_angstrom=plan.out_pixel_size,
        treatment=plan.settings.treatment, ssnr=plan.settings.ssnr, shared_ring=plan.shared_ring, halves=halves,
    )  # fmt: skip
