"""The magnification matrices of the optics table, and poses in the frame of stored and of corrected images.

Cells of a table always speak of the images as stored, as RELION reads them. Where a particle set carries matrices, its
pixels are corrected as they are read, ``ParticleSet.poses`` are those of corrected images, and every pose that goes
into a table goes through `stored_poses` first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoalign.core import magnification
from cryoalign.core.errors import InputError
from cryoalign.io.columns import numbers, text_series
from cryoalign.io.optics import GROUP, MATRIX_LABELS
from cryoalign.io.particle_set import ParticleSet

if TYPE_CHECKING:
    import pandas as pd

    from cryoalign.core.poses import Poses

_IDENTITY = ("1.000000", "0.000000", "0.000000", "1.000000")
_SMALLEST, _LARGEST = 0.5, 2.0
"""What no microscope does."""
_LEAVE_OUT = "--no-apply-mag-matrix takes the images as they are"


def with_magnification(particles: ParticleSet) -> ParticleSet:
    """Return the particles with the matrices that their images are to be corrected by.

    Raises
    ------
    InputError
        If a matrix is not complete, not finite, mirrors, or scales by less than 0.5 or more than 2.
    """
    there = [label for label in MATRIX_LABELS if label in particles.optics]
    if not there:
        text = "--apply-mag-matrix: the optics table has no magnification matrices (rlnMagMat00 ...)"
        return replace(particles, warnings=[*particles.warnings, text])
    path = particles.path
    missing = [label for label in MATRIX_LABELS if label not in there]
    if missing:
        raise InputError(f"the optics table has {there[0]}, but no {', '.join(missing)}", path=path, hint=_LEAVE_OUT)
    cells = []
    for label in MATRIX_LABELS:
        try:
            cells.append(numbers(particles.optics[label], label, path=path))
        except InputError as error:
            group = particles.optics[GROUP].iloc[(error.row or 1) - 1]
            raise InputError(
                f"{error.what} in optics group {group}", path=path, value=error.value, hint=_LEAVE_OUT
            ) from None
    matrices = np.stack(cells, axis=1).reshape(-1, 2, 2)
    for group, matrix in zip(particles.optics[GROUP].tolist(), matrices, strict=True):
        high, low = np.round(np.linalg.svd(matrix, compute_uv=False), 4)
        if low < _SMALLEST or high > _LARGEST or np.linalg.det(matrix) < 0:
            what = f"the magnification matrix of optics group {group} scales by {low:g} to {high:g}"
            if np.linalg.det(matrix) < 0:
                what = f"the magnification matrix of optics group {group} mirrors the image"
            value = " ".join(f"{v:g}" for v in matrix.ravel())
            hint = f"{_SMALLEST:g} to {_LARGEST:g} can be meant; {_LEAVE_OUT}"
            raise InputError(what, path=path, value=value, hint=hint)
    if (matrices == np.eye(2)).all():
        return particles
    return replace(particles, magnification=matrices)


def without_magnification(particles: ParticleSet) -> ParticleSet:
    """Return the particles as they are, with a warning where the optics table has matrices other than the identity."""
    neutral = [
        _is_neutral(particles.optics[label], float(one))
        for label, one in zip(MATRIX_LABELS, _IDENTITY, strict=True)
        if label in particles.optics
    ]
    if all(neutral):
        return particles
    text = "magnification matrices of the optics table are ignored: --apply-mag-matrix corrects the images by them"
    return replace(particles, warnings=[*particles.warnings, text])


def in_words(particles: ParticleSet) -> str | None:
    """Say for the log what is corrected; None where nothing is."""
    if particles.magnification is None:
        return None
    scales = np.linalg.svd(particles.magnification, compute_uv=False)
    other = int((particles.magnification != np.eye(2)).any(axis=(1, 2)).sum())
    return (
        f"images are corrected for anisotropic magnification: {other} of {len(scales)} optics groups, "
        f"up to {100 * (scales[:, 0] / scales[:, 1] - 1).max():.2f} %"
    )


def corrected_poses(particles: ParticleSet, poses: Poses, rows: NDArray[np.integer] | None = None) -> Poses:
    """Return poses of images as stored as poses of the images as they are read.

    Parameters
    ----------
    particles
        The particles.
    poses
        k poses.
    rows
        0-based row of each, (k,); None = one for each particle.
    """
    if particles.magnification is None:
        return poses
    return magnification.corrected_poses(poses, _matrices(particles, rows))


def stored_poses(particles: ParticleSet, poses: Poses, rows: NDArray[np.integer] | None = None) -> Poses:
    """Return poses of images as they are read as poses of the images as stored: what belongs into a table."""
    if particles.magnification is None:
        return poses
    return magnification.stored_poses(poses, _matrices(particles, rows))


def poses_as_written(particles: ParticleSet, poses: Poses, rows: NDArray[np.integer] | None = None) -> Poses:
    """Round poses of images as they are read to what a table will give back, see ``Poses.as_written``."""
    pixel = particles.pixel_size_angstrom if rows is None else particles.pixel_size_angstrom[rows]
    return corrected_poses(particles, stored_poses(particles, poses, rows).as_written(pixel), rows)


def as_corrected(particles: ParticleSet) -> ParticleSet:
    """Return the table for a stack of corrected images: identities in the optics table, nothing left to correct."""
    if particles.magnification is None:
        return particles
    optics = particles.optics.copy()
    for label, cell in zip(MATRIX_LABELS, _IDENTITY, strict=True):
        optics[label] = text_series([cell] * len(optics), optics.index)
    return replace(particles, optics=optics, magnification=None, warnings=list(particles.warnings))


def _matrices(particles: ParticleSet, rows: NDArray[np.integer] | None) -> NDArray[np.float64]:
    assert particles.magnification is not None
    index = particles.optics_index if rows is None else particles.optics_index[rows]
    return particles.magnification[index]


def _is_neutral(column: pd.Series, neutral: float) -> bool:
    try:
        return bool((column.astype(float) == neutral).all())
    except ValueError:
        return False
