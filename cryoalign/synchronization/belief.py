"""Message passing over all frequencies at once: what each node's neighbours leave of its angle, as a distribution.

Each node carries the moments m_i^(k) = E e^{i k psi_i}, k = 1..K, of its angle given the votes of its neighbours,

    p_i(phi) ~ exp(2 Re sum_k conj(h_i^(k)) e^{i k phi}),
    h_i^(k) = f_k (H^(k) m^(k))_i - f_k^2 d_i (1 - mean |m^(k)|^2) m_i^(k) of the step before,

with f_k = E cos k r the Fourier coefficients of the density of an edge's error r and d_i the degree. The second term
(Onsager's) takes back the echo of a node's own vote. This is the approximate message passing of Perry, Wein, Bandeira
and Moitra ("Message-passing algorithms for synchronization problems over compact groups", CPAM 2018), with one change:
f_k is not known here and is learned from the edges. Residuals at the solution would flatter it, as every edge has
pulled its two nodes towards itself, so an edge is judged by the distributions of its nodes *without* it (its cavity).
Coefficients that cannot be told from noise are shrunk to 0, which weights the frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.phases import ROWS, PhaseGraph, over_rows

_SAMPLE = 6000  # edges that are judged at a step
_RATE = 0.4  # of learning f; as each step sees a sample only, it falls after the early ones
_EARLY = 6
_CHUNK = 2000
_SHARP, _STANDS = 0.95, 0.01  # mean first moment, and its move, at which first moments stand


@dataclass(frozen=True, eq=False)
class Belief:
    """Distributions of all angles.

    Parameters
    ----------
    moments
        m_i^(k) in column k - 1, complex64 (n, K).
    coefficients
        f_k, float64 (K,).
    gain
        Mean log-likelihood of an edge under the cavities of its nodes, against uniform.
    """

    moments: NDArray[np.complex64]
    coefficients: NDArray[np.float64]
    gain: float

    @property
    def phases(self) -> NDArray[np.complex128]:
        """Directions of the first moments, complex128 (n,)."""
        first = self.moments[:, 0].astype(np.complex128)
        size = np.abs(first)
        return np.where(size > 0, first / np.where(size > 0, size, 1), 1)

    @property
    def sureness(self) -> float:
        """Mean length of the first moments: the expected cosine of the error of an angle."""
        return float(np.mean(np.abs(self.moments[:, 0]), dtype=np.float64))

    def log_likelihood(self, edges: EdgeList) -> float:
        """Return the mean log-likelihood, against uniform, of unmirrored edges that the belief has not seen."""
        if len(edges) == 0:
            return 0.0
        turn = np.exp(1j * np.deg2rad(edges.angle_deg.astype(np.float64)))
        value, power = np.ones(len(edges)), np.ones(len(edges), np.complex128)
        for k, f in enumerate(self.coefficients):
            power *= turn
            value += 2 * f * np.real(power * self.moments[edges.i, k] * self.moments[edges.j, k].conj())
        return float(np.log(np.maximum(value, 1e-3)).mean())


def propagate(
    graph: PhaseGraph,
    start: NDArray[np.complex64],
    coefficients: NDArray[np.float64],
    steps: int,
    *,
    seed: int = 0,
    tolerance: float = 3e-3,
) -> Belief:
    """Pass messages until the moments stand.

    Parameters
    ----------
    graph
        A connected graph; weights multiply the votes (their mean counts as 1).
    start
        First moments, (n, K).
    coefficients
        First f_k, float64 (K,).
    steps
        At most so many.
    seed
        Seed of the edges that are judged.
    tolerance
        Mean move of a moment at which to stop.
    """
    generator = np.random.default_rng([seed, 29])
    moments = np.ascontiguousarray(start, dtype=np.complex64)
    before = np.zeros_like(moments)
    f = np.array(coefficients, dtype=np.float64)
    row = np.repeat(np.arange(graph.n, dtype=np.int32), np.diff(graph.start))
    weight, turn = graph.relative_weight(), replace(graph, weight=None).turns(1)
    degree = np.bincount(row, None if weight is None else weight**2, graph.n).astype(np.float64)
    gain = 0.0
    for step in range(steps):
        spread = 1 - np.mean(np.abs(moments) ** 2, axis=0, dtype=np.float64)
        fields = summed_votes(graph, moments, weight, turn) * f
        fields -= (f**2 * spread) * degree[:, None] * before
        if step < _EARLY or step % 2 == 0 or step == steps - 1:
            chosen = generator.choice(len(row), min(len(row), _SAMPLE), replace=False)
            learned, gain = _judge(graph, row, weight, fields, moments, f, np.sort(chosen))
            f += _RATE * min(1.0, _EARLY / (step + 1)) * (learned - f)
        before, moments = moments, posterior_moments(graph, fields, moments.shape[1])
        moved = np.asarray(np.mean(np.abs(moments - before), axis=0, dtype=np.float64))
        if moved.mean() < tolerance:
            break
        # The echo of a node that is nearly sure is not what the dense limit says: high frequencies swing for ever.
        if tolerance > 0 and moved[0] < _STANDS and np.mean(np.abs(moments[:, 0]), dtype=np.float64) > _SHARP:
            break
    return Belief(moments, f, gain)


def summed_votes(
    graph: PhaseGraph,
    moments: NDArray[np.complex64],
    weight: NDArray[np.float32] | None,
    turn: NDArray[np.complex64] | None = None,
) -> NDArray[np.complex128]:
    """Return H^(k) m^(k) in column k - 1, complex128 (n, K); ``turn``: the entries of H without weights, if known."""
    turns = replace(graph, weight=None).turns(1) if turn is None else turn
    out = np.empty(moments.shape, np.complex128)
    used = np.ones(1, np.float32) if weight is None else weight
    real, imag = np.ascontiguousarray(moments.real), np.ascontiguousarray(moments.imag)

    def work(first: int, last: int) -> None:
        _sum_votes(graph.start, graph.index, turns, used, real, imag, out, first, last)

    over_rows(graph, work)
    return out


def log_field(fields: NDArray[np.complexfloating], bins: int) -> NDArray[np.float32]:
    """Return 2 Re sum_k conj(h^(k)) e^{i k phi} at phi = 2 pi b / bins, float32 (rows, bins)."""
    parts = np.ascontiguousarray(fields, dtype=np.complex64).view(np.float32)
    # So few frequencies and bins are done sooner by a product than by an FFT.
    return np.asarray(parts @ (2 * _waves(fields.shape[1], bins)))


def posterior_moments(graph: PhaseGraph, fields: NDArray[np.complex128], k_max: int) -> NDArray[np.complex64]:
    """Return E e^{i k psi}, k = 1..k_max, under the fields, complex64 (n, k_max)."""
    out = np.empty((len(fields), k_max), np.complex64)
    bins = bins_of(max(k_max, fields.shape[1]))

    def work(first: int, last: int) -> None:
        out[first:last] = _moments(log_field(fields[first:last], bins), k_max)

    over_rows(graph, work, ROWS // 4)
    return out


def bins_of(k_max: int) -> int:
    """Return the number of points of the circle on which K frequencies are summed."""
    return max(64, 4 * (1 << int(np.ceil(np.log2(k_max)))))


def _moments(field: NDArray[np.float32], k_max: int) -> NDArray[np.complex64]:
    p = np.exp(field - field.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return np.asarray((p @ np.ascontiguousarray(_waves(k_max, field.shape[1]).T)).view(np.complex64))


@lru_cache(maxsize=32)
def _waves(k_max: int, bins: int) -> NDArray[np.float32]:
    """Return cos k phi and sin k phi in turn, k = 1..K, at phi = 2 pi b / bins, float32 (2 K, bins)."""
    turn = np.exp(2j * np.pi * (np.outer(np.arange(1, k_max + 1), np.arange(bins)) % bins) / bins)
    return np.ascontiguousarray(np.stack([turn.real, turn.imag], axis=1).reshape(2 * k_max, bins), dtype=np.float32)


def _judge(
    graph: PhaseGraph,
    row: NDArray[np.int32],
    weight: NDArray[np.float32] | None,
    fields: NDArray[np.complex128],
    moments: NDArray[np.complex64],
    f: NDArray[np.float64],
    entries: NDArray[np.int64],
) -> tuple[NDArray[np.float64], float]:
    """Learn f and the log-likelihood from some entries, each judged without itself."""
    k = np.arange(1, len(f) + 1, dtype=np.float32)
    bins = bins_of(len(f))
    fields = fields.astype(np.complex64)
    coefficients = f.astype(np.float32)
    total, squares, power, logs = np.zeros(len(f)), np.zeros(len(f)), np.zeros(len(f)), 0.0
    for first in range(0, len(entries), _CHUNK):
        chosen = entries[first : first + _CHUNK]
        a, b = row[chosen], graph.index[chosen]
        turn = np.exp(np.complex64(-1j) * k * graph.angle_rad[chosen][:, None])  # H_ab^(k)
        scale = coefficients if weight is None else coefficients * weight[chosen][:, None]
        at_a = _moments(log_field(fields[a] - scale * turn * moments[b], bins), len(f))
        at_b = _moments(log_field(fields[b] - scale * turn.conj() * moments[a], bins), len(f))
        agreement = np.real(turn.conj() * at_a * at_b.conj())
        total += agreement.sum(axis=0, dtype=np.float64)
        squares += (agreement**2).sum(axis=0, dtype=np.float64)
        power += (np.abs(at_a * at_b) ** 2).sum(axis=0, dtype=np.float64)
        logs += float(np.log(np.maximum(1e-3, 1 + 2 * agreement.astype(np.float64) @ f)).sum())
    power = np.maximum(power, 1e-9)
    learned = np.clip(total / power, 0, 1)
    noise = squares / np.maximum(total, 1e-30) ** 2  # (standard error / value)^2
    return learned * np.clip(1 - noise, 0, 1), logs / max(len(entries), 1)


@kernel(nogil=True)
def _sum_votes(start, index, turns, weight, real, imag, out, first, last):  # type: ignore[no-untyped-def]
    count = real.shape[1]
    turn_real, turn_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    sum_real, sum_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    for row in range(first, last):
        sum_real[:] = 0
        sum_imag[:] = 0
        for entry in range(start[row], start[row + 1]):
            other = index[entry]
            c, s = turns[entry].real, turns[entry].imag
            w = weight[entry] if len(weight) > 1 else np.float32(1)
            turn_real[0] = w * c
            turn_imag[0] = w * s
            # Powers by doubling, so that the compiler can take several at a time.
            width = 1
            while width < count:
                for k in range(min(width, count - width)):
                    turn_real[k + width] = turn_real[k] * c - turn_imag[k] * s
                    turn_imag[k + width] = turn_real[k] * s + turn_imag[k] * c
                c, s = c * c - s * s, np.float32(2) * c * s
                width *= 2
            for k in range(count):
                x, y = real[other, k], imag[other, k]
                sum_real[k] += turn_real[k] * x - turn_imag[k] * y
                sum_imag[k] += turn_real[k] * y + turn_imag[k] * x
        for k in range(count):
            out[row, k] = complex(np.float64(sum_real[k]), np.float64(sum_imag[k]))
