"""The half set of each particle of a table, by the same rule in every command."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.averaging.halves import assign_halves
from cryoalign.io.particles import ParticleSet

TUBE, SUBSET = "rlnHelicalTubeID", "rlnRandomSubset"
SHARED_RESOLUTION = "cryoalignSharedResolution"
"""Column of particles whose halves were refined apart: at finer resolution (A) than this they share nothing."""


def parted_by(particles: ParticleSet) -> str:
    """Say in words by what `half_sets` parts particles."""
    if subset_rules(particles):
        return SUBSET
    return "a hash of the tube" if TUBE in particles.particles else "a hash of the image name"


def half_sets(particles: ParticleSet) -> NDArray[np.int8]:
    """Return the half set (0 or 1) of each particle: rlnRandomSubset, else by name; segments of a tube stay together.

    Neighbouring segments share pixels, so that rlnRandomSubset is not followed where it cuts tubes (see `cut_tubes`).

    Raises
    ------
    InputError
        If rlnRandomSubset is neither 1 nor 2.
    """
    subset = particles.random_subset() if subset_rules(particles) else None
    return np.asarray(assign_halves(particles.image_names(), subset, _tubes(particles)), np.int8)


def subset_rules(particles: ParticleSet) -> bool:
    """Tell whether rlnRandomSubset is there, and leaves every tube whole."""
    return SUBSET in particles.particles and not cut_tubes(particles)[0]


def cut_tubes(particles: ParticleSet) -> tuple[int, int]:
    """Return of how many tubes rlnRandomSubset puts some segments into each half, and how many tubes there are."""
    tubes = _tubes(particles)
    if tubes is None or SUBSET not in particles.particles:
        return 0, 0
    # Whether these are halves at all is asked where they are used.
    subset = pd.to_numeric(particles.particles[SUBSET], errors="coerce")
    halves = subset.groupby(np.array(tubes, dtype=object), sort=False).nunique()
    return int((halves > 1).sum()), len(halves)


def _tubes(particles: ParticleSet) -> list[str] | None:
    """Return the tube of each particle, by names that are unique over micrographs; None where there are no tubes."""
    if TUBE not in particles.particles:
        return None
    ids = particles.particles[TUBE].tolist()
    micrographs = particles.micrograph_names() or [""] * len(ids)
    return [f"{m} {t}" for m, t in zip(micrographs, ids, strict=True)]
