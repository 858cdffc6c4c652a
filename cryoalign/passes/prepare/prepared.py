"""The stages that every command begins with which compares particles: read, plan, prepare in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.tiles import TILE
from cryoalign.io.mrc import HEADER_BYTES
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stack_writer import StackPlace
from cryoalign.io.writing import new_map
from cryoalign.passes.images import ParticleImages
from cryoalign.passes.prepare.part import PrepareWork
from cryoalign.passes.prepare.plan import PreparePlan, plan_preparation
from cryoalign.passes.prepare.settings import ComparisonSettings
from cryoalign.passes.reading import stacks_of
from cryoalign.runs.lock import exclusive
from cryoalign.runs.parts import plan_parts
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import do_parts

FEWEST = 4
"""Particles below which there is nothing to compare."""
_STORE = "prepared-parts"
_PART_ROWS = 512
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Prepared:
    """Particles made comparable.

    Parameters
    ----------
    plan
        How.
    images
        The m usable ones, float32 (m, box, box), not masked; on disk.
    rows
        Their 0-based rows in the table, ascending, (m,).
    look
        What reading found of the image of each row, ``LOOK`` of ``cryoalign.passes.bad_rows``, (n,).
    """

    plan: PreparePlan
    images: NDArray[np.float32]
    rows: NDArray[np.int64]
    look: NDArray

    @property
    def particles(self) -> ParticleSet:
        """The whole table."""
        return self.plan.particles


def prepare(
    settings: ComparisonSettings,
    images: ParticleImages,
    run: RunDirectory,
    *,
    block_size: int | None = None,
    fewest: int = FEWEST,
) -> Prepared | None:
    """Prepare the particles in parts that are kept until the run commits.

    Parameters
    ----------
    settings, images, run
        How particles are compared, the particles, and the run.
    block_size
        Rows of a part; None = 512.
    fewest
        Particles below which there is nothing to compare.

    Returns
    -------
    Prepared or None
        None where this task of a job array is not all of it.

    Raises
    ------
    InputError
        For anything the user can mend; where fewer particles are usable than ``fewest``.
    """
    with run.stage("plan"):
        plan = plan_preparation(settings, images, warn=run.warn)
        _log_plan(plan, run)
    n, particles = len(images), images.particles
    place = StackPlace(run.scratch() / "prepared.mrcs", n, plan.box, plan.pixel_size_angstrom)
    ranges, store = plan_parts(n, block_size or _PART_ROWS), run.parts(_STORE)
    with exclusive(run.work):
        writer = place.open()
    with writer:
        there = do_parts(
            run, PrepareWork(plan, place), ranges, store=_STORE, words="preparing", stage="prepare",
            worker_bytes=plan.thread_bytes, inputs=lambda part: stacks_of(particles, slice(part.start, part.stop)),
        )  # fmt: skip
    if not there:
        return None
    arrays = [arrays for _, arrays in store.load_all(ranges)]
    look = np.concatenate([one["look"] for one in arrays])
    rows_used = np.flatnonzero(look["reason"] == 0)
    if len(rows_used) < fewest:
        raise InputError(
            f"only {len(rows_used)} usable particles: neighbours need at least {fewest}", path=particles.path
        )
    _warn_of_twins(particles, rows_used, np.concatenate([one["digest"] for one in arrays])[rows_used], run)
    return Prepared(plan, _images(place, rows_used), rows_used, look)


def _images(place: StackPlace, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Map the prepared images; where rows are missing, copy the others into a file of their own first."""
    shape = (place.count, place.box, place.box)
    every = np.memmap(place.path, dtype="<f4", mode="r", offset=HEADER_BYTES, shape=shape)
    if len(rows) == place.count:
        return every
    packed_path = place.path.with_name("usable.f32")
    packed = new_map(packed_path, (len(rows), *shape[1:]))
    for start in range(0, len(rows), 64 * TILE):
        packed[start : start + 64 * TILE] = every[rows[start : start + 64 * TILE]]
    del packed
    return np.memmap(packed_path, dtype="<f4", mode="r", shape=(len(rows), *shape[1:]))


def _warn_of_twins(
    particles: ParticleSet, rows: NDArray[np.int64], digest: NDArray[np.uint64], run: RunDirectory
) -> None:
    """Say which particles have the very pixels of another: their distance is 0 and says nothing."""
    _, first, inverse = np.unique(digest, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(rows)))
    if len(again):
        pairs = [
            f"{particles.where(int(rows[a]))[1]} = {particles.where(int(rows[first[inverse[a]]]))[1]}"
            for a in again[:_NAMED]
        ]
        more = f" and {len(again) - _NAMED} more" if len(again) > _NAMED else ""
        run.warn(
            f"{len(again)} images are identical to others (rows {', '.join(pairs)}{more}): such neighbours say nothing"
        )


def _log_plan(plan: PreparePlan, run: RunDirectory) -> None:
    run.log.info(
        "comparing at %d px, %.4g A per pixel (from %d px at %g A); mask %.0f A; CTF %s; noise %s",
        plan.box, plan.pixel_size_angstrom, plan.raw_box, plan.raw_pixel_size, plan.mask_diameter_angstrom,
        "phases corrected" if plan.ctf is not None else "not corrected",
        "whitened" if plan.settings.whiten else "not whitened",
    )  # fmt: skip
