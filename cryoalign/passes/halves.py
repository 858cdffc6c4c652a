"""The half set of each particle of a table, by the same rule in every command."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.halves import assign_halves
from cryoalign.io.particles import ParticleSet

TUBE = "rlnHelicalTubeID"
SHARED_RESOLUTION = "cryoalignSharedResolution"
"""Column of particles whose halves were refined apart: at finer resolution (A) than this they share nothing."""


def parted_by(particles: ParticleSet) -> str:
    """Say in words by what `half_sets` parts particles."""
    by_name = "a hash of the tube" if TUBE in particles.particles else "a hash of the image name"
    return "rlnRandomSubset" if "rlnRandomSubset" in particles.particles else by_name


def half_sets(particles: ParticleSet) -> NDArray[np.int8]:
    """Return the half set (0 or 1) of each particle: rlnRandomSubset, else by name; segments of a tube stay together.

    Raises
    ------
    InputError
        If rlnRandomSubset is neither 1 nor 2.
    """
    names = particles.image_names()
    micrographs, tubes = particles.micrograph_names(), None
    if TUBE in particles.particles:
        ids = particles.particles[TUBE].tolist()
        tubes = [f"{m} {t}" for m, t in zip(micrographs or [""] * len(ids), ids, strict=True)]
    return np.asarray(assign_halves(names, particles.random_subset(), tubes), np.int8)
