"""Angle and handedness of every node by the votes of its neighbours, under the density of the residuals.

Edge (i, j) says of image i: handed as j, or the other way if it is mirrored, and with s the sign of that hand
psi_i = psi_j - s angle_ij. Each neighbour so votes for one angle of one hand, in two histograms for each node. An edge
that is right agrees in hand, its residual has the density f; one in q of all edges contradicts in hand, whatever its
angle. Against edges that know nothing (half of them would contradict) the log likelihood of a hand and an angle is

    sum over the votes of that hand of log(2 (1 - q) 2 pi f(psi - vote))  +  votes of the other hand times log(2 q),

a convolution of the histogram with a fixed kernel, by FFT: O(E) a round. f and q come from all edges in each round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.synchronization.phases import PhaseGraph, over_rows

BINS = 128
_MOST_ROUNDS = 40
_SMOOTH_BINS = 1.0
_LEAST_COUNT = 0.5


@dataclass(frozen=True, eq=False)
class HandedVotes:
    """Where the votes settle.

    Parameters
    ----------
    psi_rad
        float64 (n,).
    mirror
        bool (n,).
    log_likelihood
        Mean over the edges of the log of what f and q give an edge, against knowing nothing.
    trust
        Probability of each entry of the graph to be right: its mirror agrees, and its residual stands above the
        density's floor; float32 (2 E,).
    """

    psi_rad: NDArray[np.float64]
    mirror: NDArray[np.bool_]
    log_likelihood: float
    trust: NDArray[np.float32]


def handed_votes(graph: PhaseGraph, psi_rad: NDArray[np.float64], flips: NDArray[np.bool_]) -> HandedVotes:
    """Improve angles and handedness until they stay.

    Parameters
    ----------
    graph
        The graph, with angles of both directions of every edge.
    psi_rad, flips
        Where to start, (n,).
    """
    n = graph.n
    mirror, weight = graph.mirror, graph.entry_weight()
    psi, flips = np.mod(psi_rad, 2 * np.pi), np.asarray(flips, bool).copy()
    for _ in range(_MOST_ROUNDS):
        kernel, share = _kernel(graph, psi, flips)
        spectrum = scipy.fft.rfft(kernel)
        other = np.log(2 * share)
        next_psi, next_flips = np.empty(n), np.empty(n, bool)

        def improve(first: int, last: int) -> None:
            votes = np.zeros((2, last - first, BINS))
            _vote(graph.start, graph.index, graph.angle_rad, mirror, weight, psi, flips, votes, first, last)  # noqa: B023
            score = scipy.fft.irfft(scipy.fft.rfft(votes, axis=2) * spectrum, BINS, axis=2)  # noqa: B023
            score += other * votes[::-1].sum(axis=2, keepdims=True)  # noqa: B023
            part = slice(first, last)
            next_psi[part], next_flips[part] = _best(score)  # noqa: B023

        over_rows(graph, improve)
        moved = np.abs(np.angle(np.exp(1j * (next_psi - psi)))).mean()
        turned = float(np.mean(next_flips != flips))
        psi, flips = next_psi, next_flips
        if moved < 1e-3 and turned < 1e-4:
            break
    kernel, share = _kernel(graph, psi, flips)
    ratio = np.exp(kernel)
    likelihood = float((1 - share) * np.sum(ratio / ratio.sum() * kernel) + share * np.log(2 * share))
    belief = np.append(1 - ratio.min() / ratio, 0.0)
    trust = np.empty(len(graph.index), np.float32)
    over_rows(
        graph,
        lambda first, last: _place(
            graph.start, graph.index, graph.angle_rad, mirror, psi, flips, belief, trust, first, last
        ),
    )
    return HandedVotes(psi, flips, likelihood, trust)


def _kernel(graph: PhaseGraph, psi: NDArray[np.float64], flips: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return the log density of a residual against uniform in each bin, and q."""
    mirror, weight = graph.mirror, graph.entry_weight()
    tiles: dict[int, NDArray[np.float64]] = {}

    def count(first: int, last: int) -> None:
        tiles[first] = np.zeros(BINS + 1)
        _count(graph.start, graph.index, graph.angle_rad, mirror, weight, psi, flips, tiles[first], first, last)

    over_rows(graph, count)
    total = np.sum([tiles[first] for first in sorted(tiles)], axis=0)
    everything = max(float(total.sum()), 1e-30)
    share = float(np.clip(total[BINS] / everything, 1e-3, 0.5))
    # Each edge is seen from both its ends, with opposite residuals: the density is even but for rounding.
    density = total[:BINS] + np.roll(total[:BINS][::-1], 1)
    far = np.minimum(np.arange(BINS), BINS - np.arange(BINS))
    smooth = np.exp(-0.5 * (far / _SMOOTH_BINS) ** 2)
    density = scipy.fft.irfft(scipy.fft.rfft(density) * scipy.fft.rfft(smooth / smooth.sum()), BINS)
    density = np.maximum(density, 0) + _LEAST_COUNT * max(1.0, everything / (1000 * BINS))
    kernel: NDArray[np.float64] = np.log(2 * (1 - share) * density / density.mean())
    return kernel, share


