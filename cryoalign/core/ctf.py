"""The contrast transfer function as RELION defines it.

With k = (kx, ky) in 1/A, lambda the relativistic electron wavelength, theta the polar angle of k (x towards y):

    z(theta)  = (U + V) / 2 + (U - V) / 2 * cos(2 (theta - angle))            defocus, positive = underfocus
    chi(k)    = pi lambda z k^2 - pi / 2 Cs lambda^3 k^4 + phase shift + atan(Q / sqrt(1 - Q^2))
    CTF(k)    = scale * exp(-B k^2 / 4) * sin(chi)

so that low frequencies are positive (sin chi = Q at k = 0). References: Rohou & Grigorieff (2015) J. Struct. Biol. 192,
216; Mindell & Grigorieff (2003) J. Struct. Biol. 142, 334. Sign, angle sense and axes are held by a test against
``relion_project --ctf``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.kernels import kernel
from cryoalign.core.limits import CTF_LIMITS

_FLAGS = ("phase_flipped", "premultiplied")


@dataclass(frozen=True, eq=False)
class CtfParameters:
    """CTF of n images: scalars or arrays (n,) come in, arrays (n,) float64 (flags: bool) are kept.

    Parameters
    ----------
    voltage_kv
        Acceleration voltage in kV.
    spherical_aberration_mm
        Cs in mm.
    amplitude_contrast
        Fraction Q in [0, 1].
    defocus_u_angstrom, defocus_v_angstrom
        Defocus along and across the defocus angle, in A; positive is underfocus.
    defocus_angle_deg
        Direction of ``defocus_u`` in degrees, from x towards y (counter-clockwise with y drawn upwards).
    phase_shift_deg
        Phase shift of a phase plate in degrees.
    bfactor_angstrom2
        B in A^2; the envelope is exp(-B k^2 / 4).
    scale
        Factor on the whole function.
    phase_flipped, premultiplied
        Whether the pixels were already phase-flipped, or multiplied by their CTF. They describe the data: the
        functions of this module ignore them.

    Raises
    ------
    InputError
        For a value that is not finite, or that no microscope has (:data:`cryoalign.core.limits.CTF_LIMITS`); the row
        counts from 1.
    """

    voltage_kv: NDArray[np.float64]
    spherical_aberration_mm: NDArray[np.float64]
    amplitude_contrast: NDArray[np.float64]
    defocus_u_angstrom: NDArray[np.float64]
    defocus_v_angstrom: NDArray[np.float64]
    defocus_angle_deg: NDArray[np.float64]
    phase_shift_deg: NDArray[np.float64]
    bfactor_angstrom2: NDArray[np.float64]
    scale: NDArray[np.float64]
    phase_flipped: NDArray[np.bool_]
    premultiplied: NDArray[np.bool_]

    def __init__(
        self,
        voltage_kv: ArrayLike,
        spherical_aberration_mm: ArrayLike,
        amplitude_contrast: ArrayLike,
        defocus_u_angstrom: ArrayLike,
        defocus_v_angstrom: ArrayLike,
        defocus_angle_deg: ArrayLike,
        phase_shift_deg: ArrayLike = 0.0,
        bfactor_angstrom2: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        phase_flipped: ArrayLike = False,
        premultiplied: ArrayLike = False,
    ) -> None:
        given = {
            "voltage_kv": voltage_kv,
            "spherical_aberration_mm": spherical_aberration_mm,
            "amplitude_contrast": amplitude_contrast,
            "defocus_u_angstrom": defocus_u_angstrom,
            "defocus_v_angstrom": defocus_v_angstrom,
            "defocus_angle_deg": defocus_angle_deg,
            "phase_shift_deg": phase_shift_deg,
            "bfactor_angstrom2": bfactor_angstrom2,
            "scale": scale,
            "phase_flipped": phase_flipped,
            "premultiplied": premultiplied,
        }
        length = np.broadcast_shapes((1,), *(np.shape(value) for value in given.values()))
        if len(length) != 1:
            raise ValueError(f"CTF parameters must be scalars or one-dimensional, not of shape {length}")
        for name, value in given.items():
            array = np.asarray(value, dtype=bool if name in _FLAGS else np.float64)
            object.__setattr__(self, name, np.broadcast_to(array, length).copy())
            values = getattr(self, name)
            if name in CTF_LIMITS and (wrong := out_of_limits(name, values)) is not None:
                bad, what, hint = wrong
                raise InputError(f"{name} {what}", row=bad + 1, value=values[bad].item(), hint=hint)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.voltage_kv)

    def take(self, rows: ArrayLike) -> CtfParameters:
        """Return the parameters of some rows (indices or a boolean mask)."""
        rows = np.asarray(rows)
        return CtfParameters(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def out_of_limits(name: str, values: NDArray[np.floating]) -> tuple[int, str, str] | None:
    """Find the first value of a CTF parameter that cannot be meant.

    Parameters
    ----------
    name
        Of the parameter, as `CtfParameters` has it.
    values
        Shape (n,).

    Returns
    -------
    tuple
        Its 0-based row, what is wrong, and what may have been meant; None where all are usable.
    """
    low, high, unit, hint = CTF_LIMITS[name]
    bad = np.flatnonzero(~((values >= low) & (values <= high)))  # NaN too
    if not bad.size:
        return None
    row = int(bad[0])
    what = f"is not from {low:g} to {high:g}{' ' if unit else ''}{unit}"
    return row, what if np.isfinite(values[row]) else "is not a finite number", hint


def wavelength_angstrom(voltage_kv: ArrayLike) -> NDArray[np.float64]:
    """Return the relativistic electron wavelength in A: 12.2643247 / sqrt(V (1 + 0.978466e-6 V)), V in volts."""
    volts = 1e3 * np.asarray(voltage_kv, dtype=np.float64)
    return np.asarray(12.2643247 / np.sqrt(volts * (1.0 + 0.978466e-6 * volts)))


def ctf_values(
    params: CtfParameters,
    kx: ArrayLike,
    ky: ArrayLike,
    *,
    intact_first_peak: bool = False,
    dtype: DTypeLike = np.float64,
) -> NDArray[np.floating]:
    """Evaluate the CTF of n images at any frequencies.

    Parameters
    ----------
    params
        CTF of n images.
    kx, ky
        Frequencies in 1/A, shape (p,) shared by all images or (n, p).
    intact_first_peak
        Put 1 (times envelope and scale) where the phase has not reached pi / 2 yet, as RELION's
        ``--ctf_intact_first_peak``.
    dtype
        float64, or float32 to halve the memory; the phase is computed in float64 in both cases.

    Returns
    -------
    NDArray
        Shape (n, p).
    """
    x, y = np.atleast_2d(np.asarray(kx, dtype=np.float64)), np.atleast_2d(np.asarray(ky, dtype=np.float64))
    if x.shape != y.shape or x.ndim != 2 or x.shape[0] not in (1, len(params)):
        raise ValueError(f"kx and ky must have shape (p,) or ({len(params)}, p), not {np.shape(kx)} and {np.shape(ky)}")
    wavelength = wavelength_angstrom(params.voltage_kv)
    mean = 0.5 * (params.defocus_u_angstrom + params.defocus_v_angstrom)
    half = 0.5 * (params.defocus_u_angstrom - params.defocus_v_angstrom)
    angle = 2.0 * np.deg2rad(params.defocus_angle_deg)
    # Phases in turns: chi / (2 pi) = a (kx^2 - ky^2) + b 2 kx ky + c k^2 - d k^4 + e.
    quadratic = np.stack([half * np.cos(angle), half * np.sin(angle), mean], axis=1) * (0.5 * wavelength)[:, None]
    quartic = 0.25 * 1e7 * params.spherical_aberration_mm * wavelength**3
    constant = (np.deg2rad(params.phase_shift_deg) + np.arcsin(params.amplitude_contrast)) / (2.0 * np.pi)
    values = np.empty((len(params), x.shape[1]), dtype=dtype)
    _evaluate(x, y, quadratic, quartic, constant, params.scale, intact_first_peak, values)
    damped = np.flatnonzero(params.bfactor_angstrom2)
    for row in damped:
        at = row if len(x) > 1 else 0
        values[row] *= np.exp(-0.25 * params.bfactor_angstrom2[row] * (x[at] ** 2 + y[at] ** 2))
    return values


def ctf_images(
    params: CtfParameters, box: int, pixel_size_angstrom: float, *, intact_first_peak: bool = False
) -> NDArray[np.float32]:
    """Evaluate the CTF of n images on the half-plane that ``rfft2`` gives.

    Parameters
    ----------
    params
        CTF of n images.
    box
        Side L of the images in pixels.
    pixel_size_angstrom
        Pixel size in A.
    intact_first_peak
        See `ctf_values`.

    Returns
    -------
    NDArray
        float32, shape (n, L, L // 2 + 1), [image, ky, kx].
    """
    ky, kx = np.meshgrid(
        np.fft.fftfreq(box, pixel_size_angstrom), np.fft.rfftfreq(box, pixel_size_angstrom), indexing="ij"
    )
    values = ctf_values(params, kx.ravel(), ky.ravel(), intact_first_peak=intact_first_peak, dtype=np.float32)
    return values.reshape(len(params), box, box // 2 + 1)


@kernel(nogil=True)
def _evaluate(kx, ky, quadratic, quartic, constant, scale, intact, values):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        a, b, c = quadratic[i, 0], quadratic[i, 1], quadratic[i, 2]
        d, e, s = quartic[i], constant[i], scale[i]
        source = i if kx.shape[0] > 1 else 0
        for j in range(values.shape[1]):
            x, y = kx[source, j], ky[source, j]
            x2, y2 = x * x, y * y
            k2 = x2 + y2
            turns = a * (x2 - y2) + 2.0 * b * x * y + c * k2 - d * k2 * k2 + e
            value = _sine_of_turns(turns)
            if intact and abs(turns) < 0.25:
                value = 1.0
            values[i, j] = s * value


@kernel(nogil=True, inline="always")
def _sine_of_turns(turns):  # type: ignore[no-untyped-def]
    # sin(2 pi turns): a Taylor series on a quarter turn (error below 1e-11), which the compiler vectorises.
    part = turns - np.floor(turns + 0.5)
    part = part if part <= 0.25 else 0.5 - part
    part = part if part >= -0.25 else -0.5 - part
    t = 2.0 * np.pi * part
    u = t * t
    series = -u / 210.0
    series = -u / 156.0 * (1.0 + series)
    series = -u / 110.0 * (1.0 + series)
    series = -u / 72.0 * (1.0 + series)
    series = -u / 42.0 * (1.0 + series)
    series = -u / 20.0 * (1.0 + series)
    series = -u / 6.0 * (1.0 + series)
    return t * (1.0 + series)
