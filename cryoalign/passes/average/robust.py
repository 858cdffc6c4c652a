"""Robust averages: all members of a class at once, so parts are classes and large ones go through the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.aligned_members import aligned_members, member_transfer
from cryoalign.averaging.class_averages import ClassAverages, wiener_average
from cryoalign.averaging.robust import SIGMA_CLIP, restore_amplitudes, robust_mean
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region
from cryoalign.io.writing import new_map
from cryoalign.passes.average.merge import MERGE_BYTES, MergedSums, averages_of
from cryoalign.passes.average.part import located, member_tiles
from cryoalign.passes.average.plan import AveragePlan, sums_bytes
from cryoalign.passes.bad_rows import LOOK
from cryoalign.runs.parts import PartRange, PartStore
from cryoalign.runs.work import PureWork

IN_MEMORY_BYTES = 64 * 2**20
"""Aligned members of one class beyond this are kept in a file of the run's scratch folder."""
_MEMORY_SHARE = 16
_PART_MEMBERS = 512


def class_ranges(plan: AveragePlan) -> list[PartRange]:
    """Cut the classes into parts of at least 512 members, in order; a part is a range of 0-based classes."""
    members = np.bincount(plan.members.class_index, minlength=plan.n_classes)
    ranges: list[PartRange] = []
    start = count = 0
    for c in range(plan.n_classes):
        count += int(members[c])
        if count >= _PART_MEMBERS or c == plan.n_classes - 1:
            ranges.append(PartRange(len(ranges), start, c + 1))
            start, count = c + 1, 0
    return ranges


