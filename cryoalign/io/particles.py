"""Particles in and out: the public face of the modules that hold, read and write particle tables."""

from cryoalign.io.particle_layout import missing_for_relion, write_particles
from cryoalign.io.particle_reading import read_particles
from cryoalign.io.particle_set import BoxGroup, ParticleSet

__all__ = ["BoxGroup", "ParticleSet", "missing_for_relion", "read_particles", "write_particles"]
