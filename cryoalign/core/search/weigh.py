"""Weigh transformed images for the score: CTF, noise power and a known shift, in one pass over the polar points.

D = C F exp(+i k.t) / sigma^2, with which the log likelihood of a turned and shifted reference is linear in D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cryoalign.core.ctf import CtfParameters, wavelength_angstrom
from cryoalign.core.kernels import kernel
from cryoalign.core.search.polar import RingLayout

_COEFFICIENTS = 9
# Chebyshev fits of sine and cosine over one whole turn, good to 4e-7 in float32: the compiler runs them in vector
# lanes, where the math library's functions, called one number at a time, would dominate the search.
_S0, _S1, _S2, _S3 = np.float32(6.2831853), np.float32(-41.3417004), np.float32(81.6051314), np.float32(-76.7030157)
_S4, _S5, _S6 = np.float32(42.0259286), np.float32(-14.8998494), np.float32(3.23813788)
_C0, _C1, _C2, _C3 = np.float32(1.0), np.float32(-19.7392045), np.float32(64.9391175), np.float32(-85.4501404)
_C4, _C5, _C6 = np.float32(60.1676347), np.float32(-25.9676056), np.float32(6.52865912)


@njit(inline="always")
def sine_of_turns(turns):  # type: ignore[no-untyped-def]
    """Compute sin(2 pi turns) in float32; in turns the reduction is one rounding."""
    r = turns - np.rint(turns)
    s = r * r
    return r * (_S0 + s * (_S1 + s * (_S2 + s * (_S3 + s * (_S4 + s * (_S5 + s * _S6))))))


@njit(inline="always")
def cosine_of_turns(turns):  # type: ignore[no-untyped-def]
    """Compute cos(2 pi turns) in float32."""
    r = turns - np.rint(turns)
    s = r * r
    return _C0 + s * (_C1 + s * (_C2 + s * (_C3 + s * (_C4 + s * (_C5 + s * _C6)))))


@dataclass(frozen=True, eq=False)
class PointTables:
    """Cosines and sines of the polar angles, float32, shape (n_points,) each, and the rings' layout."""

    cosine: NDArray[np.float32]
    sine: NDArray[np.float32]
    cosine2: NDArray[np.float32]
    sine2: NDArray[np.float32]
    ring_start: NDArray[np.int64]
    ring_weight: NDArray[np.float32]

    @classmethod
    def of(cls, layout: RingLayout) -> PointTables:
        """Tabulate a layout."""
        kx, ky = layout.points()
        angle = np.arctan2(ky, kx)
        c1, s1, c2, s2 = (f(m * angle).astype(np.float32) for m in (1, 2) for f in (np.cos, np.sin))
        return cls(c1, s1, c2, s2, layout.ring_start, layout.ring_weight.astype(np.float32))


def ctf_coefficients(ctf: CtfParameters, box: int, pixel_size_angstrom: float) -> NDArray[np.float32]:
    """Reduce CTF parameters to what the kernel needs, in turns and Fourier pixels.

    C = -scale exp(-b k^2) sin(2 pi [k^2 (a0 + a1 cos 2 phi + a2 sin 2 phi) + a3 k^4 - a4]) with the columns
    a0, a1, a2, a3, a4, b, scale, and two flags: data are phase flipped (use |C|), data are multiplied by C already.

    Returns
    -------
    ndarray
        float32, shape (n, 9).
    """
    wavelength = wavelength_angstrom(ctf.voltage_kv)
    frequency2 = 1.0 / (box * pixel_size_angstrom) ** 2
    half = 0.5 * wavelength * frequency2
    mean = -(ctf.defocus_u_angstrom + ctf.defocus_v_angstrom) / 2
    difference = -(ctf.defocus_u_angstrom - ctf.defocus_v_angstrom) / 2
    axis = 2 * np.deg2rad(ctf.defocus_angle_deg)
    spherical = 0.25 * ctf.spherical_aberration_mm * 1e7 * wavelength**3 * frequency2**2
    amplitude = np.arctan2(ctf.amplitude_contrast, np.sqrt(1 - ctf.amplitude_contrast**2))
    constant = (np.deg2rad(ctf.phase_shift_deg) + amplitude) / (2 * np.pi)
    columns = (
        half * mean,
        half * difference * np.cos(axis),
        half * difference * np.sin(axis),
        spherical,
        constant,
        ctf.bfactor_angstrom2 / 4 * frequency2,
        ctf.scale,
        ctf.phase_flipped,
        ctf.premultiplied,
    )
    return np.stack([np.broadcast_to(c, mean.shape) for c in columns], axis=1).astype(np.float32)


