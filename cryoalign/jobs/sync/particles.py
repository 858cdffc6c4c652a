"""The particles that a graph is of: given, or named by the run that made the graph; their names are checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.edge_table import EdgeTable, with_named_rows, with_rows
from cryoalign.io.image_index import other_images
from cryoalign.io.magnification import with_magnification
from cryoalign.io.particle_tables import read_particle_tables
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.sync.named_by_run import named_by_run
from cryoalign.jobs.sync.parameters import SyncParameters
from cryoalign.runs.rundir import RunDirectory


def particles_of(p: SyncParameters, table: EdgeTable, run: RunDirectory) -> tuple[EdgeTable, ParticleSet | None]:
    """Return the edges, as edges between particles where these are known, and the particles.

    Given particles must be those of the graph. Those that the run of the graph names are used if they are still there
    and are the same; else a warning says why not.

    Raises
    ------
    InputError
        If the given particles are not those of the graph.
    """
    named = named_by_run(table.path)
    corrected = named is not None and named.corrected
    if p.particles:
        return _attached(table, _read(p.particles, p.datadir, p.angpix, run, corrected), run)
    if named is None:
        return table, None
    paths, datadir, angpix, _ = named
    missing = [path for path in paths if not path.is_file()]
    try:
        if missing:
            raise InputError("not found from here", path=missing[0])
        run.add_inputs(paths)
        particles = _read(paths, p.datadir or datadir, p.angpix or angpix, run, corrected)
        found = _attached(table, particles, run)
    except InputError as error:
        run.warn(f"no particles.star: the particles of this graph cannot be used ({error}); give them with --particles")
        return table, None
    run.log.info("particles of the graph: %s", ", ".join(map(str, paths)))
    return found


def _read(
    paths: Sequence[Path], datadir: Path | None, angpix: float | None, run: RunDirectory, corrected: bool
) -> ParticleSet:
    particles, _ = read_particle_tables(paths, datadir=datadir, angpix=angpix)
    if corrected:
        particles = with_magnification(particles)
    for text in particles.warnings:
        run.warn(text)
    return particles


def _attached(table: EdgeTable, particles: ParticleSet, run: RunDirectory) -> tuple[EdgeTable, ParticleSet]:
    """Return the edges as edges between particles, and the particles that are nodes."""
    names = np.array(particles.image_names(), dtype=np.str_)
    of = f"of {len(names)} particles"
    if table.node.dtype.kind != "i":
        return with_named_rows(table, names, of), particles
    if not table.rows_of_particles:
        return with_rows(table, len(names), names, of), particles
    n = table.n
    if n > len(names):
        raise _others(f"a graph of {n} particles, not of these {len(names)}", table)
    if table.name is not None:
        _refuse_other_names(table, names[:n])
    elif n != len(names):
        raise _others(f"a graph of {n} nodes without names, and {len(names)} particles", table)
    if n < len(names):
        run.warn(f"the graph is of the first {n} of {len(names)} particles: the others are left out")
        particles = particles.take(np.arange(n))
    return with_rows(table, n, names[:n], of), particles


def _refuse_other_names(table: EdgeTable, names: NDArray[np.str_]) -> None:
    """Refuse particles with other names; the same images of the same stacks in another folder are welcome."""
    assert table.name is not None
    for row in other_images(table.name.tolist(), names.tolist())[:1].tolist():
        raise _others(f"a graph of other particles: row {row + 1} is {table.name[row]}, not {names[row]}", table)


def _others(what: str, table: EdgeTable) -> InputError:
    return InputError(what, path=table.path, hint="give the particles, in the order, from which the graph was made")
