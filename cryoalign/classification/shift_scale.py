"""How far particles lie from their centres, from the data: a wide search, and whether what it found is real.

The search over shifts does not need its scale to be right: a pattern for a standard deviation of a twenty-fourth of
the box finds shifts of half and of twice as much. Where there are none it finds noise, and the weaker the images the
more. So each image is moved to where it agrees best with the mean of its neighbours. With slope b and mean curvature h
of the log-likelihood ratio the step is b / h, of variance s^2 + 1 / h: shifts show as more than 1 / h. So do
differences between neighbouring views; but centres that are real also make neighbours agree more in components that
did not choose them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.features import Features
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.llr import likelihood_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import templates
from cryoalign.classification.signal_test import measure_signal
from cryoalign.core.evenly import evenly_spread
from cryoalign.synchronization.edges import EdgeList

PILOT_SHARE = 1.0 / 24.0
"""Standard deviation of the first search where nothing is known, as a share of the box."""
STILL_PX = 0.1
"""Centres that move by less in a round, in prepared pixels, stand still."""
LEAST_VARIANCE, LEAST_GAIN = 0.75, 1.1
"""Shifts are real where their variance is above this share of 1 / h, and the held-out share grows by this factor."""
CLEAR_VARIANCE = 2.0
"""From this share of 1 / h on the variance alone tells: views that differ give at most .8 of it, and where images are
strong, or all of one view, the held-out share may fall as they are centred."""
MEMBERS = 10
"""Neighbours in a mean: few, so that they are near."""
TESTED = 1500
"""Images whose held-out share is compared."""
FAR_TOO_WIDE = 0.45
"""A pilot's scale below this share of its own search is taken for the first search."""
REMAINING = 0.5
"""Standard deviation of a later search, as a share of the last scatter; but no less than this many pixels."""
LEAST_SD_PX = 0.4
_STEP_PX = 0.5


def pilot_sd(box: int) -> float:
    """Return the standard deviation to search in prepared pixels where nothing is known."""
    return box * PILOT_SHARE


def first_sd(scale_px: float, box: int) -> float:
    """Return the standard deviation of the first search, where a pilot found centres to scatter by so many pixels.

    A pilot finds too little where images are weak, and too wide a search does little harm unless it is far too wide.
    """
    wide = pilot_sd(box)
    return scale_px if scale_px < FAR_TOO_WIDE * wide else wide


def next_sd(scatter_px: float) -> float:
    """Return the standard deviation of the next search after centres scattered by so many prepared pixels."""
    return max(LEAST_SD_PX, REMAINING * scatter_px)


def scatter(centre_px: NDArray[np.floating]) -> float:
    """Return the standard deviation of either coordinate of centres (n, 2) about 0."""
    return float(np.sqrt(np.mean(np.asarray(centre_px, np.float64) ** 2))) if len(centre_px) else 0.0


def are_shifted(features: Features, cleaned: NeighbourLists, moved_px: NDArray[np.floating]) -> bool:
    """Tell whether the centres that were found are more than noise.

    Parameters
    ----------
    features
        Of the images as they are.
    cleaned
        Nearest views, from a graph that allowed for shifts.
    moved_px
        The centres, (n, 2).
    """
    excess, noise = shift_variance(features, cleaned)
    if not excess > LEAST_VARIANCE * noise:
        return False
    if excess > CLEAR_VARIANCE * noise < np.inf:
        return True
    n = len(features)
    rows = evenly_spread(TESTED, n)
    shares = []
    for centre in (features.centre_px[rows], features.centre_px[rows] + moved_px[rows]):
        part = features.moved_to(centre, rows)
        shares.append(measure_signal(part, features.frequency, features.eigenvalue, threads=features.threads).share)
    return shares[1] > LEAST_GAIN * max(shares[0], 0.0)


def shift_variance(features: Features, cleaned: NeighbourLists) -> tuple[float, float]:
    """Return the variance of shifts against neighbours beyond noise, and that of noise, in prepared pixels squared.

    Parameters
    ----------
    features, cleaned
        As for :func:`are_shifted`.
    """
    members = min(MEMBERS, cleaned.k)
    coefficients, frequency, eigenvalue = features.coefficients, features.frequency, features.eigenvalue
    mean, _ = templates(coefficients, frequency, cleaned, members, threads=features.threads)
    noise = eigenvalue + 1.0 / members
    weight = likelihood_weights(frequency, eigenvalue + 1.0, noise, eigenvalue).product.astype(np.float32)

    def score(moved: NDArray[np.complex64]) -> NDArray[np.float64]:
        return ((moved.real * mean.real + moved.imag * mean.imag) * weight).sum(axis=1).astype(np.float64)

    here = score(coefficients)
    found, expected = 0.0, 0.0
    for x, y in ((_STEP_PX, 0.0), (0.0, _STEP_PX)):
        ahead, behind = score(features.shifted((x, y))), score(features.shifted((-x, -y)))
        curvature = float(np.mean(2.0 * here - ahead - behind)) / _STEP_PX**2
        if curvature <= 0:
            return 0.0, np.inf
        found += 0.5 * float(np.var((ahead - behind) / (2.0 * _STEP_PX * curvature)))
        expected += 0.5 / curvature
    return max(found - expected, 0.0), expected


def trusted_edges(raw: NeighbourLists, cleaned: NeighbourLists) -> EdgeList:
    """Return the raw edges that join images which the cleaned lists of either end join too, with the same hand.

    Parameters
    ----------
    raw
        Lists with the shifts that were measured.
    cleaned
        Nearest views by the graph.
    """
    edges = edges_from_lists(raw)
    n = edges.n
    present = cleaned.index >= 0
    i = np.broadcast_to(np.arange(n, dtype=np.int64)[:, None], present.shape)[present]
    j = cleaned.index[present].astype(np.int64)
    known = np.unique((np.minimum(i, j) * n + np.maximum(i, j)) * 2 + cleaned.mirror[present])
    wanted = (edges.i.astype(np.int64) * n + edges.j) * 2 + edges.mirror
    at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    return edges.take(known[at] == wanted) if len(known) else edges.take(np.zeros(len(edges), bool))
