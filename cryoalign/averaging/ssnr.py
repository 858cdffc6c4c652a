"""Signal-to-noise ratio per image from the halves of classes; small classes lean on the others.

With S the mean power of the signal in a ring and N that of the noise of a half average, FRC = S / (S + N). Both are
those of the class as far as they stand out of their own scatter, and those of all classes for the rest (empirical
Bayes; Efron & Morris, J. Am. Stat. Assoc. 68:117, 1973).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.frc import RingProducts, pool_rings

LARGEST_SSNR, SMALLEST_SSNR = 1e4, 1e-3
"""Limits of the ratio of a full average: noise-free rings stay finite, rings without signal are filtered away."""
NOISE_SAMPLES = 20.0
"""Samples that all classes together count for in the noise of one: noise differs little between classes."""
UNKNOWN = 1.0
"""Ratio per image where no class has two halves."""


def ssnr_per_image(
    products: RingProducts,
    ring_power: NDArray[np.float64],
    both: NDArray[np.bool_],
    samples: NDArray[np.float64],
    counts: NDArray[np.integer] | None = None,
) -> NDArray[np.float64]:
    """Estimate the signal-to-noise ratio (power) of one image where its C^2 is 1.

    Parameters
    ----------
    products
        Ring products of the half averages of m classes in the mask, (m, L // 2 + 1).
    ring_power
        Mean over each ring of the full sum of C^2, (m, L // 2 + 1).
    both
        Classes that have two halves, (m,).
    samples
        Independent samples of each ring inside the mask, (L // 2 + 1,).
    counts
        Members of either half, (m, 2), where the halves may differ; None = they are equal.

    Returns
    -------
    NDArray
        float64 (m, L // 2 + 1); ring 0 has ring 1's value.
    """
    m, rings = ring_power.shape
    result = np.full((m, rings), UNKNOWN)
    if not both.any():
        return result
    pooled = pool_rings(samples)
    power = np.maximum(ring_power, 1e-12)
    cross = pool_rings(products.cross)[both] / pooled
    mean = 0.5 * (pool_rings(products.first) + pool_rings(products.second))[both] / pooled
    # Noise power of one image: a half average has that over its share of sum C^2, half of it where halves are equal.
    weight = power[both]
    noise = np.maximum(mean - cross, 0.0) * 0.5 * weight
    if counts is not None:
        of_half = np.asarray(counts, np.float64)[both]
        noise *= (4.0 * of_half.prod(axis=1) / of_half.sum(axis=1) ** 2)[:, None]
    all_noise = np.maximum((weight * noise).sum(axis=0) / weight.sum(axis=0), 1e-30)
    all_signal = np.maximum((weight * cross).sum(axis=0) / weight.sum(axis=0), 0.0)
    # A class of one half only has the noise and the signal of all.
    noises, signal = np.repeat(all_noise[None], m, axis=0), np.repeat(all_signal[None], m, axis=0)
    noises[both] = np.maximum((pooled * noise + NOISE_SAMPLES * all_noise) / (pooled + NOISE_SAMPLES), 1e-30)
    if both.sum() > 1:
        scatter = (all_signal + 2.0 * noises[both] / weight) ** 2 / pooled
        share = all_signal**2 / np.maximum(all_signal**2 + scatter, 1e-300)
        signal[both] = np.maximum(share * cross + (1.0 - share) * all_signal, 0.0)
    full = np.clip(signal / noises * power, SMALLEST_SSNR, LARGEST_SSNR)
    result = full / power
    result[:, 0] = result[:, 1]
    return np.asarray(result)
