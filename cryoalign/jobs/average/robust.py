"""Robust averages: all members of a class at once, so parts are classes and large ones go through the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.aligned_members import aligned_members, member_transfer
from cryoalign.averaging.class_averages import ClassAverages, finish_averages, wiener_average
from cryoalign.averaging.robust import SIGMA_CLIP, restore_amplitudes, robust_mean
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region
from cryoalign.jobs.average.merge import MergedSums
from cryoalign.jobs.average.part import located, member_tiles
from cryoalign.jobs.average.plan import AveragePlan
from cryoalign.jobs.parts import PartRange, PartStore

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


class RobustPart:
    """The part function: robust means of whole classes and of their halves.

    Parameters
    ----------
    plan
        The plan.
    scratch
        Where large classes are kept while they are worked on.
    """

    def __init__(self, plan: AveragePlan, scratch: Path) -> None:
        self.plan, self.scratch = plan, scratch
        memory = plan.parameters.memory
        self._limit = IN_MEMORY_BYTES if memory is None else min(IN_MEMORY_BYTES, memory // _MEMORY_SHARE)
        self._by_class = np.lexsort((plan.members.particle, plan.members.class_index))
        self._starts = np.searchsorted(plan.members.class_index[self._by_class], np.arange(plan.n_classes + 1))

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Average the classes ``part.start`` .. ``part.stop``.

        Returns
        -------
        dict
            ``means`` and ``transfer`` of all members and of either half, (classes, 3, ...); ``counts`` (classes, 2);
            ``members`` and ``skipped`` of the memberships that were looked at.
        """
        plan, p = self.plan, self.plan.parameters
        box, n = plan.out_box, part.stop - part.start
        means = np.zeros((n, 3, box, box))
        transfer = np.zeros((n, 3, box, box // 2 + 1))
        counts = np.zeros((n, 2), np.int64)
        members = self._by_class[self._starts[part.start] : self._starts[part.stop]]
        skipped = np.zeros(len(members), np.int8)
        first = self._starts[part.start]
        for i, c in enumerate(range(part.start, part.stop)):
            here = slice(self._starts[c] - first, self._starts[c + 1] - first)
            with self._room(c, here.stop - here.start) as aligned:
                half = self._fill(aligned, members[here], skipped[here], transfer[i])
                pixels = aligned[: len(half)].reshape(len(half), -1)
                counts[i] = np.bincount(half, minlength=2)
                for j, chosen in enumerate((slice(None), half == 0, half == 1)):
                    some = pixels if j == 0 else pixels[chosen]
                    if len(some):
                        mean = robust_mean(some, p.robust or "median", p.sigma_clip or SIGMA_CLIP)
                        means[i, j] = mean.reshape(box, box)
                        transfer[i, j] /= len(some)
        return {"means": means, "transfer": transfer, "counts": counts, "members": members, "skipped": skipped}

    def _fill(self, aligned, members, skipped, transfer):  # type: ignore[no-untyped-def]
        """Align the members of one class into ``aligned``, add up their T, and return the half of each."""
        plan = self.plan
        halves: list[NDArray] = []
        done = 0
        for tile in member_tiles(plan, members, skipped):
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
        if 4 * int(np.prod(shape)) <= self._limit:
            yield np.empty(shape, np.float32)
            return
        path = self.scratch / f"class-{c:06d}.raw"
        try:
            yield np.memmap(path, np.float32, "w+", shape=shape)
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
    m, box, p = plan.n_classes, plan.out_box, plan.parameters
    means, transfer = np.zeros((m, 3, box, box)), np.zeros((m, 3, box, box // 2 + 1))
    counts = np.zeros((m, 2), np.int64)
    skipped = np.zeros(len(plan.members), np.int8)
    for part, arrays in store.load_all(ranges):
        classes = slice(part.start, part.stop)
        means[classes], transfer[classes], counts[classes] = arrays["means"], arrays["transfer"], arrays["counts"]
        skipped[arrays["members"]] = arrays["skipped"]
    if not counts.any():
        raise InputError("no usable particle is left", path=plan.particles.path)
    everyone = np.concatenate([counts.sum(axis=1)[:, None], counts], axis=1)
    totals, power = restore_amplitudes(
        means.reshape(-1, box, box), transfer.reshape(-1, box, box // 2 + 1), everyone.reshape(-1)
    )
    totals, power = totals.reshape(m, 3, box, box), power.reshape(m, 3, box, box // 2 + 1)
    sums = MergedSums(totals[:, 1:], power[:, 1:], counts, skipped)
    halves = finish_averages(
        sums.totals, sums.power, counts, mask_diameter_px=plan.mask_diameter_px,
        pixel_size_angstrom=plan.out_pixel_size, treatment=p.treatment, ssnr=p.ssnr, shared_ring=plan.shared_ring,
    )  # fmt: skip
    averages = means[:, 0].astype(np.float32)
    if p.treatment == "wiener":
        outside = background_region(box, plan.mask_diameter_px)
        for c in np.flatnonzero(everyone[:, 0]):
            ssnr = halves.ssnr_per_image[c] if p.ssnr is None else np.full(box // 2 + 1, p.ssnr)
            averages[c] = wiener_average(totals[c, 0], power[c, 0], ssnr, outside)
    return sums, replace(halves, averages=averages)
