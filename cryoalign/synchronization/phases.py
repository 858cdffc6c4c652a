"""Products with the matrices of a phase synchronisation, one row of the graph at a time.

With x_i = e^{i psi_i} and the angle of an edge (j onto i) angle_ij ~ psi_j - psi_i, H_ij = e^{-i angle_ij} ~ x_i
conj(x_j) is Hermitian, and H^(k), its entrywise k-th power, has x^k as its top eigenvector (Gao and Zhao, ICML 2019;
theirs turns the other way). Rows are summed one by one in their own order, so threads cannot change a bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.core.tiles import RoomyPool
from cryoalign.synchronization.edges import Adjacency, EdgeList, adjacency

ROWS = 4096
"""Rows that a thread takes at a time."""


@dataclass(frozen=True, eq=False)
class PhaseGraph(Adjacency):
    """Both directions of a graph's edges, as phases with weights.

    Parameters
    ----------
    weight
        Weight of each entry, float32 (2 E,), or None where all are equal.
    threads
        Threads of the products.
    """

    weight: NDArray[np.float32] | None
    threads: int = 1

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.start) - 1

    def degree(self) -> NDArray[np.float64]:
        """Return the sum of the weights at each node, float64 (n,)."""
        count = np.diff(self.start)
        if self.weight is None:
            return count.astype(np.float64)
        row = np.repeat(np.arange(self.n), count)
        return np.bincount(row, self.weight, self.n).astype(np.float64)

    def entry_weight(self) -> NDArray[np.float32]:
        """Return the weights for compiled code, which knows no None: one number, a 1, where all are equal."""
        return np.ones(1, np.float32) if self.weight is None else self.weight

    def relative_weight(self) -> NDArray[np.float32] | None:
        """Return the weights with a mean of 1, or None."""
        return None if self.weight is None else (self.weight / self.weight.mean()).astype(np.float32)

    def turns(self, k: int) -> NDArray[np.complex64]:
        """Return the entries of H^(k), weighted, complex64 (2 E,)."""
        turn = np.empty(len(self.angle_rad), np.complex64)
        weight = self.entry_weight()
        over_rows(self, lambda first, last: _fill_turns(self.start, self.angle_rad, weight, k, turn, first, last))
        return turn

    def multiply(self, turn: NDArray[np.complex64], x: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Multiply the matrix whose entries are ``turn`` by a vector, complex128 (n,)."""
        x = np.ascontiguousarray(x, dtype=np.complex128).ravel()
        out = np.empty(self.n, np.complex128)
        over_rows(self, lambda first, last: _multiply(self.start, self.index, turn, x, out, first, last))
        return out


def phase_graph(edges: EdgeList, *, weights: bool = True, threads: int = 1) -> PhaseGraph:
    """List the phases of edges by node; equal weights are left out.

    Parameters
    ----------
    edges
        The graph.
    weights
        Use the weights of the edges.
    threads
        Threads of the products.
    """
    both = adjacency(edges)
    used = weights and len(edges) > 0 and bool((edges.weight != edges.weight[0]).any())
    weight = edges.weight[both.edge] if used else None
    return PhaseGraph(both.start, both.index, both.edge, both.angle_rad, both.mirror, weight, threads)


def over_rows(graph: PhaseGraph, work: Callable[[int, int], object], rows: int = ROWS) -> None:
    """Run ``work(first, last)`` over tiles of rows, on the graph's threads."""
    cuts = [(first, min(first + rows, graph.n)) for first in range(0, graph.n, rows)]
    if graph.threads == 1 or len(cuts) == 1:
        for first, last in cuts:
            work(first, last)
        return
    with RoomyPool(graph.threads) as pool:
        for _ in pool.map(lambda cut: work(*cut), cuts):
            pass


def unit(x: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return the phases of complex numbers, complex128; 1 where a number is 0."""
    size = np.abs(x)
    return np.where(size > 0, x / np.where(size > 0, size, 1), 1.0)


@kernel(nogil=True)
def _fill_turns(start, angle, weight, k, turn, first, last):  # type: ignore[no-untyped-def]
    for entry in range(start[first], start[last]):
        phase = -k * np.float64(angle[entry])
        w = np.float64(weight[entry]) if len(weight) > 1 else 1.0
        turn[entry] = complex(w * np.cos(phase), w * np.sin(phase))


@kernel(nogil=True)
def _multiply(start, index, turn, x, out, first, last):  # type: ignore[no-untyped-def]
    for row in range(first, last):
        real = 0.0
        imag = 0.0
        for entry in range(start[row], start[row + 1]):
            t = turn[entry]
            v = x[index[entry]]
            real += np.float64(t.real) * v.real - np.float64(t.imag) * v.imag
            imag += np.float64(t.real) * v.imag + np.float64(t.imag) * v.real
        out[row] = complex(real, imag)
