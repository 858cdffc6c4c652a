"""Classifications from the truth of simulated particles, jittered as a search would: what classavg is tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryoalign.classification.classification import Classification, SignalTest
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.poses import Poses
from cryoalign.io.particles import read_particles
from cryoalign.simulation.euler import euler_matrices


def true_rotations(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rotation matrices of particles, of their mirror images, (n, 3, 3), and origins in pixels, (n, 2)."""
    particles = read_particles([path], check_stacks=False)
    rot, tilt = particles.numbers("rlnAngleRot"), particles.numbers("rlnAngleTilt")
    poses = particles.poses()
    plain = euler_matrices(rot, tilt, poses.psi)
    mirrored = euler_matrices(rot + 180, 180 - tilt, 180 - poses.psi)
    return plain, mirrored, np.stack([poses.dx, poses.dy], axis=1)


def true_classification(
    path: Path, k: int, *, box: int, prepared_box: int = 32, jitter_deg: float = 0.0, jitter_px: float = 0.0,
    junk: np.ndarray | None = None, seed: int = 0,
) -> Classification:  # fmt: skip
    """Return the classification that the truth gives, with errors of angles and shifts (raw pixels).

    Images of ``junk`` (bool, (n,)) have random neighbours and belong to nobody's.
    """
    plain, mirrored, d = true_rotations(path)
    n, rng = len(d), np.random.default_rng(seed)
    direct, turned = plain[:, 2] @ plain[:, 2].T, plain[:, 2] @ mirrored[:, 2].T
    cosine = np.maximum(direct, turned)
    np.fill_diagonal(cosine, -2.0)
    if junk is not None:
        cosine[:, junk] = -1.5
        cosine[junk] = rng.uniform(0.0, 0.5, (int(junk.sum()), n))
        np.fill_diagonal(cosine, -2.0)
    index = np.argsort(-cosine, axis=1, kind="stable")[:, :k].astype(np.int32)
    row = np.arange(n)[:, None]
    mirror = (turned > direct)[row, index]
    relative = np.einsum("iab,ikcb->ikac", plain, np.where(mirror[..., None, None], mirrored[index], plain[index]))
    angle = np.rad2deg(np.arctan2(relative[..., 1, 0] - relative[..., 0, 1], relative[..., 0, 0] + relative[..., 1, 1]))
    angle += rng.normal(0.0, jitter_deg, angle.shape)
    centres = d + rng.normal(0.0, jitter_px, d.shape)
    shift = centres[index] * np.where(mirror[..., None], [-1.0, 1.0], [1.0, 1.0])
    onto_centre = Poses(angle.ravel(), *shift.reshape(-1, 2).T, mirror.ravel())
    edge = onto_centre.then(Poses(np.zeros(n * k), *-np.repeat(centres, k, axis=0).T))
    scale = prepared_box / box
    value = np.clip(cosine[row, index], -1.0, 1.0).astype(np.float32)
    lists = NeighbourLists(
        index, value, edge.psi.reshape(n, k).astype(np.float32), mirror,
        (scale * np.stack([edge.dx, edge.dy], axis=1)).reshape(n, k, 2).astype(np.float32),
    )  # fmt: skip
    quality = rng.uniform(0.5, 1.0, n)
    if junk is not None:
        quality[junk] = rng.uniform(0.0, 0.4, int(junk.sum()))
    view_angle = np.rad2deg(np.arccos(value)).astype(np.float32)
    return Classification(
        lists, np.sqrt(2 - 2 * value), np.ones((n, k), np.float32), view_angle, (scale * centres).astype(np.float32),
        lists, plain[:, 2].astype(np.float32), quality.astype(np.float32), 1.0, SignalTest(50.0, 0.8, True), 1, {},
    )  # fmt: skip
