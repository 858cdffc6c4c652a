"""Multi-frequency phase synchronisation as published: periodogram peak extraction with a spectral answer (PPE-SPC).

Gao and Zhao, "Multi-frequency phase synchronization" (ICML 2019), the first stage; their second is in power.py. On
graphs that are not complete it estimates the angles of the edges that exist.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.synchronization.phases import PhaseGraph
from cryoalign.synchronization.spectral import top_eigenvectors

_EDGES = 4096  # entries whose periodograms are held together


def periodogram_peaks(
    graph: PhaseGraph, k_max: int, *, seed: int = 0
) -> tuple[NDArray[np.complex128], dict[int, NDArray[np.float64]]]:
    """Find the phases by the first stage.

    W^(k) = u^(k) u^(k)* with u^(k) the normalised top eigenvector of H^(k); theta_ij = argmax_phi of 1/2 + Re sum_k
    W^(k)_ij e^{-ik phi} by a zero-padded FFT and a parabola; the answer is the top eigenvector of e^{i theta_ij}.

    Returns
    -------
    x
        Phases, complex128 (n,).
    eigenvalues
        Frequency -> its two largest eigenvalues.
    """
    tops = [top_eigenvectors(graph, k, seed=seed, by_degree=False) for k in range(1, k_max + 1)]
    eigenvalues = {k: top.values for k, top in enumerate(tops, 1)}
    vectors = np.stack([top.phases for top in tops], axis=1)
    angle = np.empty(len(graph.index), np.float32)
    row = np.repeat(np.arange(graph.n), np.diff(graph.start))
    length = 1 << int(np.ceil(np.log2(max(16 * k_max, 64))))
    for first in range(0, len(angle), _EDGES):
        part = slice(first, first + _EDGES)
        terms = vectors[row[part]] * vectors[graph.index[part]].conj()
        angle[part] = -_peak_of(terms, length)  # the graph's angles are those of conj(H)
    smoothed = replace(graph, angle_rad=angle)
    return top_eigenvectors(smoothed, seed=seed, by_degree=False).phases, eigenvalues


def _peak_of(terms: NDArray[np.complex128], length: int) -> NDArray[np.float64]:
    """Return argmax_phi Re sum_k terms_k e^{-ik phi} in radians, float64 (rows,)."""
    padded = np.zeros((len(terms), length // 2 + 1), np.complex128)
    padded[:, 1 : terms.shape[1] + 1] = terms.conj()
    # The real part only: irfft is (2 / length) Re sum_k conj(terms_k) e^{ik phi}.
    curve = np.fft.irfft(padded, length, axis=1)
    best = np.argmax(curve, axis=1)
    rows = np.arange(len(terms))
    left, middle, right = curve[rows, best - 1], curve[rows, best], curve[rows, (best + 1) % length]
    bend = left - 2 * middle + right
    offset = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0.0)
    return np.asarray((best + offset) * (2 * np.pi / length))