def weigh_images(
    polar: NDArray[np.float32],
    tables: PointTables,
    *,
    coefficients: NDArray[np.float32] | None,
    inverse_noise: NDArray[np.float32],
    shift: NDArray[np.float32],
    box: int,
    intact_first_peak: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn transforms into score weights in place.

    Parameters
    ----------
    polar
        Transforms, float32 (n, 2, n_points); replaced by D.
    tables
        Of the same layout.
    coefficients
        From :func:`ctf_coefficients`, shape (n, 9); None for C = 1.
    inverse_noise
        1 / sigma^2 of every ring, shape (n, n_rings).
    shift
        Displacement of the content already known, in pixels, shape (n, 2); it is undone.
    box
        Side of the images, in pixels.
    intact_first_peak
        Take C = 1 up to its first peak.

    Returns
    -------
    norm, ctf_power
        sum w |F|^2 / sigma^2 per image, shape (n,); ring mean of C^2, shape (n, n_rings); float32.
    """
    n, _, _ = polar.shape
    rings = len(tables.ring_weight)
    norm = np.empty(n, np.float32)
    power = np.ones((n, rings), np.float32)
    use_ctf = coefficients is not None
    if coefficients is None:
        coefficients = np.zeros((n, _COEFFICIENTS), np.float32)
    _weigh(
        polar,
        tables.cosine,
        tables.sine,
        tables.cosine2,
        tables.sine2,
        tables.ring_start,
        tables.ring_weight,
        use_ctf,
        coefficients,
        intact_first_peak,
        inverse_noise,
        (shift / box).astype(np.float32),
        norm,
        power,
    )
    return norm, power


@kernel(nogil=True, fastmath=True)
def _weigh(  # type: ignore[no-untyped-def]
    polar, cosine, sine, cosine2, sine2, ring_start, ring_weight, use_ctf, coefficients, intact, inverse_noise, shift,
    norm, power,
):  # fmt: skip
    gain = np.empty(ring_start[-1] - ring_start[-2], np.float32)
    quarter = np.float32(0.25)
    one = np.float32(1.0)
    for i in range(polar.shape[0]):
        total = np.float32(0.0)
        moved = shift[i, 0] != 0.0 or shift[i, 1] != 0.0
        sx, sy = shift[i, 0], shift[i, 1]
        c = coefficients[i]
        for r in range(len(ring_weight)):
            start, count = ring_start[r], ring_start[r + 1] - ring_start[r]
            k = np.float32(r + 1)
            re = polar[i, 0, start : start + count]
            im = polar[i, 1, start : start + count]
            weight = inverse_noise[i, r]
            square = np.float32(0.0)
            for j in range(count):
                square += re[j] * re[j] + im[j] * im[j]
            if use_ctf:
                k2 = k * k
                a0, a1, a2 = k2 * c[0], k2 * c[1], k2 * c[2]
                rest = c[3] * k2 * k2 - c[4]
                envelope = c[6] * np.float32(np.exp(-c[5] * k2))
                c2 = cosine2[start : start + count]
                s2 = sine2[start : start + count]
                mean = np.float32(0.0)
                for j in range(count):
                    turns = a0 + a1 * c2[j] + a2 * s2[j] + rest
                    value = -sine_of_turns(turns)
                    if intact and abs(turns) < quarter:
                        value = one
                    value *= envelope
                    mean += value * value
                    gain[j] = value
                mean /= np.float32(count)
                power[i, r] = mean
                if c[8] != 0.0:
                    # The pixels hold C F already: what counts is F.
                    square /= max(mean, np.float32(1e-3))
                if c[7] != 0.0:
                    for j in range(count):
                        gain[j] = abs(gain[j])
                if c[8] != 0.0:
                    for j in range(count):
                        gain[j] = one
                for j in range(count):
                    re[j] *= gain[j] * weight
                    im[j] *= gain[j] * weight
            else:
                for j in range(count):
                    re[j] *= weight
                    im[j] *= weight
            total += ring_weight[r] * weight * square
            if moved:
                cx = cosine[start : start + count]
                cy = sine[start : start + count]
                for j in range(count):
                    turns = k * (cx[j] * sx + cy[j] * sy)
                    pr = cosine_of_turns(turns)
                    pi = sine_of_turns(turns)
                    a, b = re[j], im[j]
                    re[j] = a * pr - b * pi
                    im[j] = a * pi + b * pr
        norm[i] = total
