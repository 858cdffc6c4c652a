"""Rows that show the same thing: the same image twice, or centres that lie together on a micrograph.

The centre of a particle on its micrograph is its coordinate less its origin, as in relion_star_handler
--remove_duplicates: c = p * (rlnCoordinateX, rlnCoordinateY) - (rlnOriginXAngst, rlnOriginYAngst) in A, with the pixel
size p of the micrograph that was picked on.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.spacing import keep_apart
from cryoalign.io.optics import GROUP, PIXEL_SIZE
from cryoalign.io.particles import ParticleSet
from cryoalign.io.paths import plain_stack, search_folders
from cryoalign.jobs.select.sieve import Sieve

MICROGRAPH_PIXEL, ORIGINAL_PIXEL = "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize"
_AXES = "XYZ"


def first_of_each_image(sieve: Sieve, order: NDArray[np.int64], datadir: Path | None) -> NDArray[np.bool_]:
    """Tell which of the rows left is the best one of its image.

    Two names mean the same image where frame and file are the same, however the path is written; links are followed.

    Parameters
    ----------
    sieve, order
        The particles, and places among the rows left, the best first.
    datadir
        Folder that stack names are looked up in first.
    """
    particles, left = sieve.particles, sieve.left
    files = [_real_path(stack, particles.path, datadir) for stack in particles.stacks]
    _, same = np.unique(np.array(files, dtype=object).astype(str), return_inverse=True)
    key = np.column_stack([same[particles.stack_index[left]], particles.frame[left]])[order]
    _, first = np.unique(key, axis=0, return_index=True)
    keep = np.zeros(len(left), np.bool_)
    keep[order[first]] = True
    return keep


def apart_on_micrographs(
    sieve: Sieve, order: NDArray[np.int64], distance: float, pixel_size: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which of the rows left stay so that no two centres on a micrograph are within a distance.

    Parameters
    ----------
    sieve, order
        The particles, and places among the rows left, the best first.
    distance
        In A.
    pixel_size
        Pixel size of the micrographs in A, for every particle, shape (n,).

    Raises
    ------
    InputError
        If coordinates or micrograph names are missing or unusable.
    """
    particles, left = sieve.particles, sieve.left
    names = particles.micrograph_names()
    if names is None:
        raise InputError("there is no rlnMicrographName, so distances have no meaning", path=particles.path)
    group_of = {name: posixpath.normpath(name) for name in set(names)}
    number_of = {name: i for i, name in enumerate(sorted(set(group_of.values())))}
    number_of_name = {name: number_of[normal] for name, normal in group_of.items()}
    group = np.fromiter((number_of_name[name] for name in names), np.int64, len(names))
    return keep_apart(centres(particles, pixel_size)[left], group[left], order, distance)


def centres(particles: ParticleSet, pixel_size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centres of particles on their micrographs in A, shape (n, 2), or (n, 3) with rlnCoordinateZ.

    Raises
    ------
    InputError
        If there are no coordinates, or a cell is no number.
    """
    columns = []
    for axis in _AXES:
        coordinate = particles.numbers(f"rlnCoordinate{axis}")
        if coordinate is None:
            if axis == "Z":
                continue
            raise InputError(f"there is no rlnCoordinate{axis}", path=particles.path)
        origin: NDArray[np.float64] | float | None = particles.numbers(f"rlnOrigin{axis}Angst")
        if origin is None:
            pixels = particles.numbers(f"rlnOrigin{axis}")
            origin = 0.0 if pixels is None else pixels * particles.pixel_size_angstrom
        columns.append(coordinate * pixel_size - origin)
    return np.column_stack(columns)


def micrograph_pixel_size(particles: ParticleSet, given: float | None) -> tuple[NDArray[np.float64], str]:
    """Return the pixel size of the coordinates in A for each particle, shape (n,), and the words that say its source.

    rlnMicrographPixelSize rules where it is written. rlnMicrographOriginalPixelSize is that of the movies as they were
    recorded, and rlnImagePixelSize that of the particles: where movies were binned the one is wrong, where particles
    were scaled down on extraction the other, so they serve only where they agree, or one is absent.

    Raises
    ------
    InputError
        If the files leave it open.
    """
    n = len(particles)
    if given is not None:
        return np.full(n, given), f"{given:g} A, as given"
    sizes = {label: _per_particle(particles, label) for label in (MICROGRAPH_PIXEL, ORIGINAL_PIXEL)}
    chosen = sizes[MICROGRAPH_PIXEL]
    if chosen is not None:
        return chosen, f"{_listed(chosen)}, {MICROGRAPH_PIXEL}"
    original, image = sizes[ORIGINAL_PIXEL], particles.pixel_size_angstrom
    if original is None:
        return image, f"{_listed(image)}, taken to be that of the particles: no other is written"
    differ = np.flatnonzero(~np.isclose(original, image, rtol=1e-3, atol=0))
    if differ.size:
        row = int(differ[0])
        raise InputError(
            f"the pixel size of the micrographs is not clear: {ORIGINAL_PIXEL} {original[row]:g} A, {PIXEL_SIZE} "
            f"{image[row]:g} A", path=particles.path,
            hint="give that of the micrographs that were picked on with --coordinate-angpix: the first where particles "
            "were scaled down on extraction, the second where movies were binned",
        )  # fmt: skip
    return original, f"{_listed(original)}, {ORIGINAL_PIXEL}"


def _per_particle(particles: ParticleSet, label: str) -> NDArray[np.float64] | None:
    values = particles.numbers_of_group(label)
    if values is None:
        return None
    bad = np.flatnonzero(values <= 0)
    if bad.size:
        group = particles.optics[GROUP].iloc[particles.optics_index[bad[0]]]
        what = f"{label} of {GROUP} {group} must be above 0"
        raise InputError(what, path=particles.path, value=float(values[bad[0]]))
    return values


def _listed(sizes: NDArray[np.float64]) -> str:
    known = np.unique(sizes)
    return f"{known[0]:g} A" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g} A"


def _real_path(stack: Path, table: Path | None, datadir: Path | None) -> str:
    found = search_folders(table, datadir=datadir).find(str(stack))
    return os.path.realpath(found[0] if found else plain_stack(str(stack)))
