"""The half set of each particle of a table, by the same rule in every command."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.averaging.halves import assign_halves
from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet

TUBE, SUBSET = "rlnHelicalTubeID", "rlnRandomSubset"
SHARED_RESOLUTION = "cryoalignSharedResolution"
"""Column of particles whose halves were refined apart: at finer resolution (A) than this they share nothing."""
LOPSIDED = 0.1
"""Halves are said to be lopsided where one has less than this share of the particles."""


def given_subset(particles: ParticleSet) -> NDArray[np.int8] | None:
    """Return rlnRandomSubset (1 or 2), (n,); None where there is none, it puts everything into one half, or cuts tubes.

    Raises
    ------
    InputError
        If a value is none of 1, 2.
    """
    subset = particles.random_subset()
    if subset is None or (subset == subset[0]).all() or cut_tubes(particles)[0]:
        return None
    return subset


def parted_by(particles: ParticleSet) -> str:
    """Say in words by what `half_sets` parts particles."""
    by_name = "a hash of the tube" if TUBE in particles.particles else "a hash of the image name"
    return SUBSET if given_subset(particles) is not None else by_name


def half_sets(particles: ParticleSet) -> NDArray[np.int8]:
    """Return the half set (0 or 1) of each particle: rlnRandomSubset, else by name; segments of a tube stay together.

    Neighbouring segments share pixels, so that rlnRandomSubset is not followed where it cuts tubes (see `cut_tubes`).

    Raises
    ------
    InputError
        If rlnRandomSubset is neither 1 nor 2.
    """
    return np.asarray(assign_halves(particles.image_names(), given_subset(particles), _tubes(particles)), np.int8)


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


def said_of_halves(particles: ParticleSet, half: NDArray[np.int8]) -> list[str]:
    """List what the user should know of the halves before they are used: none were given, or they are lopsided."""
    said, subset, cut = [], particles.random_subset(), cut_tubes(particles)
    if SUBSET in particles.particles and (subset is None or (subset == subset[0]).all()):
        value = 0 if subset is None else int(subset[0])
        said.append(f"{SUBSET} is {value} for all particles: halves are made by {parted_by(particles)} instead")
    elif cut[0]:
        said.append(f"{SUBSET} puts segments of {cut[0]} of {cut[1]} tubes into both halves: halves go by tube instead")
    counts = np.bincount(half, minlength=2)
    small = int(np.argmin(counts))
    if 0 < counts[small] < LOPSIDED * len(half):
        said.append(
            f"half {small + 1} holds {counts[small]} of {len(half)} particles (by {parted_by(particles)}): what is "
            "read from halves, such as a resolution, is hardly known"
        )
    return said


def refuse_empty_half(particles: ParticleSet, half: NDArray[np.int8]) -> None:
    """Refuse particles that are all in one half, where halves are to be refined apart.

    Raises
    ------
    InputError
        Says by what they were parted.
    """
    if len(np.unique(half)) < 2:
        raise InputError(
            f"all {len(half)} particles are in one half, by {parted_by(particles)}: there are no two to refine apart",
            path=particles.path, hint="--no-halves does without, and column rlnRandomSubset (1 or 2) says who is where",
        )  # fmt: skip
