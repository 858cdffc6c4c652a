"""CTF-weighted averages: sum C F over sum C^2, the latter by rings.

After in-plane rotation the direction of astigmatism is spread over a class, so the denominator is kept as one number
for each ring (Wiener's filter; Penczek, Methods Enzymol. 482:1, 2010, section 3).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.filters import apply_ring_gain, radial_average

POWER_SCALE = 2.0**32
"""Ring powers are summed as integers of this unit, so that no order can change them."""


def multiply_by_ctf(
    images: NDArray[np.float32], ctf: CtfParameters | None, pixel_size_angstrom: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Multiply images by their CTF.

    Parameters
    ----------
    images
        Shape (n, box, box).
    ctf
        Of the n images; None for C = 1. Phase-flipped data are multiplied by |C|, premultiplied data are left alone.
    pixel_size_angstrom
        Pixel size in A.

    Returns
    -------
    weighted, power
        C F as images, float32; ring averages of C^2 in units of 1 / POWER_SCALE, int64 (n, box // 2 + 1).
    """
    n, box = len(images), images.shape[-1]
    if ctf is None:
        return images, np.full((n, box // 2 + 1), int(POWER_SCALE), np.int64)
    values = ctf_images(ctf, box, pixel_size_angstrom)
    power = np.rint(radial_average(values**2, box) * POWER_SCALE).astype(np.int64)
    values[ctf.phase_flipped] = np.abs(values[ctf.phase_flipped])
    values[ctf.premultiplied] = 1.0
    spectrum = scipy.fft.rfft2(images, workers=1)
    spectrum *= values
    return scipy.fft.irfft2(spectrum, s=(box, box), workers=1), power


def wiener_averages(sums: NDArray[np.float64], power: NDArray[np.int64], ssnr: float = 1.0) -> NDArray[np.float32]:
    """Divide sums of C F by sums of C^2 plus 1 / SSNR.

    Parameters
    ----------
    sums
        Aligned sums of C F, shape (m, box, box).
    power
        Sums of ring powers in units of 1 / POWER_SCALE, shape (m, box // 2 + 1).
    ssnr
        Spectral signal-to-noise ratio of one image, taken as flat.
    """
    averages = np.zeros(sums.shape, np.float32)
    for m in range(len(sums)):
        if power[m].any():
            averages[m] = apply_ring_gain(sums[m][None], 1.0 / (power[m] / POWER_SCALE + 1.0 / ssnr))[0]
    return averages
