"""First angles and handedness of a graph with mirrored edges, from the top eigenvectors of several frequencies.

As without mirrors (Gao and Zhao, ICML 2019, with our weights): each frequency's common phase, and here also which of
its two hands is which, is found against what the frequencies before it say; then every node takes the angle and the
hand at which the weighted sum of all frequencies is largest, where frequency 0 speaks for the hand alone; and the
number of frequencies doubles. A frequency counts by its gap, and from the first that has less than a quarter of the
weight of frequency 1 none do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.synchronization.handed_spectral import handed_vectors, sign_vector
from cryoalign.synchronization.phases import PhaseGraph

_LEAST = 0.25
_TILE = 4096


@dataclass(frozen=True, eq=False)
class HandedStart:
    """Angles and handedness of all nodes of a component, free up to one rotation and one handedness.

    Parameters
    ----------
    psi_rad
        float64 (n,).
    mirror
        bool (n,).
    eigenvalues
        Frequency -> its three largest eigenvalues, falling; the first two belong together.
    weight
        That of frequency 1.
    """

    psi_rad: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    eigenvalues: dict[int, NDArray[np.float64]]
    weight: float


def handed_starts(graph: PhaseGraph, k_max: int, *, seed: int = 0) -> Iterator[HandedStart]:
    """Solve for angle and handedness from the spectra of frequencies 0..K, for K = 1, 2, 4, ... up to ``k_max``.

    Parameters
    ----------
    graph
        A connected graph.
    k_max
        Highest frequency.
    seed
        Seed of the eigenvectors' start.
    """
    sign_weight, signs = sign_vector(graph, seed=seed)
    first = handed_vectors(graph, 1, seed=seed)
    eigenvalues = {1: first.values}
    hands, weights = [first.hands], [first.weight]
    tilt = np.abs(first.hands[0]) ** 2 - np.abs(first.hands[1]) ** 2
    while True:
        if signs @ tilt < 0:
            signs = -signs
        psi, flips = _peaks(hands, weights, sign_weight * signs)
        yield HandedStart(psi, flips, dict(eigenvalues), weights[0])
        tilt = np.where(flips, -1.0, 1.0)
        known = len(hands)
        for k in range(known + 1, min(2 * known, k_max) + 1):
            expected = _hands(psi, flips, k)
            found = handed_vectors(graph, k, seed=seed, guess=expected)
            eigenvalues[k] = found.values
            if found.weight < _LEAST * weights[0]:
                k_max = len(hands)
                break
            hands.append(_aligned(found.hands, expected))
            weights.append(found.weight)
        if len(hands) == known:
            return


def _hands(psi: NDArray[np.float64], flips: NDArray[np.bool_], k: int) -> NDArray[np.complex128]:
    phase = np.exp(1j * k * psi)
    return np.stack([np.where(flips, 0, phase), np.where(flips, phase, 0)])


def _aligned(found: NDArray[np.complex128], expected: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Give a frequency the common phase and hand that agree best with what is expected."""
    both = found, np.conj(found[::-1])
    overlap = [np.einsum("hn,hn->", np.conj(hands), expected) for hands in both]
    best = int(abs(overlap[1]) > abs(overlap[0]))
    turn = overlap[best] / abs(overlap[best]) if abs(overlap[best]) > 0 else 1.0
    return np.asarray(both[best] * turn)


def _peaks(
    hands: list[NDArray[np.complex128]], weights: list[float], signs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return angle and hand of each node where Re sum_k w_k c_k e^{-ik phi}, plus or minus its sign, is largest."""
    n = hands[0].shape[1]
    length = max(64, 16 * len(hands))
    psi, flips = np.empty(n), np.empty(n, bool)
    for start in range(0, n, _TILE):
        part = slice(start, min(start + _TILE, n))
        series = np.zeros((2, part.stop - start, length), np.complex128)
        for k, (both, weight) in enumerate(zip(hands, weights, strict=True), 1):
            series[:, :, k] = weight * both[:, part]
        value = scipy.fft.fft(series, axis=2, overwrite_x=True).real
        at = value.argmax(axis=2)
        here = np.take_along_axis(value, at[:, :, None], 2)[:, :, 0]
        near = [np.take_along_axis(value, (at[:, :, None] + step) % length, 2)[:, :, 0] for step in (-1, 1)]
        bend = near[0] - 2 * here + near[1]
        offset = np.where(bend < 0, 0.5 * (near[0] - near[1]) / np.where(bend < 0, bend, 1), 0)
        angle = (at + offset) * (2 * np.pi / length)
        flips[part] = here[1] - signs[part] > here[0] + signs[part]
        psi[part] = np.where(flips[part], angle[1], angle[0])
    return psi, flips
