"""Particle tables as RELION >= 3.1 reads them."""

from __future__ import annotations

import os

from cryoalign.io.optics import GROUP, NEEDED_BY_RELION
from cryoalign.io.particle_joining import as_relion31
from cryoalign.io.particle_set import IMAGE_NAME, ParticleSet
from cryoalign.io.paths import split_image_names
from cryoalign.io.star import write_star


def write_particles(path: str | os.PathLike[str], particles: ParticleSet) -> list[str]:
    """Write particles in the layout of RELION >= 3.1: optics, particles, then the other blocks of the input.

    Parameters
    ----------
    path
        The STAR file.
    particles
        What to write; cells that nobody changed go out as they came in.

    Returns
    -------
    list
        What RELION will miss, one warning for each: optics columns, stacks not called .mrcs.
    """
    particles = as_relion31(particles)
    if "optics" in particles.other_blocks or "particles" in particles.other_blocks:
        raise ValueError("other blocks must not be called optics or particles")
    name = particles.block_names[0]
    write_star(path, {"optics": particles.optics, name: particles.particles, **particles.other_blocks})
    return missing_for_relion(particles)


def missing_for_relion(particles: ParticleSet) -> list[str]:
    """List what RELION needs to read these particles and the input did not have."""
    said = []
    lacking = [label for label in NEEDED_BY_RELION if label not in particles.optics]
    lacking += [label for label in (IMAGE_NAME, GROUP) if label not in particles.particles]
    if lacking:
        said.append(f"RELION needs columns that the input does not have: {', '.join(lacking)}")
    stacks = split_image_names(particles.image_names()).stacks
    others = [stack for stack in stacks if not stack.endswith((".mrcs", ":mrcs"))]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        said.append(f"RELION reads stacks only from files called .mrcs: {others[0]}{more}")
    return said
