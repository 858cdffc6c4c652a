"""References for the guard where particles made them: the average of one half, to be compared with the other half.

The FRC of both halves must not filter them here. It is high on the rings where the halves happen to agree, and would
lend weight to chance: z of noise would grow with the number of rings. Each half is filtered by its own signal-to-noise
ratio instead, its noise being what it shows outside the mask. That knows nothing of the other half.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.averaging.frc import pool_rings, ring_sums
from cryoalign.core.errors import InputError
from cryoalign.core.filters import conjugate_weight, ring_counts, ring_gain_image
from cryoalign.core.masks import background_region
from cryoalign.core.noise import noise_power

_FLOOR = 0.02
"""Least C^2 that divides, as a share of the mean over all frequencies."""


def cross_fit_references(
    totals: NDArray[np.float64], power: NDArray[np.float64], counts: NDArray[np.integer], mask_diameter_px: float
) -> NDArray[np.float32]:
    """Return the average of each half, filtered by that half's own signal-to-noise ratio.

    Parameters
    ----------
    totals, power, counts
        Sums of C F and of C^2, and members, of either half of m classes: (m, 2, L, L), (m, 2, L, L // 2 + 1), (m, 2);
        see :class:`cryoalign.averaging.class_sums.ClassSums`.
    mask_diameter_px
        What lies outside this diameter is noise, in pixels.

    Returns
    -------
    NDArray
        float32 (2, m, L, L), background mean 0; zeros where a half is empty or shows no noise.
    """
    m, box = len(totals), totals.shape[-1]
    outside = background_region(box, mask_diameter_px)
    references = np.zeros((2, m, box, box), np.float32)
    for half in (0, 1):
        for c in np.flatnonzero(np.asarray(counts)[:, half]):
            try:
                image = _own_average(totals[c, half], power[c, half], mask_diameter_px)
            except InputError:
                continue  # nothing outside the mask: masked or noiseless images
            references[half, c] = image - image[outside].mean()
    return references


def _own_average(total: NDArray[np.float64], power: NDArray[np.float64], diameter_px: float) -> NDArray[np.float64]:
    """Divide a sum of C F by the sum of C^2, and take the noise's share off, ring by ring."""
    box = total.shape[-1]
    spectrum = scipy.fft.rfft2(total)
    # As float32 of any size: sums may be large.
    unit = float(np.abs(total).max()) or 1.0
    noise = noise_power((total / unit)[None], diameter_px) * unit**2
    observed = ring_sums(conjugate_weight(box) * np.abs(spectrum) ** 2, box) / box**2
    ratio = np.maximum(pool_rings(observed) / pool_rings(noise * ring_counts(box)) - 1.0, 0.0)
    gain = ring_gain_image(ratio / (1.0 + ratio), box) / (power + _FLOOR * power.mean())
    return np.asarray(scipy.fft.irfft2(spectrum * gain, s=(box, box)))
