"""Spectral synchronisation: the top eigenvectors of one frequency (Singer, ACHA 2011; Gao and Zhao, ICML 2019).

The eigenvectors are those of D^-1/2 H D^-1/2 (D: degrees), which for a complete graph are the published ones; on uneven
graphs H itself would look at the crowded corners only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from cryoalign.synchronization.phases import PhaseGraph, unit

_TOLERANCE = 1e-3  # of the eigenvalues
_DENSE = 24  # up to here a full matrix is quicker, and ARPACK has too little room


@dataclass(frozen=True, eq=False)
class TopEigenvectors:
    """The top of the spectrum of one frequency.

    Parameters
    ----------
    values
        Largest eigenvalues, falling, float64 (up to 2,); of the matrix divided by degrees they lie in [-1, 1].
    phases
        Phases of the top eigenvector, complex128 (n,); free up to one global phase.
    """

    values: NDArray[np.float64]
    phases: NDArray[np.complex128]


def top_eigenvectors(graph: PhaseGraph, k: int = 1, *, seed: int = 0, by_degree: bool = True) -> TopEigenvectors:
    """Find the two largest eigenvalues of a frequency and the phases of the first eigenvector.

    Parameters
    ----------
    graph
        A connected graph.
    k
        Frequency, >= 1.
    seed
        Seed of the start vector.
    by_degree
        Divide by the degrees, as above; False gives the eigenvectors of H itself, as published.
    """
    turn = graph.turns(k)
    root = 1 / np.sqrt(np.maximum(graph.degree(), 1e-30)) if by_degree else np.ones(graph.n)
    if graph.n <= _DENSE:
        matrix = np.zeros((graph.n, graph.n), np.complex128)
        np.add.at(matrix, (np.repeat(np.arange(graph.n), np.diff(graph.start)), graph.index), turn)
        matrix = root[:, None] * matrix * root
        values, vectors = np.linalg.eigh((matrix + matrix.conj().T) / 2)
        return TopEigenvectors(values[::-1][:2], unit((vectors[:, -1] * root).astype(np.complex128)))
    generator = np.random.default_rng([seed, 17])
    begin = generator.standard_normal(graph.n) + 1j * generator.standard_normal(graph.n)
    product = LinearOperator(
        (graph.n, graph.n), matvec=lambda x: root * graph.multiply(turn, root * x.ravel()), dtype=np.complex128
    )
    try:
        values, vectors = eigsh(product, k=2, which="LA", v0=begin, tol=_TOLERANCE, ncv=min(graph.n - 1, 16))
    except ArpackNoConvergence as found:  # a second eigenvalue inside the bulk may never settle; it is only a level
        values, vectors = found.eigenvalues, found.eigenvectors
        if len(values) == 0:
            return TopEigenvectors(np.zeros(0), np.ones(graph.n, np.complex128))
    order = np.argsort(values)[::-1]
    return TopEigenvectors(values[order], unit(vectors[:, order[0]] * root))
