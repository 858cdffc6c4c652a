"""Centres once more: each image is moved to where it agrees best with the mean of its neighbours.

The shift between two single images is a guess, and a wrong pair's shift is far off: centres from the shifts on edges
alone scatter by twice what the images allow. Against a mean of neighbours an image has a clear best place. The mean
leaves the image out, components count as a Gaussian log-likelihood ratio has them with variances and covariance as
measured, and a normal prior on the whole centre is taken off, |t|^2 / (2 sd^2). With curvature h at the best place its
variance is 1 / h, so that the variance of the centres themselves is theirs as found and the mean of 1 / h: one step of
expectation and maximisation (Dempster, Laird, Rubin, J. R. Stat. Soc. B 39:1, 1977).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.features import Features
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import templates
from cryoalign.classification.template_angles import measured_weights

MEMBERS = 50
"""Neighbours in a mean."""
STEP_PX, RADIUS_STEPS = 0.5, 2.3
"""Spacing in prepared pixels of the places that are tried, and how many spacings they reach."""
_SIDE = 3


def centre_by_templates(features: Features, cleaned: NeighbourLists, sd_px: float) -> tuple[NDArray[np.float64], float]:
    """Find what each image must be moved by to agree best with the mean of its neighbours.

    Parameters
    ----------
    features
        Of the images at their present centres.
    cleaned
        Nearest views with poses.
    sd_px
        Standard deviation of either coordinate of the centres in prepared pixels, positive: a prior.

    Returns
    -------
    moved_px, sd_px
        In prepared pixels: shifts beyond the present centres, float64 (n, 2), and the standard deviation of either
        coordinate of the true centres that the new ones and their accuracy speak for.
    """
    coefficients, n = features.coefficients, len(features)
    mean, count = templates(coefficients, features.frequency, cleaned, min(MEMBERS, cleaned.k), features.threads)
    weight = measured_weights(coefficients, features.frequency, mean, count > 0)
    weighted = (mean * weight).astype(np.complex64)
    # A rim without scores, so that every place has four sides.
    score = np.full((n, 2 * _SIDE + 1, 2 * _SIDE + 1), -np.inf)
    for y in range(1 - _SIDE, _SIDE):
        for x in range(1 - _SIDE, _SIDE):
            if x * x + y * y > RADIUS_STEPS**2:
                continue
            here = features.shifted((x * STEP_PX, y * STEP_PX)) if x or y else coefficients
            likeness = (here.real * weighted.real + here.imag * weighted.imag).sum(axis=1)
            centre = features.centre_px + np.array([x, y]) * STEP_PX
            score[:, y + _SIDE, x + _SIDE] = likeness - (centre**2).sum(axis=1) / (2 * sd_px**2)
    rows = np.arange(n)
    at = np.divmod(score.reshape(n, -1).argmax(axis=1), 2 * _SIDE + 1)
    top = score[rows, at[0], at[1]]
    moved = np.empty((n, 2))
    variance = np.full((n, 2), sd_px**2)
    for axis, (dy, dx) in enumerate(((0, 1), (1, 0))):
        ahead, behind = (score[rows, at[0] + s * dy, at[1] + s * dx] for s in (1, -1))
        inside = np.isfinite(ahead) & np.isfinite(behind)
        bend = np.where(inside, ahead + behind - 2 * top, 0.0)
        slope = np.where(inside, ahead - behind, 0.0)
        peak = bend < 0
        safe = np.where(peak, bend, -1.0)
        moved[:, axis] = at[1 - axis] - _SIDE + np.where(peak, -0.5 * slope / safe, 0.0)
        variance[:, axis] = np.where(peak, np.minimum(STEP_PX**2 / -safe, sd_px**2), sd_px**2)
    used = count > 0
    moved = np.where(used[:, None], moved * STEP_PX, 0.0)
    found = features.centre_px + moved
    return moved, float(np.sqrt(np.mean(found[used] ** 2 + variance[used]))) if used.any() else sd_px
