"""Generalised power methods: one frequency (Boumal, SIAM J. Optim. 2016) and all up to K (Gao and Zhao, ICML 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.phases import PhaseGraph, unit
from cryoalign.synchronization.votes import BINS, best_votes, dirichlet

_STEPS = 100


def power_method(graph: PhaseGraph, x: NDArray[np.complex128], *, tolerance: float = 1e-6) -> NDArray[np.complex128]:
    """Iterate x <- phases of H x from a start, until the mean move is below ``tolerance``, complex128 (n,)."""
    turn = graph.turns(1)
    for _ in range(_STEPS):
        last, x = x, unit(graph.multiply(turn, x))
        if np.mean(np.abs(x - last)) < tolerance:
            break
    return x


def multi_frequency_power_method(
    graph: PhaseGraph, x: NDArray[np.complex128], k_max: int, *, tolerance: float = 1e-5, steps: int = _STEPS
) -> NDArray[np.complex128]:
    """Iterate x_i <- exp(i argmax_phi Re sum_{k<=K} (H^(k) x^k)_i e^{-ik phi}) from a start, complex128 (n,)."""
    kernel = dirichlet(k_max, max(BINS, 16 * k_max))
    psi = np.angle(x)
    for _ in range(steps):
        last, psi = psi, best_votes(graph, psi, kernel)
        if np.mean(np.abs(np.exp(1j * psi) - np.exp(1j * last))) < tolerance:
            break
    return np.exp(1j * psi)
