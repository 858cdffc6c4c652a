"""The table of particles read for a run: its warnings said, its stacks recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.io.magnification import in_words
from cryoalign.io.particles import ParticleSet, read_particles
from cryoalign.passes.settings import TableOptions
from cryoalign.runs.rundir import RunDirectory


def read_table(p: TableOptions, run: RunDirectory, *, whole: bool = False) -> ParticleSet:
    """Read the particles of a run.

    Parameters
    ----------
    p
        Which.
    run
        The run, whose log hears of it.
    whole
        All rows, whatever the limit.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    with run.stage("read"):
        particles = read_particles(
            p.inputs, datadir=p.datadir, angpix=p.angpix, limit=None if whole else p.limit,
            apply_mag_matrix=p.apply_mag_matrix,
        )  # fmt: skip
        for text in particles.warnings:
            run.warn(text)
        if run.part is None:  # else each task looks at the stacks of its own parts, and the merge at all of them
            run.add_inputs(particles.stacks)
        run.log.info("read %d particles (%s)", len(particles), particles.dialect)
        if (corrected := in_words(particles)) is not None:
            run.log.info("%s", corrected)
    return particles


def stacks_of(particles: ParticleSet, rows: slice | NDArray[np.int64]) -> list[Path]:
    """Return the stacks that some rows (0-based) are in."""
    return [particles.stacks[index] for index in np.unique(particles.stack_index[rows]).tolist()]
