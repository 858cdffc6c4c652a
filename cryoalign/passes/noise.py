"""Noise spectra of the particles of one geometry, and the CTF's share of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, ctf_values
from cryoalign.core.errors import InputError
from cryoalign.core.evenly import evenly_spread
from cryoalign.io.particles import ParticleSet


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
    if "rlnOpticsGroupName" in particles.optics:
        return members, [str(particles.optics["rlnOpticsGroupName"].iloc[int(labels[f])]) for f in first]
    return members, [f"optics group {int(labels[f]) + 1}" for f in first]


@dataclass(frozen=True, eq=False)
class GroupNoise:
    """The noise of the images of one geometry.

    Parameters
    ----------
    power
        Noise power per ring of each noise group as the images have it, (groups, box // 2 + 1).
    members
        Places of each group's images within the geometry.
    names
        What the groups are called.
    """

    power: NDArray[np.float64]
    members: list[NDArray[np.int64]]
    names: list[str]

    def before_ctf(self, ctf: CtfParameters | None, box: int, pixel: float) -> NDArray[np.float64]:
        """Return the power sigma^2 of the noise as it was before images were multiplied by their CTF, if they were.

        Data multiplied by their CTF hold noise of power C^2 sigma^2.

        Parameters
        ----------
        ctf
            Of the images of the geometry, in their order; None where it is not used.
        box, pixel
            Theirs, in pixels and A.
        """
        if ctf is None:
            return self.power
        noise = self.power.copy()
        for index, group in enumerate(self.members):
            if ctf.premultiplied[group].any():
                noise[index] /= np.maximum(ring_power_of(ctf.take(group), box, pixel), 1e-3)
        return noise


def flat_noise_power(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the rings in every ring: the noise that a search without whitening assumes."""
    return np.repeat(noise[:, 1:].mean(axis=1, keepdims=True), noise.shape[1], axis=1)


def ring_power_of(ctf: CtfParameters, box: int, pixel: float) -> NDArray[np.float64]:
    """Return ring averages of C^2 over evenly chosen particles and eight directions, shape (box // 2 + 1,)."""
    chosen = ctf.take(evenly_spread(500, len(ctf.voltage_kv)))
    ring = np.arange(box // 2 + 1) / (box * pixel)
    angle = np.arange(8) * np.pi / 8
    values = ctf_values(chosen, np.outer(np.cos(angle), ring).ravel(), np.outer(np.sin(angle), ring).ravel())
    return np.asarray((values**2).mean(axis=0).reshape(8, -1).mean(axis=0))
