"""An intensity for every member of a class: its amplitude against the average of the other half, shrunk towards 1.

With x the whitened member and m = W T G its whitened model, the least-squares amplitude is a = <x, m> / <m, m>, with
the variance 1 / <m, m>. The spread of the true intensities is what exceeds that (method of moments), and every a is
drawn to the mean by what is known of it: empirical Bayes (Efron & Morris 1973, J. Am. Stat. Assoc. 68, 117).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.filters import conjugate_weight

SMALLEST, LARGEST = 0.1, 10.0
"""Intensities are kept within these: an average has no use for a division by nothing."""


@dataclass(frozen=True, eq=False)
class Intensities:
    """Intensities of n members, relative to their mean.

    Parameters
    ----------
    scales
        Shrunk estimates, shape (n,); 1 where nothing is known.
    spread
        Standard deviation of the true intensities, as estimated.
    error
        Root mean square of the errors of single estimates before they were shrunk.
    """

    scales: NDArray[np.float64]
    spread: float
    error: float


def amplitudes(
    spectra: NDArray[np.complexfloating], models: NDArray[np.complexfloating], box: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit each model to its image.

    Parameters
    ----------
    spectra, models
        Whitened ``rfft2`` of images and of their models, (n, L, L // 2 + 1): noise of variance L^2 in every frequency.
    box
        L.

    Returns
    -------
    tuple
        <x, m> and <m, m>, each float64 (n,): their ratio is the amplitude, 1 / <m, m> its variance.
    """
    weight = conjugate_weight(box) / box**2
    product = np.empty(len(spectra))
    energy = np.empty(len(spectra))
    for i, (x, m) in enumerate(zip(spectra, models, strict=True)):  # one by one: no result depends on the others
        product[i] = (weight * (x.real * m.real + x.imag * m.imag)).sum(dtype=np.float64)
        energy[i] = (weight * (m.real**2 + m.imag**2)).sum(dtype=np.float64)
    return product, energy


def shrunk_intensities(product: NDArray[np.float64], energy: NDArray[np.float64]) -> Intensities:
    """Turn fits into intensities.

    Parameters
    ----------
    product, energy
        From :func:`amplitudes`, shape (n,); energy 0 where there was nothing to compare with.

    Returns
    -------
    Intensities
        Relative to the mean over all, each drawn to 1 by tau^2 / (tau^2 + 1 / energy).
    """
    known = energy > 0
    scales = np.ones(len(energy))
    if not known.any():
        return Intensities(scales, 0.0, 0.0)
    mean = float(product[known].sum() / energy[known].sum())
    if mean <= 0:
        return Intensities(scales, 0.0, float("inf"))
    a = product[known] / energy[known] / mean
    variance = 1.0 / (energy[known] * mean**2)
    spread2 = _excess_variance(a, variance)
    scales[known] = np.clip(1.0 + spread2 / (spread2 + variance) * (a - 1.0), SMALLEST, LARGEST)
    return Intensities(scales, float(np.sqrt(spread2)), float(np.sqrt(variance.mean())))


def _excess_variance(a: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    """Return the variance beyond the errors, each value weighted by what is known of it (Paule & Mandel 1982)."""
    if len(a) < 2:
        return 0.0
    low, high = 0.0, float(np.var(a)) + 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        weight = 1.0 / (variance + middle)
        centre = (weight * a).sum() / weight.sum()
        if (weight * (a - centre) ** 2).sum() > len(a) - 1:
            low = middle
        else:
            high = middle
    return low if low > 1e-12 else 0.0
