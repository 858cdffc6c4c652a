"""Noise spectra of the particles of one geometry, and the CTF's share of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, ctf_values
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_statistics
from cryoalign.core.noise import estimate_noise_power
from cryoalign.core.tiles import TILE
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource, usable

NOISE_ROWS = 2000
"""Images from which a noise spectrum is estimated, at most, for each group."""
_CLEAN = 1e-3
"""Noise is taken to be at least this share of the images' mean power: cleaner data would divide by nothing."""


def noise_groups(
    noise_group: str, particles: ParticleSet, rows: NDArray[np.int64]
) -> tuple[list[NDArray[np.int64]], list[str]]:
    """Return positions within ``rows`` of each noise group ("optics" or "micrograph"), and the groups' names."""
    if noise_group == "micrograph":
        names = particles.micrograph_names()
        if names is None:
            raise InputError("--noise-group micrograph needs rlnMicrographName", path=particles.path)
        labels = np.asarray(names, dtype=object)[rows]
    else:
        labels = particles.optics_index[rows]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    members = [np.flatnonzero(inverse == i) for i in range(len(first))]
    if noise_group == "micrograph":
        return members, [str(labels[f]) for f in first]
    if particles.optics is not None and "rlnOpticsGroupName" in particles.optics:
        return members, [str(particles.optics["rlnOpticsGroupName"].iloc[int(labels[f])]) for f in first]
    return members, [f"optics group {int(labels[f]) + 1}" for f in first]


def group_noise_power(source: StackSource, members: list[NDArray[np.int64]], mask_px: float) -> NDArray[np.float64]:
    """Return the noise power of each group, (groups, box // 2 + 1)."""
    good_members, power = [], []
    everywhere = np.ones((source.box, source.box), bool)
    for group in members:
        count = min(len(group), NOISE_ROWS)
        rows = group[np.arange(count) * len(group) // count]
        good = np.empty(count, bool)
        for start in range(0, count, TILE):
            images = source.read(rows[start : start + TILE])
            good[start : start + TILE] = usable(images)
            _, deviation = background_statistics(images[good[start : start + TILE]], everywhere)
            power += list(deviation**2)
        good_members.append(rows[good])
    if not power:
        raise InputError("no usable image among the particles")
    mean_power = float(np.mean(power))
    box = source.box
    noise = np.empty((len(members), box // 2 + 1))
    for index, group in enumerate(good_members):
        try:
            noise[index] = estimate_noise_power(source, [group], mask_px, max_rows=NOISE_ROWS)[0]
        except InputError:
            # Nothing outside the mask: noiseless projections, or particles that were masked before.
            noise[index] = 0.0
    return np.maximum(noise, _CLEAN * mean_power)


def flat_noise_power(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the rings in every ring: the noise that a search without whitening assumes."""
    return np.repeat(noise[:, 1:].mean(axis=1, keepdims=True), noise.shape[1], axis=1)


def ring_power_of(ctf: CtfParameters, box: int, pixel: float) -> NDArray[np.float64]:
    """Return ring averages of C^2 over evenly chosen particles and eight directions, shape (box // 2 + 1,)."""
    count = min(len(ctf.voltage_kv), 500)
    chosen = ctf.take(np.arange(count) * len(ctf.voltage_kv) // count)
    ring = np.arange(box // 2 + 1) / (box * pixel)
    angle = np.arange(8) * np.pi / 8
    values = ctf_values(chosen, np.outer(np.cos(angle), ring).ravel(), np.outer(np.sin(angle), ring).ravel())
    return np.asarray((values**2).mean(axis=0).reshape(8, -1).mean(axis=0))


def undo_premultiplication(
    noise: NDArray[np.float64], ctf: CtfParameters, members: list[NDArray[np.int64]], box: int, pixel: float
) -> NDArray[np.float64]:
    """Data multiplied by their CTF hold noise of power C^2 sigma^2: return sigma^2."""
    noise = noise.copy()
    for index, group in enumerate(members):
        if ctf.premultiplied[group].any():
            noise[index] /= np.maximum(ring_power_of(ctf.take(group), box, pixel), 1e-3)
    return noise
