"""In-plane angles once more: each image is turned onto the mean of its neighbours.

The graph's few frequencies say how an image stands among its neighbours; the image itself knows more finely, from the
high frequencies that hold little in a single pair but much against a mean of many. The mean leaves the image out, so
nothing draws it to where it stands. Components count as a Gaussian log-likelihood ratio has them, with variances and
covariance as measured: means of neighbours that are a few degrees off lack high frequencies, and say so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.llr import likelihood_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import templates
from cryoalign.core.poses import wrap_degrees
from cryoalign.core.tiles import TILE, run_tiles

MEMBERS = 50
REACH_DEG, STEP_DEG = 15.0, 0.5
MOST_COHERENT = 0.95
"""An image and its mean agree in no component more than this, whatever few images say."""


def template_turns_deg(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    lists: NeighbourLists,
    members: int = MEMBERS,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return the rotation that brings each image onto the mean of its neighbours, float64 (n,) in degrees, near 0.

    Parameters
    ----------
    coefficients, frequency, lists, members, threads
        As for :func:`cryoalign.classification.ordering.templates`.
    """
    mean, count = templates(coefficients, frequency, lists, members, threads)
    weight = measured_weights(coefficients, frequency, mean, count > 0)
    kinds, start = np.unique(frequency, return_index=True)
    turns = np.deg2rad(np.arange(-REACH_DEG, REACH_DEG + STEP_DEG / 2, STEP_DEG))
    waves = np.exp(-1j * kinds[:, None] * turns).astype(np.complex64)
    result = np.zeros(len(coefficients))

    def compute(begin: int) -> None:
        rows = slice(begin, begin + TILE)
        product = np.add.reduceat(coefficients[rows] * mean[rows].conj() * weight, start, axis=1)
        score = (product @ waves).real
        best = np.clip(score.argmax(axis=1), 1, len(turns) - 2)
        low, top, high = (score[np.arange(len(score)), best + side] for side in (-1, 0, 1))
        bend = low + high - 2 * top
        between = np.where(bend < 0, 0.5 * (low - high) / np.where(bend < 0, bend, -1), 0.0)
        result[rows] = np.rad2deg(turns[best]) + np.clip(between, -1, 1) * STEP_DEG

    run_tiles(compute, range(0, len(coefficients), TILE), threads)
    return np.where(count > 0, result, 0.0)


def turned_lists(lists: NeighbourLists, turn_deg: NDArray[np.floating]) -> NeighbourLists:
    """Return lists whose angles hold after each image was found to stand ``turn_deg`` (n,) beside where it was put.

    The rotation that brings i onto its neighbours comes off the pose that brings j onto i, and j's own is added, the
    other way round where j is mirrored.
    """
    other = np.where(lists.mirror, -1.0, 1.0) * turn_deg[lists.index]
    turned = wrap_degrees(lists.angle_deg - turn_deg[:, None] + other)
    angle = np.where(lists.index >= 0, turned, 0.0).astype(np.float32)
    return NeighbourLists(lists.index, lists.score, angle, lists.mirror, lists.shift_px)


def measured_weights(
    coefficients: NDArray[np.complex64],
    frequency: NDArray[np.int64],
    mean: NDArray[np.complex64],
    used: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the weight of each component in a product of an image with its mean, float32 (P,)."""
    ours, theirs = coefficients[used], mean[used]
    if not len(ours):
        return np.zeros(len(frequency), np.float32)

    def average(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(values.mean(axis=0, dtype=np.float64))

    first = average(ours.real**2 + ours.imag**2)
    second = average(theirs.real**2 + theirs.imag**2)
    common = average(ours.real * theirs.real + ours.imag * theirs.imag)
    # Nothing in common, or nothing at all: such a component has no say.
    live = (first > 0) & (second > 0)
    safe_first, safe_second = np.where(live, first, 1.0), np.where(live, second, 1.0)
    bound = MOST_COHERENT * np.sqrt(safe_first * safe_second)
    weights = likelihood_weights(frequency, safe_first, safe_second, np.where(live, np.minimum(common, bound), 0.0))
    return weights.product.astype(np.float32)
