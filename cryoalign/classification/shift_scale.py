"""How far particles lie from their centres, from the data: a wide search, and whether what it found is real.

The search over shifts does not need its scale to be right: a pattern for a standard deviation of a twenty-fourth of
the box finds shifts of half and of twice as much. Where there are none it finds noise, and the weaker the images the
more. So each image is moved to where it agrees best with the mean of its neighbours. With slope b and mean curvature h
of the log-likelihood ratio the step is b / h, of variance s^2 + 1 / h: shifts show as more than 1 / h. So do
differences between neighbouring views; but centres that are real also make neighbours agree more in components that
did not choose them.

Where neighbours agree well without any shift, a thousand images tell that they stand on their centres, at a small part
of the cost of the search.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.algorithms import embed, nearest_views
from cryoalign.classification.all_pairs import all_neighbours
from cryoalign.classification.features import Features
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.llr import likelihood_weights, pair_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import templates
from cryoalign.classification.settings import ClassificationSettings
from cryoalign.classification.signal_test import measure_signal
from cryoalign.synchronization.edges import EdgeList

PILOT_SHARE = 1.0 / 24.0
"""Standard deviation of the first search where nothing is known, as a share of the box."""
STILL_PX = 0.1
"""Centres that move by less in a round, in prepared pixels, stand still."""
LEAST_VARIANCE, LEAST_GAIN = 0.75, 1.1
"""Shifts are real where their variance is above this share of 1 / h, and the held-out share grows by this factor."""
MEMBERS = 10
"""Neighbours in a mean: few, so that they are near."""
TESTED = 1500
"""Images whose held-out share is compared."""
SHARP_SHARE = 0.5
"""Held-out share from which neighbours found without shifts tell whether there are any: of images with 1 px of shift
at that share the excess is 1.4 to 6 times the noise, of centred ones up to half of it."""
ENOUGH, EDGES = 1000, 50
"""Images and raw neighbours of each that tell it."""
REMAINING = 0.5
"""Standard deviation of a later search, as a share of the last scatter; but no less than this many pixels."""
LEAST_SD_PX = 0.4
_STEP_PX = 0.5


def pilot_sd(box: int) -> float:
    """Return the standard deviation to search in prepared pixels where nothing is known."""
    return box * PILOT_SHARE


def next_sd(scatter_px: float) -> float:
    """Return the standard deviation of the next search after centres scattered by so many prepared pixels."""
    return max(LEAST_SD_PX, REMAINING * scatter_px)


def scatter(centre_px: NDArray[np.floating]) -> float:
    """Return the standard deviation of either coordinate of centres (n, 2) about 0."""
    return float(np.sqrt(np.mean(np.asarray(centre_px, np.float64) ** 2))) if len(centre_px) else 0.0


def are_centred(features: Features, *, mirror: bool = True) -> bool:
    """Tell whether images surely stand on their centres, from neighbours found without shifts; False where unsure.

    Parameters
    ----------
    features
        Of the images as they are.
    mirror
        Whether mirrored images count as neighbours.

    Notes
    -----
    Neighbours by the graph, not raw ones: these were chosen for their likeness as the image lies, and hide its shift.
    """
    n = len(features)
    rows = np.arange(min(n, ENOUGH)) * n // min(n, ENOUGH)
    part = features
    if len(rows) < n:
        part = replace(
            features, coefficients=features.coefficients[rows], images=features.images[rows],
            centre_px=features.centre_px[rows],
        )  # fmt: skip
    coefficients, frequency, eigenvalue, threads = part.coefficients, part.frequency, part.eigenvalue, part.threads
    if len(rows) <= 2 * EDGES:
        return False
    if measure_signal(coefficients, frequency, eigenvalue, mirror=mirror, threads=threads).share < SHARP_SHARE:
        return False
    weights = pair_weights("llr", frequency, eigenvalue)
    raw = all_neighbours(
        weights.weighted(coefficients), frequency, EDGES, weights.own_terms(coefficients), mirror=mirror,
        threads=threads,
    )  # fmt: skip
    settings = ClassificationSettings(k_max=3, threads=threads)  # higher frequencies would say the same
    cleaned = nearest_views(embed(edges_from_lists(raw), settings), part, settings, MEMBERS)
    excess, noise = shift_variance(part, cleaned)
    return excess <= LEAST_VARIANCE * noise < np.inf


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
    n = len(features)
    rows = np.arange(min(n, TESTED)) * n // min(n, TESTED)
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
