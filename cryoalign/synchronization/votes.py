"""Votes of neighbours on a node's angle: one histogram for each node, and the peak under a kernel.

Neighbour j says psi_j - angle_ij. The best angle under a log density g of an edge's error is the peak of
sum_j w_ij g(phi - vote_j), the histogram convolved with g: O(E) for the histograms, FFTs of fixed length for the
rest. With the Dirichlet kernel g(r) = sum_{k=1..K} cos k r it is the second stage of Gao and Zhao (ICML 2019), x_i =
exp(i argmax_phi Re sum_k (H^(k) x^k)_i e^{-ik phi}), at a cost that does not depend on K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.synchronization.phases import ROWS, PhaseGraph, over_rows

BINS = 128
"""Bins of a histogram where the kernel is no finer."""


def dirichlet(k_max: int, bins: int) -> NDArray[np.float64]:
    """Return sum_{k=1..K} cos(k r) at r = 2 pi b / bins, float64 (bins,)."""
    angle = 2 * np.pi * np.arange(bins) / bins
    return np.cos(np.arange(1, k_max + 1)[:, None] * angle).sum(axis=0)


def best_votes(graph: PhaseGraph, psi_rad: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move every node to the peak of its neighbours' votes.

    Parameters
    ----------
    graph
        Both directions of the edges.
    psi_rad
        Angles of the nodes, float64 (n,).
    kernel
        g at multiples of 2 pi / bins from 0, float64 (bins,); symmetric.

    Returns
    -------
    ndarray
        Peaks, refined by a parabola, float64 (n,), in radians; nodes without votes stay.
    """
    bins = len(kernel)
    spectrum = np.fft.rfft(kernel)
    # A vote is shared between the two nearest bins, which damps frequency k by sinc^2; undo it where it is mild.
    damping = np.sinc(np.arange(len(spectrum)) / bins) ** 2
    spectrum = spectrum / damping
    psi = np.ascontiguousarray(psi_rad, dtype=np.float64)
    peak = psi.copy()
    weight = graph.entry_weight()

    def work(first: int, last: int) -> None:
        counts = np.zeros((last - first, bins), np.float64)
        _count(graph.start, graph.index, graph.angle_rad, weight, psi, counts, first, last)
        field = np.fft.irfft(np.fft.rfft(counts, axis=1) * spectrum, bins, axis=1)
        _peaks(field, graph.start, peak, first)

    over_rows(graph, work, ROWS // 4)
    return peak


@kernel(nogil=True)
def _count(start, index, angle, weight, psi, counts, first, last):  # type: ignore[no-untyped-def]
    bins = counts.shape[1]
    scale = bins / (2 * np.pi)
    for row in range(first, last):
        for entry in range(start[row], start[row + 1]):
            place = (psi[index[entry]] - angle[entry]) * scale
            low = np.floor(place)
            part = place - low
            bin_ = int(low) % bins
            w = np.float64(weight[entry]) if len(weight) > 1 else 1.0
            counts[row - first, bin_] += w * (1 - part)
            counts[row - first, (bin_ + 1) % bins] += w * part


@kernel(nogil=True)
def _peaks(field, start, peak, first):  # type: ignore[no-untyped-def]
    rows, bins = field.shape
    for r in range(rows):
        if start[first + r] == start[first + r + 1]:
            continue
        best = 0
        for b in range(1, bins):
            if field[r, b] > field[r, best]:
                best = b
        left, middle, right = field[r, best - 1], field[r, best], field[r, (best + 1) % bins]
        bend = left - 2 * middle + right
        offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
        peak[first + r] = (best + offset) * (2 * np.pi / bins)