def _best(score: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the angle and hand of the highest score, (2, n, bins), between the bins by a parabola."""
    at = score.argmax(axis=2)
    here = np.take_along_axis(score, at[:, :, None], 2)[:, :, 0]
    before, after = (np.take_along_axis(score, (at[:, :, None] + step) % BINS, 2)[:, :, 0] for step in (-1, 1))
    bend = before - 2 * here + after
    offset = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1), 0)
    angle = (at + np.clip(offset, -0.5, 0.5)) * (2 * np.pi / BINS)
    flips = here[1] > here[0]
    return np.mod(np.where(flips, angle[1], angle[0]), 2 * np.pi), flips


@kernel(nogil=True)
def _vote(start, index, angle, mirror, weight, psi, flips, votes, first, last):  # type: ignore[no-untyped-def]
    bins = votes.shape[2]
    scale = bins / (2 * np.pi)
    for row in range(first, last):
        for entry in range(start[row], start[row + 1]):
            there = index[entry]
            hand = 1 if flips[there] != mirror[entry] else 0
            turn = np.float64(angle[entry])
            place = (psi[there] + (turn if hand == 1 else -turn)) * scale
            low = np.floor(place)
            share = place - low
            at = int(low) % bins
            w = np.float64(weight[entry]) if len(weight) > 1 else 1.0
            votes[hand, row - first, at] += w * (1 - share)
            votes[hand, row - first, (at + 1) % bins] += w * share


@kernel(nogil=True)
def _count(start, index, angle, mirror, weight, psi, flips, count, first, last):  # type: ignore[no-untyped-def]
    """Add the residuals of agreeing entries to count[:-1], contradicting ones to count[-1]."""
    bins = len(count) - 1
    scale = bins / (2 * np.pi)
    for row in range(first, last):
        for entry in range(start[row], start[row + 1]):
            there = index[entry]
            w = np.float64(weight[entry]) if len(weight) > 1 else 1.0
            if (flips[there] != mirror[entry]) != flips[row]:
                count[bins] += w
                continue
            turn = np.float64(angle[entry])
            place = (psi[row] - psi[there] - (turn if flips[row] else -turn)) * scale
            low = np.floor(place)
            at = int(low) % bins
            count[at] += w * (1 - (place - low))
            count[(at + 1) % bins] += w * (place - low)


@kernel(nogil=True)
def _place(start, index, angle, mirror, psi, flips, belief, trust, first, last):  # type: ignore[no-untyped-def]
    """Give each entry the belief of its residual's bin, contradicting ones the last."""
    bins = len(belief) - 1
    scale = bins / (2 * np.pi)
    for row in range(first, last):
        for entry in range(start[row], start[row + 1]):
            there = index[entry]
            if (flips[there] != mirror[entry]) != flips[row]:
                trust[entry] = belief[bins]
                continue
            turn = np.float64(angle[entry])
            place = (psi[row] - psi[there] - (turn if flips[row] else -turn)) * scale
            trust[entry] = belief[int(np.floor(place + 0.5)) % bins]
