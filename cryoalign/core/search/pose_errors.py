"""Standard errors of angle and shift, from the curvature of the score at its peak and the noise of its slope.

A pose is found where the slope of the score X vanishes. With J the covariance of that slope over the noise and A the
curvature of X that the particle has in truth, the pose scatters by A^-1 J A^-1: the sandwich, which needs neither a
right intensity nor a right model (Huber, Proc. 5th Berkeley Symp. 1:221, 1967; White, Econometrica 50:1, 1982). For a
perfect reference at scale s, A = s J and this is the inverse of the log likelihood's curvature.

J follows from the reference and the noise. A is observed, as the curvature at the peak (Efron and Hinkley, Biometrika
65:457, 1978: better than expected), but for references that carry noise of their own: the peak then sits on a bump of
noise against noise, sharper than the particle's. There A is expected from the reference's signal, its power less its
noise, and the observed one counts only where the bumps' sharpness is nearly all signal. Bumps narrower than the
scatter move the peak less than their slope says: their share of J is damped by the phase that the scatter gives them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region
from cryoalign.core.noise import noise_power
from cryoalign.core.search.bank import ReferenceBank
from cryoalign.core.search.polar import RingLayout

ENTRIES = 6
"""Of a symmetric matrix in (angle, x, y): aa, ax, ay, xx, xy, yy."""
_ROW, _COLUMN = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
UNKNOWN = 1e300
_DAMPING = 0.15
"""Times the variance of the phase, radians^2; measured with references of 10 to 1,000 members at SNR .05 and .1."""
_CLEAN = 1e-3
"""Variance outside the mask, relative to that inside, below which a reference carries no noise worth a look."""
_SMOOTHED = 1
"""Rings to either side over which a reference's share of signal is smoothed."""


@dataclass(frozen=True, eq=False)
class ErrorTables:
    """What the errors need of the references, by ring, for unit weight.

    Parameters
    ----------
    slope
        Products of the derivatives by angle (radians) and shift (pixels), shape (m, 6, n_rings).
    signal
        The same without the references' own noise.
    signal_power
        Power of the references without their noise, shape (m, n_rings).
    sharpness, signal_sharpness
        Power of the second derivatives, with and without it, up to a factor, shape (m, n_rings).
    wave2
        Square of each ring's frequency, radians^2 per pixel^2, shape (n_rings,).
    radius_px
        Radius of the references.
    """

    slope: NDArray[np.float64]
    signal: NDArray[np.float64]
    signal_power: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    signal_sharpness: NDArray[np.float64]
    wave2: NDArray[np.float64]
    radius_px: float


def error_tables(bank: ReferenceBank, radius_px: float, reference_noise: NDArray[np.float64] | None) -> ErrorTables:
    """Tabulate a bank.

    Parameters
    ----------
    bank
        The references.
    radius_px
        Radius of their mask, in pixels.
    reference_noise
        Noise power of each reference before the mask, E|F|^2 / box^2 by ring from 0, shape (m, >= n_rings + 1); None =
        they carry none.
    """
    layout = bank.layout
    power = bank.ring_power
    slope = _slope_products(bank.samples, layout)
    k2 = np.square(2.0 * np.pi / layout.box * np.arange(1.0, layout.n_rings + 1.0))
    share = np.ones_like(power)
    if reference_noise is not None:
        share = _signal_share(bank, radius_px, reference_noise[:, 1 : layout.n_rings + 1])
    shares = np.repeat(share[:, None], ENTRIES, axis=1)
    # Noise fills the disc, the particle its middle: of the slope in the angle more is noise. A disc's mean of the
    # square of the lever is R^2 / 4.
    of_noise = (1.0 - share) * power * k2 * radius_px**2 / 4.0
    shares[:, 0] = np.clip(1.0 - of_noise / np.maximum(slope[:, 0], 1e-300), 0.0, share)
    shares[:, 1:3] = np.sqrt(shares[:, :1] * share[:, None])
    sharpness = k2 * (slope[:, 3] + slope[:, 5])
    return ErrorTables(slope, slope * shares, power * share, sharpness, sharpness * share, k2, radius_px)


