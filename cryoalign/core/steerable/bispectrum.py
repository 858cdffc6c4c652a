"""The bispectrum of steerable coefficients: products that no rotation changes and that still tell views apart.

a_p a_q conj(a_r) with frequencies k_p + k_q = k_r (Zhao & Singer 2014, J. Struct. Biol. 186, 153). A mirrored image has
the complex conjugate, without a sign, since (-1)^(k_p + k_q + k_r) = 1. There are many thousands of them; noise leaves
few, so that those with the strongest expected signal are taken, always the same ones for the same components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRONGEST = 120
"""Only products of so many components, those of the largest variance, are looked at."""


def bispectrum_terms(
    frequency: NDArray[np.integer], eigenvalue: NDArray[np.floating], n_terms: int = 2000
) -> NDArray[np.int64]:
    """Choose the products with the largest expected signal, the product of three variances.

    Parameters
    ----------
    frequency
        Angular frequency of each component, ascending, shape (P,).
    eigenvalue
        Variance of the signal in each component, positive, shape (P,).
    n_terms
        How many to choose.

    Returns
    -------
    NDArray
        int64 (T, 3), T <= n_terms: components p <= q and r of each product, strongest first, ties by p, q, r.
    """
    strength = np.log(np.asarray(eigenvalue, dtype=np.float64))
    chosen = np.sort(np.argsort(-strength, kind="stable")[:STRONGEST])
    k, strength = np.asarray(frequency)[chosen], strength[chosen]
    p, q = np.triu_indices(len(chosen))
    found = []
    for r in range(len(chosen)):
        fits = k[p] + k[q] == k[r]
        found.append(np.stack([p[fits], q[fits], np.full(np.count_nonzero(fits), r)], axis=1))
    every = np.concatenate(found) if found else np.zeros((0, 3), np.int64)
    order = np.lexsort((every[:, 2], every[:, 1], every[:, 0], -strength[every].sum(axis=1)))
    return chosen[every[order[:n_terms]]]


def bispectrum_invariants(coefficients: NDArray[np.complex64], terms: NDArray[np.integer]) -> NDArray[np.complex64]:
    """Return a_p a_q conj(a_r) for the terms (p, q, r), shape (T, 3), of coefficients (n, P): complex64 (n, T)."""
    by_component = np.ascontiguousarray(coefficients.T)
    p, q, r = np.asarray(terms).T
    product = by_component[p]
    product *= by_component[q]
    product *= np.conj(by_component)[r]
    return np.ascontiguousarray(product.T)
