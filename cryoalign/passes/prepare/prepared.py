"""The stages that every command begins with which compares particles: read, plan, prepare in parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.pair_kernels import score_rows
from cryoalign.core.errors import InputError
from cryoalign.core.tiles import TILE
from cryoalign.io.magnification import in_words
from cryoalign.io.mrc import HEADER_BYTES
from cryoalign.io.particles import ParticleSet, read_particles
from cryoalign.io.stack_writer import StackWriter
from cryoalign.passes.prepare.part import PreparePart
from cryoalign.passes.prepare.plan import PreparePlan, plan_preparation
from cryoalign.passes.prepare.settings import ComparisonParameters
from cryoalign.run.cpus import threads_within
from cryoalign.run.kernels import say_if_kernels_must_compile
from cryoalign.run.lock import exclusive
from cryoalign.run.parts import plan_parts, run_parts, select_parts
from cryoalign.run.rundir import RunDirectory
from cryoalign.run.runlog import progress

DEFAULT_K = 50
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
    skipped
        0, or why a row was left out (key of ``cryoalign.passes.bad_rows.REASONS``), (n,).
    """

    plan: PreparePlan
    images: NDArray[np.float32]
    rows: NDArray[np.int64]
    skipped: NDArray[np.int8]

    @property
    def particles(self) -> ParticleSet:
        """The whole table."""
        return self.plan.particles


def read_for_comparison(p: ComparisonParameters, run: RunDirectory) -> ParticleSet:
    """Read the table, say its warnings, and record its stacks."""
    with run.stage("read"):
        particles = read_particles(
            p.inputs, datadir=p.datadir, angpix=p.angpix, limit=p.limit, apply_mag_matrix=p.apply_mag_matrix
        )
        for text in particles.warnings:
            run.warn(text)
        run.add_inputs(particles.stacks)
        run.log.info("read %d particles (%s)", len(particles), particles.dialect)
        if (text := in_words(particles)) is not None:
            run.log.info("%s", text)
    return particles


def prepare(
    p: ComparisonParameters,
    particles: ParticleSet,
    run: RunDirectory,
    *,
    merge_only: bool = False,
    fewest: int = FEWEST,
) -> Prepared | None:
    """Prepare the particles in parts that are kept until the run commits.

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
        say_if_kernels_must_compile(run.log, score_rows)
        plan = plan_preparation(p, particles, scratch=run.scratch("unpacked"), warn=run.warn)
        _log_plan(plan, run)
    n, path = len(particles), run.scratch() / "prepared.mrcs"
    ranges, store = plan_parts(n, p.block_size or _PART_ROWS), run.parts(_STORE)
    if not merge_only or store.missing() or store.plan() is None:
        with exclusive(run.work):
            writer = StackWriter(path, n, plan.box, plan.pixel_size_angstrom, keep_existing=True)
        mine = select_parts(ranges, p.part)
        done = {part.index for part in mine if store.has(part.index)}
        before = sum(len(part) for part in mine if part.index in done)
        rows = sum(len(part) for part in mine)
        with (
            writer,
            run.stage("prepare"),
            progress(run.log, "preparing", rows, done=before, verbosity=run.verbosity) as counter,
        ):
            run_parts(
                ranges,
                PreparePart(plan, writer),
                store,
                workers=threads_within(p.threads, p.memory, _thread_bytes(plan), run.warn),
                which=p.part,
                on_done=lambda part: None if part.index in done else counter.update(len(part)),
                should_stop=run.aborted,
            )
    if p.part is not None and (p.part[1] > 1 or store.missing()):
        return None
    arrays = [arrays for _, arrays in store.load_all(ranges)]
    skipped = np.concatenate([one["skipped"] for one in arrays])
    rows_used = np.flatnonzero(skipped == 0)
    if len(rows_used) < fewest:
        raise InputError(
            f"only {len(rows_used)} usable particles: neighbours need at least {fewest}", path=particles.path
        )
    _warn_of_twins(particles, rows_used, np.concatenate([one["digest"] for one in arrays])[rows_used], run)
    return Prepared(plan, _images(path, n, plan.box, rows_used), rows_used, skipped)


def neighbour_count(p: ComparisonParameters, usable: int, run: RunDirectory) -> int:
    """Return k: as asked for, else 50, or what there is.

    Raises
    ------
    InputError
        If more neighbours were asked for than there are other particles.
    """
    if p.k is not None and p.k >= usable:
        raise InputError(
            f"-k {p.k} neighbours need at least {p.k + 1} usable particles", value=usable,
            path=p.inputs[0] if len(p.inputs) == 1 else None, hint=f"give -k {usable - 1} or less",
        )  # fmt: skip
    k = p.k or min(DEFAULT_K, usable - 1)
    if k < DEFAULT_K and p.k is None:
        run.warn(f"{usable} particles have only {k} neighbours each, not {DEFAULT_K}")
    return k


def _images(path: Path, n: int, box: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Map the prepared images; where rows are missing, copy the others into a file of their own first."""
    every = np.memmap(path, dtype="<f4", mode="r", offset=HEADER_BYTES, shape=(n, box, box))
    if len(rows) == n:
        return every
    packed_path = path.with_name("usable.f32")
    packed = np.memmap(packed_path, dtype="<f4", mode="w+", shape=(len(rows), box, box))
    for start in range(0, len(rows), 64 * TILE):
        packed[start : start + 64 * TILE] = every[rows[start : start + 64 * TILE]]
    packed.flush()
    return np.memmap(packed_path, dtype="<f4", mode="r", shape=packed.shape)


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


def _thread_bytes(plan: PreparePlan) -> int:
    """Estimate the memory of one thread in bytes: a tile of raw images, twice, with its spectra, and the small ones."""
    largest = max(g.box for g in plan.geometries)
    return 4 * TILE * (4 * largest**2 + 8 * plan.box**2)


def _log_plan(plan: PreparePlan, run: RunDirectory) -> None:
    p = plan.parameters
    run.log.info(
        "comparing at %d px, %.4g A per pixel (from %d px at %g A); mask %.0f A; CTF %s; noise %s",
        plan.box, plan.pixel_size_angstrom, plan.raw_box, plan.raw_pixel_size, plan.mask_diameter_angstrom,
        "phases corrected" if plan.ctf is not None else "not corrected", "whitened" if p.whiten else "not whitened",
    )  # fmt: skip