@dataclass(frozen=True, eq=False)
class RobustPart(PureWork):
    """The part function: robust means of whole classes and of their halves.

    Parameters
    ----------
    plan
        The plan.
    scratch
        Where large classes are kept while they are worked on.
    """

    plan: AveragePlan
    scratch: Path

    @cached_property
    def _by_class(self) -> NDArray[np.int64]:
        """Memberships, those of a class together."""
        return np.lexsort((self.plan.members.particle, self.plan.members.class_index))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where the members of each class begin, (m + 1,)."""
        return np.searchsorted(self.plan.members.class_index[self._by_class], np.arange(self.plan.n_classes + 1))

    def count_members(self, part: PartRange) -> int:
        """Count the members of the classes of a part."""
        return int(self._starts[part.stop] - self._starts[part.start])

    def members_of(self, part: PartRange) -> NDArray[np.int64]:
        """Return the memberships of the classes of a part."""
        return self._by_class[self._starts[part.start] : self._starts[part.stop]]

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Average the classes ``part.start`` .. ``part.stop``.

        Returns
        -------
        dict
            ``means`` and ``transfer`` of all members and of either half, (classes, 3, ...); ``counts`` (classes, 2);
            ``members`` and ``look`` of the memberships that were looked at.
        """
        plan, p = self.plan, self.plan.settings
        box, n = plan.out_box, part.stop - part.start
        means = np.zeros((n, 3, box, box))
        transfer = np.zeros((n, 3, box, box // 2 + 1))
        counts = np.zeros((n, 2), np.int64)
        members = self.members_of(part)
        look = np.zeros(len(members), LOOK)
        first = self._starts[part.start]
        for i, c in enumerate(range(part.start, part.stop)):
            here = slice(self._starts[c] - first, self._starts[c + 1] - first)
            with self._room(c, here.stop - here.start) as aligned:
                half = self._fill(aligned, members[here], look[here], transfer[i])
                pixels = aligned[: len(half)].reshape(len(half), -1)
                counts[i] = np.bincount(half, minlength=2)
                for j, chosen in enumerate((slice(None), half == 0, half == 1)):
                    some = pixels if j == 0 else pixels[chosen]
                    if len(some):
                        mean = robust_mean(some, p.robust or "median", p.sigma_clip or SIGMA_CLIP)
                        means[i, j] = mean.reshape(box, box)
                        transfer[i, j] /= len(some)
        return {"means": means, "transfer": transfer, "counts": counts, "members": members, "look": look}

    def _fill(
        self, aligned: NDArray[np.float32], members: NDArray[np.int64], look: NDArray, transfer: NDArray[np.float64],
    ) -> NDArray[np.int8]:  # fmt: skip
        """Align the members of one class into ``aligned``, add up their T, and return the half of each."""
        plan = self.plan
        halves: list[NDArray] = []
        done = 0
        for tile in member_tiles(plan, members, look):
            settings = plan.sum_settings(tile.g)
            half = plan.half[plan.members.particle[tile.members]]
            with located(plan, tile):
                aligned[done : done + len(half)] = aligned_members(tile.images, tile.poses, tile.ctf, settings)
            values = member_transfer(tile.poses, tile.ctf, settings)
            for j, chosen in enumerate((slice(None), half == 0, half == 1)):
                transfer[j] += len(half[chosen]) if values is None else values[chosen].sum(axis=0, dtype=np.float64)
            halves.append(half)
            done += len(half)
        return np.concatenate(halves) if halves else np.zeros(0, np.int8)

    @contextmanager
    def _room(self, c: int, count: int) -> Iterator[NDArray[np.float32]]:
        """Give room for the aligned members of a class: memory, or a file that is removed afterwards."""
        shape = (count, self.plan.out_box, self.plan.out_box)
        memory = self.plan.settings.memory
        limit = IN_MEMORY_BYTES if memory is None else min(IN_MEMORY_BYTES, memory // _MEMORY_SHARE)
        if 4 * int(np.prod(shape)) <= limit:
            yield np.empty(shape, np.float32)
            return
        path = self.scratch / f"class-{c:06d}.raw"
        try:
            yield new_map(path, shape)
        finally:
            path.unlink(missing_ok=True)


def merge_robust(plan: AveragePlan, store: PartStore, ranges: Sequence[PartRange]) -> tuple[MergedSums, ClassAverages]:
    """Put the parts together and finish the averages.

    Halves are compared as sums would be (see :func:`cryoalign.averaging.robust.restore_amplitudes`); the average of a
    class is that of all its members, not of its halves.

    Raises
    ------
    InputError
        If no particle is left.
    """
    m, box, p = plan.n_classes, plan.out_box, plan.settings
    counts = np.zeros((m, 2), np.int64)
    look = np.zeros(len(plan.members), LOOK)
    averages = np.zeros((m, box, box), np.float32)
    for part, arrays in store.load_all(ranges):
        counts[part.start : part.stop] = arrays["counts"]
        averages[part.start : part.stop] = arrays["means"][:, 0]
        look[arrays["members"]] = arrays["look"]
    if not counts.any():
        raise InputError("no usable particle is left", path=plan.particles.path)
    restored = _Restored(store, ranges, counts, box)
    at_once = max(1, MERGE_BYTES // sums_bytes(1, box))
    sums = MergedSums(restored.halves, at_once, counts, look)
    found = averages_of(plan, sums)
    if p.treatment == "wiener":
        outside = background_region(box, plan.mask_diameter_px)
        for first in range(0, m, at_once):
            totals, power = restored.read(first, min(first + at_once, m))
            for i, c in enumerate(range(first, first + len(totals))):
                if counts[c].any():
                    ssnr = found.ssnr_per_image[c] if p.ssnr is None else np.full(box // 2 + 1, p.ssnr)
                    averages[c] = wiener_average(totals[i, 0], power[i, 0], ssnr, outside)
    return sums, replace(found, averages=averages)


class _Restored:
    """Reads robust means from their parts as the sums that they stand for: of all members and of either half."""

    def __init__(self, store: PartStore, ranges: Sequence[PartRange], counts: NDArray[np.int64], box: int) -> None:
        self._store, self._ranges, self._box = store, ranges, box
        self._counts = np.concatenate([counts.sum(axis=1)[:, None], counts], axis=1)

    def read(self, first: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return totals and powers of classes first .. stop - 1, (k, 3, L, L) and (k, 3, L, L // 2 + 1)."""
        box = self._box
        totals = np.zeros((stop - first, 3, box, box))
        power = np.zeros((stop - first, 3, box, box // 2 + 1))
        holding = [part for part in self._ranges if part.start < stop and part.stop > first]
        for part, arrays in self._store.load_all(holding):
            for c in range(max(first, part.start), min(stop, part.stop)):
                one = arrays["means"][c - part.start], arrays["transfer"][c - part.start], self._counts[c]
                totals[c - first], power[c - first] = restore_amplitudes(*one)
        return totals, power

    def halves(self, first: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what `read` does, of the halves only."""
        totals, power = self.read(first, stop)
        return totals[:, 1:], power[:, 1:]