def reference_noise_power(references: NDArray[np.float32], mask_diameter_px: float) -> NDArray[np.float64]:
    """Estimate each reference's own noise outside the mask: (m, box // 2 + 1), 0 where there is nothing outside.

    Parameters
    ----------
    references
        Filtered but not masked, shape (m, box, box).
    mask_diameter_px
        In pixels.
    """
    power = np.zeros((len(references), references.shape[-1] // 2 + 1))
    outside = background_region(references.shape[-1], mask_diameter_px)
    share = references[:, outside].var(axis=1) / np.maximum(references[:, ~outside].var(axis=1), 1e-300)
    for r in np.flatnonzero(share > _CLEAN):
        with contextlib.suppress(InputError):  # masked before: nothing is outside
            power[r] = noise_power(references[r : r + 1], mask_diameter_px)
    return power


def _signal_share(bank: ReferenceBank, radius_px: float, noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each ring's power that is not noise, (m, n_rings): 0 where it is not two standard errors above it."""
    layout = bank.layout
    area = min(np.pi * radius_px**2 / layout.box**2, 1.0)
    expected = noise * area * layout.box**2 * layout.ring_weight * layout.ring_samples
    # Few rings are smoothed: what a ring of noise holds scatters by one over the root of its independent samples.
    window = np.ones(2 * _SMOOTHED + 1)
    total = np.stack([np.convolve(row, window, mode="same") for row in bank.ring_power])
    own = np.stack([np.convolve(row, window, mode="same") for row in expected])
    samples = np.convolve(np.pi * np.arange(1, layout.n_rings + 1), window, mode="same")
    scatter = np.sqrt((1.0 / area + 1.0 / max(1.0 - area, 0.02)) / samples)
    share = np.clip(1.0 - own / np.maximum(total, 1e-300), 0.0, 1.0)
    return np.where(total > own * (1.0 + 2.0 * scatter), share, 0.0)


def _slope_products(samples: NDArray[np.complexfloating], layout: RingLayout) -> NDArray[np.float64]:
    """Sum w Re(conj(dG/du) dG/dv) over each ring for u, v of angle, x, y at no turn and no shift, (m, 6, n_rings)."""
    kx, ky = layout.points()
    unit = 2.0 * np.pi / layout.box
    products = np.empty((len(samples), ENTRIES, layout.n_rings))
    for k in range(layout.n_rings):
        ring = slice(layout.ring_start[k], layout.ring_start[k + 1])
        half = samples[:, ring].astype(np.complex128)
        h = half.shape[1]
        harmonic = np.fft.fftfreq(2 * h, 1.0 / (2 * h))
        harmonic[h] = 0.0
        whole = np.concatenate([half, half.conj()], axis=1)
        turned = -np.fft.ifft(1j * harmonic * np.fft.fft(whole, axis=1), axis=1)[:, :h]
        slopes = (turned, -1j * unit * kx[ring] * half, -1j * unit * ky[ring] * half)
        for entry, (u, v) in enumerate(zip(_ROW, _COLUMN, strict=True)):
            products[:, entry, k] = np.sum(slopes[u].real * slopes[v].real + slopes[u].imag * slopes[v].imag, axis=1)
        products[:, :, k] *= layout.ring_weight[k]
    return products


def pose_variances(
    tables: ErrorTables,
    reference: NDArray[np.int64],
    angle: NDArray[np.float64],
    score: NDArray[np.float64],
    curvature: NDArray[np.float64],
    weight: NDArray[np.float64],
    slope_weight: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the variances of angle and shift of n answers.

    Parameters
    ----------
    tables
        Of the references.
    reference, angle, score
        The answers: reference, angle in radians, X; shape (n,).
    curvature
        Minus the second derivatives of X there, shape (n, 6).
    weight
        Ring mean of C^2 over the noise power assumed, shape (n, n_rings).
    slope_weight
        The same times the noise power over that assumed: what the slope's noise is weighted by.

    Returns
    -------
    angle, shift
        Radians^2, and pixels^2 along one axis (the mean over both), shape (n,); UNKNOWN where there is no peak.
    """
    scatter = _square(np.einsum("nk,nek->ne", slope_weight, tables.slope[reference]))
    # Slopes are tabulated in the reference's frame: the curvature is turned into it.
    observed = _turned(_square(curvature), -angle)
    power = np.einsum("nk,nk->n", weight, tables.signal_power[reference])
    scale = score / np.maximum(power, 1e-300)
    expected = _square(np.einsum("nk,nek->ne", weight, tables.signal[reference])) * scale[:, None, None]
    smooth = np.einsum("nk,nk->n", weight, tables.signal_sharpness[reference])
    smooth /= np.maximum(np.einsum("nk,nk->n", weight, tables.sharpness[reference]), 1e-300)
    used = expected + smooth[:, None, None] ** 2 * (observed - expected)
    good = (score > 0) & _positive(used)
    inverse = np.linalg.inv(np.where(good[:, None, None], used, np.eye(3)))
    covariance = inverse @ scatter @ inverse
    if (smooth < 1.0).any():
        covariance = _damped(tables, reference, slope_weight, inverse, covariance)
    angle_variance = np.where(good, covariance[:, 0, 0], UNKNOWN)
    return angle_variance, np.where(good, 0.5 * (covariance[:, 1, 1] + covariance[:, 2, 2]), UNKNOWN)


def _damped(
    tables: ErrorTables,
    reference: NDArray[np.int64],
    slope_weight: NDArray[np.float64],
    inverse: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Let the noise of references count less where its waves are shorter than the scatter, (n, 3, 3), in three steps.

    A wave's phase varies by that of the shift and by that of the angle at its lever, R / 2.
    """
    signal = tables.signal[reference]
    noise = tables.slope[reference] - signal
    lever = np.array([tables.radius_px**2 / 4.0, 0.5, 0.5])
    variance = np.diagonal(covariance, axis1=1, axis2=2) @ lever
    for _ in range(3):
        damping = np.exp(-_DAMPING * variance[:, None] * tables.wave2)
        scatter = _square(np.einsum("nk,nek->ne", slope_weight, signal + noise * damping[:, None]))
        covariance = inverse @ scatter @ inverse
        variance = 0.5 * (variance + np.diagonal(covariance, axis1=1, axis2=2) @ lever)
    return covariance


def _square(entries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay entries (n, 6) out as symmetric matrices (n, 3, 3)."""
    full = np.empty((len(entries), 3, 3))
    full[:, _ROW, _COLUMN] = entries
    full[:, _COLUMN, _ROW] = entries
    return full


def _turned(matrices: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the x and y of matrices (n, 3, 3) by angles in radians."""
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 2, 1] = np.sin(angle)
    turn[:, 1, 2] = -turn[:, 2, 1]
    return turn @ matrices @ turn.transpose(0, 2, 1)


def _positive(matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which symmetric matrices (n, 3, 3) are positive definite, by their leading minors."""
    a, d = matrices[:, 0, 0], matrices[:, 1, 1]
    second = a * d - matrices[:, 0, 1] ** 2
    return (a > 0) & (second > 0) & (np.linalg.det(matrices) > 0)
