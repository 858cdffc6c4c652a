"""Images multiplied by their CTF, and C^2 where aligned images have it (Wiener's filter; Penczek, Methods Enzymol.
482:1, 2010, section 3).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, ctf_images, ctf_values
from cryoalign.core.filters import radial_average
from cryoalign.core.poses import Poses
from cryoalign.core.resample.fourier import gain_frequencies
from cryoalign.core.resample.resample import Edge, Interpolation, resample

POWER_SCALE = 2.0**32
"""Powers are summed as integers of this unit, so that no order can change them."""


def resample_with_ctf(
    images: NDArray[np.float32],
    poses: Poses,
    ctf: CtfParameters | None,
    pixel_size_angstrom: float,
    *,
    treatment: str,
    intact_first_peak: bool = False,
    interpolation: Interpolation = "fourier",
    edge: Edge = "wrap",
    image_of: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Multiply raw images by their CTF C ("wiener") or its sign ("flip"), "plain" by nothing, and apply their poses.

    What was done to the data before is taken into account: phase-flipped images are multiplied by abs(C) and flipped
    no more, premultiplied ones are left alone in both. An image's result does not depend on its neighbours.

    Parameters
    ----------
    images
        Raw images, float32 (n, L, L).
    poses, ctf
        Of the n images; ctf None for C = 1.
    pixel_size_angstrom
        Pixel size in A.
    treatment
        "wiener", "flip" or "plain".
    intact_first_peak
        See :func:`cryoalign.core.ctf.ctf_images`.
    interpolation, edge
        See :func:`cryoalign.core.resample.resample`.
    image_of
        Image of each of m poses, (m,), where images have several; the CTF stays that of the n images.

    Returns
    -------
    NDArray
        Aligned images, float32 (n, L, L), or (m, L, L).
    """
    if ctf is None or treatment == "plain":
        return resample(images, poses, interpolation=interpolation, edge=edge, image_of=image_of)
    box = images.shape[-1]
    if interpolation == "fourier":
        # The one transform of the resampling serves the CTF too.
        kx, ky = gain_frequencies(box)
        values = ctf_values(
            ctf,
            kx.ravel() / pixel_size_angstrom,
            ky.ravel() / pixel_size_angstrom,
            intact_first_peak=intact_first_peak,
            dtype=np.float32,
        )
        gains = _gains(values.reshape(len(ctf), *kx.shape), ctf, treatment)
        return resample(images, poses, edge=edge, gains=gains, image_of=image_of)
    weighted = apply_ctf(images, ctf, pixel_size_angstrom, treatment, intact_first_peak)
    return resample(weighted, poses, interpolation=interpolation, edge=edge, image_of=image_of)


def apply_ctf(
    images: NDArray[np.float32],
    ctf: CtfParameters | None,
    pixel_size_angstrom: float,
    treatment: str,
    intact_first_peak: bool = False,
) -> NDArray[np.float32]:
    """Do the first half of :func:`resample_with_ctf` only: multiply images (n, L, L), leave them where they are."""
    if ctf is None or treatment == "plain":
        return images
    box = images.shape[-1]
    gains = _gains(ctf_images(ctf, box, pixel_size_angstrom, intact_first_peak=intact_first_peak), ctf, treatment)
    weighted = np.empty((len(images), box, box), np.float32)
    for i, image in enumerate(images):  # one by one: a batch could change last bits
        weighted[i] = scipy.fft.irfft2(scipy.fft.rfft2(image) * gains[i], s=(box, box), overwrite_x=True)
    return weighted


def _gains(values: NDArray[np.floating], ctf: CtfParameters, treatment: str) -> NDArray[np.float32]:
    """Turn CTFs (n, ...) into what spectra are multiplied by; in place."""
    if treatment == "flip":
        values = np.copysign(np.ones_like(values), values)
        values[ctf.phase_flipped] = 1.0
    else:
        values[ctf.phase_flipped] = np.abs(values[ctf.phase_flipped])
    values[ctf.premultiplied] = 1.0
    return np.asarray(values, dtype=np.float32)


def aligned_ctf(
    ctf: CtfParameters, poses: Poses, box: int, pixel_size_angstrom: float, intact_first_peak: bool = False
) -> NDArray[np.float32]:
    """Return the CTF C of images after their poses were applied, on the half-plane that ``rfft2`` gives.

    Returns
    -------
    NDArray
        float32 (n, L, L // 2 + 1): C at the frequencies of the aligned frame, mirrored and turned with the pixels.
    """
    angle = np.where(poses.mirror, 180.0 - ctf.defocus_angle_deg, ctf.defocus_angle_deg)
    turned = replace(ctf, defocus_angle_deg=np.mod(angle + poses.psi, 180.0))
    return ctf_images(turned, box, pixel_size_angstrom, intact_first_peak=intact_first_peak)


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
    spectrum = scipy.fft.rfft2(images, workers=1)
    spectrum *= _gains(values, ctf, "wiener")
    return scipy.fft.irfft2(spectrum, s=(box, box), workers=1), power
