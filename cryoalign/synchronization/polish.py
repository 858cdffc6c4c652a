"""The last fraction of a degree: nodes move to the mean of the votes of edges that are probably right.

Residuals are a mixture of a normal part (share, sigma) and a uniform one, learned by expectation maximisation; each
node moves to the phase of the votes weighted by their probability to be of the first. No bins, so edges without error
give angles without error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.kernels import kernel
from cryoalign.synchronization.phases import PhaseGraph, over_rows

_STEPS = 12
_LEAST_SIGMA = 1e-5  # radians; angles are float32 degrees
_SAMPLE = 200_000


def polish(graph: PhaseGraph, phases: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Refine phases that are right to a few degrees, complex128 (n,).

    Parameters
    ----------
    graph
        The graph.
    phases
        The answer so far, complex128 (n,).
    """
    share, sigma_rad = 0.5, 0.3
    psi = np.angle(phases)
    every = max(1, len(graph.index) // _SAMPLE)
    sample = np.arange(0, len(graph.index), every)
    row = np.searchsorted(graph.start, sample, side="right") - 1
    for _ in range(_STEPS):
        error = np.angle(np.exp(1j * (graph.angle_rad[sample] - psi[graph.index[sample]] + psi[row])))
        for _ in range(5):
            normal = share * np.exp(-0.5 * (error / sigma_rad) ** 2) / (sigma_rad * np.sqrt(2 * np.pi))
            right = normal / (normal + (1 - share) / (2 * np.pi))
            share = float(np.clip(right.mean(), 1e-3, 0.999))
            sigma_rad = float(np.sqrt(max((right * error**2).sum() / max(right.sum(), 1e-9), _LEAST_SIGMA**2)))
        last, psi = psi, _moved(graph, psi, share / (1 - share) * np.sqrt(2 * np.pi) / sigma_rad, sigma_rad)
        if np.max(np.abs(psi - last)) < 1e-6:
            break
    return np.exp(1j * psi)


def _moved(graph: PhaseGraph, psi: NDArray[np.float64], height: float, width: float) -> NDArray[np.float64]:
    """Move every node to the mean of its votes, each weighted by its probability to be of the normal part."""
    out, weight = psi.copy(), graph.entry_weight()
    over_rows(
        graph,
        lambda first, last: _move(
            graph.start, graph.index, graph.angle_rad, weight, psi, height, width, out, first, last
        ),
    )
    return out


@kernel(nogil=True)
def _move(start, index, angle, weight, psi, height, width, out, first, last):  # type: ignore[no-untyped-def]
    for row in range(first, last):
        total = 0.0
        moved = 0.0
        for entry in range(start[row], start[row + 1]):
            off = psi[index[entry]] - np.float64(angle[entry]) - psi[row]
            off -= 2 * np.pi * np.round(off / (2 * np.pi))
            if abs(off) > 6 * width:
                continue
            normal = height * np.exp(-0.5 * (off / width) ** 2)
            w = normal / (normal + 1)
            if len(weight) > 1:
                w *= np.float64(weight[entry])
            total += w
            moved += w * off
        if total > 0:
            out[row] = psi[row] + moved / total
