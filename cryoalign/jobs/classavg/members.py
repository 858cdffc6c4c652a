"""Who belongs to a view, with which pose: from neighbour lists to memberships of averages, and members.star.

The neighbours of an image i are the members of its view; i itself is not: chosen for their likeness to it, they would
meet its noise again in their average. Member j is brought onto i, then i's centre to the centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryoalign.alignment.halves import GAP
from cryoalign.classification.classification import Classification
from cryoalign.classification.views import coherence
from cryoalign.core.poses import Poses
from cryoalign.io.columns import format_number, text_column
from cryoalign.io.magnification import poses_as_written, stored_poses
from cryoalign.io.particles import ParticleSet
from cryoalign.io.star import Loop, write_star_loop
from cryoalign.passes.average.member_table import WEIGHT
from cryoalign.passes.average.members import Memberships
from cryoalign.passes.halves import SHARED_RESOLUTION
from cryoalign.runs.rundir import RunDirectory

_PIECE = 8192
"""Rows of members.star that are text at a time."""


@dataclass(frozen=True, eq=False)
class ViewMembers:
    """The members of m views.

    Parameters
    ----------
    seeds
        0-based particle row of the image in the middle of each view, (m,).
    memberships
        k memberships, by view and then by rank; class numbers are 1 .. m.
    distance
        Of each member from the image in the middle, (k,).
    spread_deg
        Root mean square of the angles between the members' views and the middle one, (m,); 0 where unknown.
    score
        How far each view can be trusted, see :func:`cryoalign.classification.views.coherence`, (m,) in [0, 1].
    """

    seeds: NDArray[np.int64]
    memberships: Memberships
    distance: NDArray[np.float64]
    spread_deg: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        """Count the views."""
        return len(self.seeds)


def view_members(
    classification: Classification,
    views: NDArray[np.integer],
    particles: ParticleSet,
    rows: NDArray[np.integer],
    prepared_box: int,
    prepared_pixel_angstrom: float | None = None,
) -> ViewMembers:
    """Return the members of views.

    Parameters
    ----------
    classification
        Of the prepared images.
    views
        Rows of the classification whose neighbours are to be averaged, in the order of the classes, (m,).
    particles
        The whole table.
    rows
        0-based particle row of each classified image, (n,).
    prepared_box
        Side of the prepared images in pixels.
    prepared_pixel_angstrom
        Their pixel size in A, which particles of several geometries share; None where the prepared images show the
        whole of the particles' own.

    Notes
    -----
    The halves of a view share what chose its members: the band of the prepared images. Where there is no signal at all,
    nothing is independent.
    """
    lists = classification.neighbours
    view, rank = np.nonzero((lists.index[views] >= 0) & (classification.weight[views] > 0))
    middle = np.asarray(views, np.int64)[view]
    image = lists.index[middle, rank]
    particle = np.asarray(rows, np.int64)[image]
    pixel = particles.pixel_size_angstrom[particle]
    # Prepared pixels of i and j are as long as so many of their own.
    if prepared_pixel_angstrom is None:
        ratio = particles.box[particle] / prepared_box
    else:
        ratio = prepared_pixel_angstrom / pixel
    dx, dy = lists.shift_px[middle, rank].T.astype(np.float64)
    poses = Poses(lists.angle_deg[middle, rank], dx, dy, lists.mirror[middle, rank])
    poses = poses.then(Poses(np.zeros(len(view)), *classification.centre_px[middle].T.astype(np.float64)))
    poses = Poses(poses.psi, poses.dx * ratio, poses.dy * ratio, poses.mirror)
    poses = poses_as_written(particles, poses, particle)
    weight = np.array([float(format_number(v)) for v in classification.weight[middle, rank].astype(np.float64)])
    angle = classification.viewing_angle_deg[middle, rank].astype(np.float64)
    known = np.isfinite(angle)
    square = np.bincount(view[known], angle[known] ** 2, minlength=len(views))
    spread = np.sqrt(square / np.maximum(np.bincount(view[known], minlength=len(views)), 1))
    memberships = Memberships(
        particle, np.arange(len(view)), view.astype(np.int64), poses, None if (weight == 1).all() else weight, None,
        np.arange(1, len(views) + 1), None, None,
        shared_angstrom=_shared_angstrom(particles, particle, prepared_box, classification.signal.signal),
    )  # fmt: skip
    return ViewMembers(
        np.asarray(rows, np.int64)[views], memberships, classification.distance[middle, rank].astype(np.float64),
        spread, coherence(lists)[views],
    )  # fmt: skip


def write_members(
    run: RunDirectory, views: ViewMembers, memberships: Memberships, particles: ParticleSet, half: NDArray[np.int8]
) -> None:
    """Write members.star: a row for each membership, from which ``average --members`` makes the same averages.

    Parameters
    ----------
    run
        The run.
    views
        The views.
    memberships
        Theirs, with the poses that were averaged.
    particles
        The whole table.
    half
        Half set (0 or 1) of each particle, (n,).
    """
    names = particles.image_names()
    cuts = range(0, max(len(memberships), 1), _PIECE)
    pieces = (
        _piece(np.arange(first, min(first + _PIECE, len(memberships))), views, memberships, particles, half, names)
        for first in cuts
    )
    write_star_loop(run.staged("members.star"), "members", pieces)


def _piece(
    piece: NDArray[np.int64],
    views: ViewMembers,
    memberships: Memberships,
    particles: ParticleSet,
    half: NDArray[np.int8],
    names: list[str],
) -> Loop:
    """Return some rows of members.star."""
    rows = memberships.particle[piece]
    poses = stored_poses(particles, memberships.poses.take(piece), rows)
    pixel = particles.pixel_size_angstrom[rows]
    columns: dict[str, ArrayLike] = {
        "rlnClassNumber": memberships.class_numbers[memberships.class_index[piece]],
        "rlnImageName": [names[row] for row in rows.tolist()],
        "rlnAnglePsi": poses.psi,
        "rlnOriginXAngst": poses.dx * pixel,
        "rlnOriginYAngst": poses.dy * pixel,
        "rlnIsFlip": poses.mirror.astype(np.int64),
        "rlnRandomSubset": half[rows].astype(np.int64) + 1,
        "cryoalignDistance": views.distance[piece],
        WEIGHT: np.ones(len(rows)) if memberships.weight is None else memberships.weight[piece],
        SHARED_RESOLUTION: np.full(len(rows), memberships.shared_angstrom),
    }
    return {label: text_column(label, values) for label, values in columns.items()}


def _shared_angstrom(
    particles: ParticleSet, particle: NDArray[np.int64], prepared_box: int, signal: bool
) -> float | None:
    """Return the resolution down to which the halves share what chose their members, as a file will hold it."""
    if not len(particle):
        return None
    pixel, box = particles.pixel_size_angstrom[particle], particles.box[particle]
    nyquist = 2.0 * float(pixel.min())
    if not signal:
        return float(format_number(nyquist))
    # A mask smears a ring over its neighbours.
    return float(format_number(max(nyquist, float((box * pixel).min()) / (prepared_box // 2 + GAP))))
