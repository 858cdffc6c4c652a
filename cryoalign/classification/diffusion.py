"""Multi-frequency vector diffusion maps: what agrees along many paths of the graph.

With alpha_ij the in-plane angle of edge (i, j) and k = 1..K, W^(k)_ij = w_ij exp(i k alpha_ij), S = D^-1/2 W D^-1/2
with D the sums of w; its leading eigenvectors carry exp(-i k psi_i) and where i stands among the views.
(Fan and Zhao, arXiv 1904.07772; Singer, Zhao, Shkolnisky, Hadani, SIAM J. Imaging Sci. 2011.)

Mirrors: let i' be the mirrored image i. Mirroring turns a rotation by psi into one by -psi, so with A the plain edges
and B the mirrored ones the graph of all 2 n images is H = [[A, B], [conj B, conj A]], A Hermitian and B symmetric.
Swapping the halves and conjugating maps eigenvectors to eigenvectors, so they can be chosen as (x, conj x), and
A x + B conj x = lambda x is a real symmetric problem in (Re x, Im x): half the memory, and real arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.block_lanczos import leading_eigenvectors
from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel
from cryoalign.core.tiles import RoomyPool
from cryoalign.synchronization.edges import Adjacency, EdgeList, adjacency


@dataclass(frozen=True, eq=False)
class Embedding:
    """Leading eigenvectors of the graph at each angular frequency.

    Parameters
    ----------
    mirror
        Whether the graph has mirrored edges: a vector x then stands for (x, conj x) over the images and their mirrors.
    frequency
        k of each part, rising.
    eigenvalue
        For each k, float32 (m_k,), falling.
    vector
        For each k, complex64 (n, m_k), unit columns.
    """

    mirror: bool
    frequency: tuple[int, ...]
    eigenvalue: tuple[NDArray[np.float32], ...]
    vector: tuple[NDArray[np.complex64], ...]

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.vector[0])


def diffuse(
    edges: EdgeList,
    k_max: int,
    n_vectors: int | tuple[int, ...] = 50,
    *,
    tolerance: float = 5e-2,
    threads: int = 1,
) -> Embedding:
    """Find the leading eigenvectors at the frequencies 1..``k_max``.

    Parameters
    ----------
    edges
        The graph; treated with mirrors if any edge has one.
    k_max
        K.
    n_vectors
        m_k, for all frequencies or for each.
    tolerance
        Largest relative residual of the 2 k + 1 leading eigenvectors. Graphs with most edges wrong at random need
        1e-2; on graphs made from images .1 and .01 give the same neighbours.
    threads
        Frequencies solved at once; they change no result.

    Raises
    ------
    InputError
        No edge, or more eigenvectors than images.
    """
    frequency = tuple(range(1, k_max + 1))
    if not frequency:
        raise InputError("k-max must be at least 1", value=k_max)
    counts = (n_vectors,) * len(frequency) if isinstance(n_vectors, int) else n_vectors
    if max(counts) >= edges.n:
        raise InputError(
            f"k-max {k_max} needs {max(counts)} eigenvectors, more than {edges.n} images allow", hint="lower k-max"
        )
    if not len(edges) or not (edges.weight > 0).any():
        raise InputError("the graph has no edge")
    graph = adjacency(edges)
    scale = _scaled_weights(edges, graph)
    mirror = bool(edges.mirror.any())

    def solve(part: int) -> tuple[NDArray, NDArray]:
        return _eigenvectors(graph, scale, frequency[part], counts[part], mirror, tolerance)

    with RoomyPool(max(1, threads)) as pool:
        found = list(pool.map(solve, range(len(frequency))))
    return Embedding(mirror, frequency, tuple(v for v, _ in found), tuple(x for _, x in found))


def _scaled_weights(edges: EdgeList, graph: Adjacency) -> NDArray[np.float32]:
    """Return w_ij / sqrt(d_i d_j) of every entry; an image without weight has none."""
    weight = edges.weight.astype(np.float64)
    degree = np.bincount(edges.i, weight, edges.n) + np.bincount(edges.j, weight, edges.n)
    root = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    return (weight * root[edges.i] * root[edges.j]).astype(np.float32)[graph.edge]


def _eigenvectors(
    graph: Adjacency, scale: NDArray[np.float32], frequency: int, count: int, mirror: bool, tolerance: float
) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
    n = len(graph.start) - 1
    # On evenly spread views the leading eigenvalue has this multiplicity: what tells a signal from none.
    accurate = min(2 * frequency + 1, count)
    turn = np.float32(frequency) * graph.angle_rad
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    sign = np.where(graph.mirror, np.float32(-1), np.float32(1))

    def planar(block: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros_like(block)
        _multiply(graph.start, graph.index, cosine, sine, sign, block, out)
        return out

    def real(block: NDArray) -> NDArray:
        return planar(block.reshape(n, 2, -1)).reshape(2 * n, -1)

    def complex_(block: NDArray) -> NDArray:
        product = planar(np.stack([block.real, block.imag], axis=1))
        return product[:, 0] + np.complex64(1j) * product[:, 1]

    if mirror:
        values, vectors = leading_eigenvectors(real, 2 * n, count, np.float32, accurate, tolerance)
        pair = vectors.reshape(n, 2, count)
        return values.astype(np.float32), pair[:, 0] + np.complex64(1j) * pair[:, 1]
    values, vectors = leading_eigenvectors(complex_, n, count, np.complex64, accurate, tolerance)
    return values.astype(np.float32), np.ascontiguousarray(vectors)


@kernel(nogil=True, fastmath={"contract"})
def _multiply(start, index, cosine, sine, sign, block, out):  # type: ignore[no-untyped-def]
    """Add (A x + B conj x) of float32 (n, 2, b) vectors, real parts first, to ``out``."""
    for row in range(len(start) - 1):
        out_real, out_imaginary = out[row, 0], out[row, 1]
        for entry in range(start[row], start[row + 1]):
            c, s = cosine[entry], sine[entry]
            d, t = c * sign[entry], s * sign[entry]
            real, imaginary = block[index[entry], 0], block[index[entry], 1]
            for q in range(block.shape[2]):
                out_real[q] += c * real[q] - t * imaginary[q]
                out_imaginary[q] += s * real[q] + d * imaginary[q]
