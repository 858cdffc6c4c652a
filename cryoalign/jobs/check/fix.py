"""A repaired copy of particles, where repairing changes nothing that anybody measured.

The table is written anew (line ends, optics table of RELION >= 3.1, columns that were given). Stacks are written anew
where their images are not normalised, have hot pixels, or their headers lack their marks; where only the name is
wrong, as RELION sees it, a link has the right one. Rows, their order and their poses stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.background import normalise
from cryoalign.core.tiles import TILE
from cryoalign.io.mrc import MrcHeader, unpacked
from cryoalign.io.particle_layout import as_relion31
from cryoalign.io.particle_set import IMAGE_NAME
from cryoalign.io.particles import ParticleSet, write_particles
from cryoalign.io.paths import image_name, name_from_here
from cryoalign.io.stack_writer import StackWriter
from cryoalign.io.stacks import read_images
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.pixels import Look
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory

TABLE = "particles.star"


def write_repaired(p: CheckParameters, particles: ParticleSet, looks: Sequence[Look], argv: Sequence[str]) -> Path:
    """Write particles.star, and the stacks that need repair, into the folder that was asked for.

    Parameters
    ----------
    p
        What was asked for.
    particles
        As they were read, with the columns that were given.
    looks
        What was seen of their pixels.
    argv
        The command line as typed.

    Returns
    -------
    Path
        The table.
    """
    assert p.fix is not None and particles.headers is not None
    anew = any(look.normalised is False or look.background.hot_pixels.any() for look in looks)
    noise = {look.group.box: look.stack.has_noise for look in looks}
    parameters = {"inputs": [str(path) for path in p.inputs], "columns": p.given_columns, "normalised": anew}
    with RunDirectory.begin(
        p.fix, command="check", argv=argv, parameters=parameters, overwrite=p.overwrite, threads=p.threads,
        reads=Reads(particles=p.particles, datadir=p.datadir), verbosity=-1,
    ) as run:  # fmt: skip
        run.add_inputs(particles.stacks)
        written: dict[int, str] = {}
        for index in np.unique(particles.stack_index).tolist():
            header = particles.headers[index]
            rows = np.flatnonzero(particles.stack_index == index)
            name = f"stacks/{index + 1:06d}_{_stem(header.path)}.mrcs"
            size = float(particles.pixel_size_angstrom[rows[0]])
            normalised = anew and noise.get(header.nx, False)
            if normalised or header.oddities or header.compression:
                diameter = p.mask_diameter_px(header.nx, size) if normalised else None
                _copy(header, run.scratch(), run.staged(name), size, diameter)
            elif not header.path.name.endswith(".mrcs"):
                run.staged(name).symlink_to(header.path.resolve())
            else:
                continue
            written[index] = name_from_here(p.fix / name)
        repaired = _renamed(particles, written)
        for text in write_particles(run.staged(TABLE), repaired):
            run.warn(text)
        run.commit(
            counts={"read": len(particles), "stacks written or linked": len(written)},
            relion_nodes=[(TABLE, "particles")],
        )
    return p.fix / TABLE


def _renamed(particles: ParticleSet, written: dict[int, str]) -> ParticleSet:
    """Return the particles with the names of stacks that were written."""
    particles = as_relion31(particles)
    if not written:
        return particles
    cells = particles.image_names()
    for row in np.flatnonzero(np.isin(particles.stack_index, list(written))).tolist():
        cells[row] = image_name(int(particles.frame[row]), written[int(particles.stack_index[row])])
    return particles.with_columns({IMAGE_NAME: cells})


def _copy(header: MrcHeader, scratch: Path, target: Path, pixel_size: float, diameter_px: float | None) -> None:
    """Write all images of a stack as float32, normalised where a mask says what their background is."""
    plain = unpacked(header, scratch)
    with StackWriter(target, header.count, header.nx, pixel_size) as writer:
        for start in range(0, header.count, TILE):
            images = read_images(header, plain, start, min(start + TILE, header.count))
            writer.write(start, images if diameter_px is None else _normalised(images, diameter_px))
    if plain != header.path:
        plain.unlink()


def _normalised(images: NDArray[np.float32], diameter_px: float) -> NDArray[np.float32]:
    """Return images normalised; those without a background that could be, as they are."""
    return normalise(images, diameter_px)[0]


def _stem(path: Path) -> str:
    """Return the name of a stack without its endings."""
    name = path.name
    for ending in (".gz", ".bz2", ".mrcs", ".mrc", ".st", ".map"):
        name = name.removesuffix(ending)
    return name
