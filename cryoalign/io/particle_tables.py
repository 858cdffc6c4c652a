"""Particle tables for work that needs no pixels: the stacks may be absent, and those that are here are named right."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cryoalign.core.errors import InputError
from cryoalign.io.particle_layout import join_particles
from cryoalign.io.particle_reading import read_particles
from cryoalign.io.particle_set import IMAGE_NAME, ParticleSet
from cryoalign.io.paths import image_name, is_found_here, name_from_here, search_folders

_TABLES = (".star", ".cs")


def read_particle_tables(
    paths: Sequence[Path | str], *, datadir: Path | None = None, angpix: float | None = None
) -> tuple[ParticleSet, list[str]]:
    """Read particles without need of their stacks.

    Stacks are looked for where `read_particles` does: one that lies elsewhere than its name says gets the name by which
    it is found from the current folder; one that is not found keeps its name as written. Stacks are opened only where
    the table lacks what RELION needs from them (the box, the pixel size).

    Parameters
    ----------
    paths
        Input files: .star, .cs, or stacks, which are opened.
    datadir, angpix
        As for `read_particles`.

    Returns
    -------
    tuple
        The particles, and the names of the stacks that were not found.

    Raises
    ------
    InputError
        As `read_particles`, but for stacks.
    """
    if not paths:
        raise InputError("no input particles")
    sets, missing = [], []
    for path in map(Path, paths):
        particles, lacking = _read_one(path, datadir, angpix)
        sets.append(particles)
        missing += lacking
    joined = sets[0] if len(sets) == 1 else join_particles(sets)
    return joined, list(dict.fromkeys(missing))


def _read_one(path: Path, datadir: Path | None, angpix: float | None) -> tuple[ParticleSet, list[str]]:
    if not path.name.lower().endswith(_TABLES):
        return read_particles([path], datadir=datadir, angpix=angpix), []
    particles = None
    try:
        particles = read_particles([path], datadir=datadir, angpix=angpix, check_stacks=False)
    except InputError:
        if not path.is_file():
            raise
    if particles is None or not (particles.box > 0).all():
        with suppress(InputError):  # the stacks know what the table does not say
            return read_particles([path], datadir=datadir, angpix=angpix), []
    if particles is None:
        # What a table without its stacks lacks is the better thing to say.
        particles = read_particles([path], datadir=datadir, angpix=angpix, check_stacks=False)
    return _with_names_from_here(particles, path, datadir)


def _with_names_from_here(particles: ParticleSet, path: Path, datadir: Path | None) -> tuple[ParticleSet, list[str]]:
    folders = search_folders(path, datadir=datadir, project=particles.dialect == "cs")
    renamed: dict[int, str] = {}
    missing = []
    for index, stack in enumerate(particles.stacks):
        found = folders.find(str(stack))
        if not found:
            missing.append(str(stack))
        elif not is_found_here(str(stack), found[0]):
            renamed[index] = name_from_here(found[0])
    if not renamed:
        return particles, missing
    cells = particles.image_names()
    for row in np.flatnonzero(np.isin(particles.stack_index, list(renamed))).tolist():
        cells[row] = image_name(int(particles.frame[row]), renamed[int(particles.stack_index[row])])
    done = particles.with_columns({IMAGE_NAME: cells})
    first = next(iter(renamed))
    more = f" (and {len(renamed) - 1} more)" if len(renamed) > 1 else ""
    done.warnings.append(f"{path}: {particles.stacks[first]} found at, and written as, {renamed[first]}{more}")
    return done, missing
