"""The table of particles read for a run: its warnings said, its stacks recorded."""

from __future__ import annotations

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
        run.add_inputs(particles.stacks)
        run.log.info("read %d particles (%s)", len(particles), particles.dialect)
        if (corrected := in_words(particles)) is not None:
            run.log.info("%s", corrected)
    return particles
