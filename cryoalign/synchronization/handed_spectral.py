"""Top eigenvectors of one frequency of a graph with mirrored edges: angle and handedness together.

With s_i = -1 where image i is mirrored, else 1, and x_i = exp(i k s_i psi_i), an edge of the poses P_i^-1 o P_j has
angle s_i (psi_j - psi_i), so exp(-i k angle_ij) is x_i conj(x_j) where it is plain and x_i x_j where it is mirrored.
With A the plain and B the mirrored entries, A x + B conj(x) = degree x: real-linear in (Re x, Im x), symmetric, of size
2n. x and i s x both solve it, for the common frame may be turned and mirrored: the top eigenvalue is double, and any
basis v, w of its space gives, up to one phase and one handedness of the whole,

    v - i w = e^{i k psi} where s = 1, 0 elsewhere;    conj(v + i w) = e^{i k psi} where s = -1, 0 elsewhere.

(The representation of O(2) of frequency k; Bandeira, Singer, Spielman, SIAM J. Matrix Anal. Appl. 2013, for O(d).)
Frequency 0 is the determinant: the signs alone, of which s is the top eigenvector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.synchronization.phases import PhaseGraph, over_rows

_COUNT, _ACCURATE = 3, 2  # eigenvectors found, and how many of them are accurate
_TOLERANCE = 1e-2
_BLOCK = 4
_DEPTH = 24
_CHECK = 6
_RESTARTS = 4
_DENSE = 240


@dataclass(frozen=True, eq=False)
class HandedVectors:
    """What one frequency says of every node.

    Parameters
    ----------
    values
        The three largest eigenvalues, falling, of the matrix divided by degrees: in [-1, 1].
    hands
        complex128 (2, n): about e^{i k psi}, times a common phase, in row 0 where a node is not mirrored, in row 1
        where it is, and 0 in its other row; |hands|^2 sums to 1 over both. Both rows may be exchanged and conjugated.
    """

    values: NDArray[np.float64]
    hands: NDArray[np.complex128]

    @property
    def weight(self) -> float:
        """1 - (third / mean of the first two)^2: about the squared correlation with the truth."""
        first = float(self.values[:2].mean())
        if len(self.values) < 3 or first <= 0:
            return float(first > 0)
        return float(max(0.0, 1 - (max(float(self.values[2]), 0.0) / first) ** 2))


def handed_vectors(
    graph: PhaseGraph,
    k: int,
    *,
    seed: int = 0,
    guess: NDArray[np.complex128] | None = None,
    tolerance: float = _TOLERANCE,
) -> HandedVectors:
    """Find the top of the spectrum of frequency ``k`` >= 1.

    Parameters
    ----------
    graph
        Phases of a connected graph.
    seed
        Seed of the start vectors.
    guess
        complex (2, n) as `HandedVectors.hands`, to start from.
    tolerance
        Largest residual of the first two eigenvectors, relative to their eigenvalue.
    """
    turn = graph.turns(k)
    product, root = _operator(graph, turn, np.where(graph.mirror, np.float32(-1), np.float32(1)))
    start = None
    if guess is not None:
        plain, flipped = guess[0], np.conj(guess[1])
        start = np.stack([plain + flipped, 1j * (plain - flipped)], axis=1)
        start = start / np.maximum(root, 1e-30)[:, None]
    values, vectors = _leading(product, graph.n, [seed, 23, k], start, tolerance)
    v, w = root * vectors[:, 0], root * vectors[:, 1]
    hands: NDArray[np.complex128] = np.stack([v - 1j * w, np.conj(v + 1j * w)])
    size = np.sqrt(np.sum(np.abs(hands) ** 2, axis=0))
    return HandedVectors(values, hands / np.where(size > 0, size, 1))


def sign_vector(graph: PhaseGraph, *, seed: int = 0) -> tuple[float, NDArray[np.float64]]:
    """Find the handedness that the mirrors of the edges alone tell.

    Returns
    -------
    weight
        1 - (second / first eigenvalue)^2.
    signs
        About 1 for one handedness and -1 for the other, float64 (n,); which is which is free.
    """
    turn = (np.where(graph.mirror, np.float32(-1), np.float32(1)) * graph.entry_weight()).astype(np.complex64)
    product, root = _operator(graph, turn, np.ones(len(turn), np.float32))
    # The operator then acts on real and imaginary parts alike, so that each eigenvalue stands twice.
    values, vectors = _leading(product, graph.n, [seed, 23, 0], None, _TOLERANCE)
    parts = np.concatenate([vectors[:, :2].real, vectors[:, :2].imag], axis=1) * root[:, None]
    real = parts[:, np.argmax(np.einsum("nc,nc->c", parts, parts))]
    first = float(values[:2].mean())
    trust = 1 - (max(float(values[2]), 0.0) / first) ** 2 if len(values) > 2 and first > 0 else float(first > 0)
    return max(0.0, trust), real / max(float(np.sqrt(np.mean(real**2))), 1e-300)


def _operator(
    graph: PhaseGraph, turn: NDArray[np.complex64], sign: NDArray[np.float32]
) -> tuple[Callable[[NDArray], NDArray], NDArray[np.float64]]:
    """Return x -> D^-1/2 (A x + B conj x) D^-1/2 on complex (n, b), and D^-1/2."""
    root = 1 / np.sqrt(np.maximum(graph.degree(), 1e-30))

    def product(block: NDArray[np.complex128]) -> NDArray[np.complex128]:
        x = np.ascontiguousarray(root[:, None] * block)
        out = np.empty_like(x)
        over_rows(graph, lambda first, last: _multiply(graph.start, graph.index, turn, sign, x, out, first, last))
        out *= root[:, None]
        return out

    return product, root


def _leading(
    product: Callable[[NDArray], NDArray],
    n: int,
    seed: list[int],
    start: NDArray[np.complex128] | None,
    tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Find the largest eigenvalues of a real-linear symmetric operator on complex (n,) by block Lanczos.

    A block, since the eigenvalue is double: a single vector's Krylov space holds one direction of the two.
    """
    if 2 * n <= _DENSE:
        units = np.concatenate([np.eye(n, dtype=np.complex128), 1j * np.eye(n)], axis=1)
        matrix = _planes(product(units))
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return values[::-1][:_COUNT], _complex(vectors[:, ::-1][:, :_COUNT])
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((2 * n, _BLOCK))
    if start is not None:
        block[:, : start.shape[1]] = _planes(start) * (np.sqrt(2 * n) / np.linalg.norm(start, axis=0))
    basis = np.empty((2 * n, _BLOCK * _DEPTH))
    small = np.zeros((_BLOCK * _DEPTH, _BLOCK * _DEPTH))
    for _ in range(_RESTARTS + 1):
        block = np.linalg.qr(block)[0]
        for filled in range(_BLOCK, basis.shape[1] + 1, _BLOCK):
            here = slice(filled - _BLOCK, filled)
            basis[:, here] = block
            block = _planes(product(_complex(block)))
            # Twice is enough (Parlett): one pass leaves what rounding put back.
            column = _project_out(basis[:, :filled], block) + _project_out(basis[:, :filled], block)
            small[:filled, here], small[here, :filled] = column, column.T
            block, coupling = np.linalg.qr(block)
            if np.abs(np.diagonal(coupling)).min() < 1e-8:
                # Hardly anything new: what is left is rounding, in any direction.
                _project_out(basis[:, :filled], block)
                block = np.linalg.qr(block)[0]
            if filled % (_CHECK * _BLOCK) == 0:
                values, turned = np.linalg.eigh(small[:filled, :filled])
                values, turned = values[::-1], turned[:, ::-1]
                left = np.linalg.norm(coupling @ turned[-_BLOCK:, :_ACCURATE], axis=0)
                if (left <= tolerance * np.abs(values[:_ACCURATE])).all():
                    return values[:_COUNT], _complex(basis[:, :filled] @ turned[:, :_COUNT])
        block = basis @ turned[:, :_BLOCK]
    return values[:_COUNT], _complex(block[:, :_COUNT])


def _project_out(basis: NDArray[np.float64], block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove the basis from a block in place; return the coefficients."""
    coefficients: NDArray[np.float64] = basis.T @ block
    block -= basis @ coefficients
    return coefficients


def _planes(block: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.concatenate([block.real, block.imag], axis=0)


def _complex(block: NDArray[np.float64]) -> NDArray[np.complex128]:
    half = len(block) // 2
    return block[:half] + 1j * block[half:]


@kernel(nogil=True)
def _multiply(start, index, turn, sign, x, out, first, last):  # type: ignore[no-untyped-def]
    """Rows first..last of A x + B conj x for complex (n, b); sign is -1 at the entries of B."""
    for row in range(first, last):
        here = out[row]
        here[:] = 0
        for entry in range(start[row], start[row + 1]):
            real = np.float64(turn[entry].real)
            imag = np.float64(turn[entry].imag)
            s = np.float64(sign[entry])
            there = x[index[entry]]
            for q in range(x.shape[1]):
                a = there[q].real
                b = s * there[q].imag
                here[q] += complex(real * a - imag * b, real * b + imag * a)
