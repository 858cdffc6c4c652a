"""The CTF of particles from their columns, or from those of their optics group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import CTF_LIMITS, LARGEST_CTF, SMALLEST_DEFOCUS_ANGSTROM
from cryoalign.core.refusals import refuse
from cryoalign.io.optics import GROUP
from cryoalign.io.particle_set import ParticleSet

if TYPE_CHECKING:
    from cryoalign.core.ctf import CtfParameters

_REQUIRED = {
    "voltage_kv": "rlnVoltage",
    "spherical_aberration_mm": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
    "defocus_u_angstrom": "rlnDefocusU",
}
_OPTIONAL = {
    "defocus_v_angstrom": ("rlnDefocusV", None),
    "defocus_angle_deg": ("rlnDefocusAngle", 0.0),
    "phase_shift_deg": ("rlnPhaseShift", 0.0),
    "bfactor_angstrom2": ("rlnCtfBfactor", 0.0),
    "scale": ("rlnCtfScalefactor", 1.0),
}
_FLAGS = {"phase_flipped": "rlnCtfDataArePhaseFlipped", "premultiplied": "rlnCtfDataAreCtfPremultiplied"}
_LABELS = _REQUIRED | {name: label for name, (label, _) in _OPTIONAL.items()}
_LEAVE_OUT = "correct or remove the row, or do without the CTF: --no-ctf in align, --plain in average"

NO_CTF = "no CTF: "
"""How the warning begins that says what is missing."""


def read_ctf(particles: ParticleSet) -> CtfParameters | None:
    """Return the CTF parameters of all particles, as RELION reads them: the particle's column, else its group's.

    A missing rlnDefocusV equals rlnDefocusU; missing angle, phase shift and B-factor are 0, a missing scale is 1.
    Where voltage, spherical aberration, amplitude contrast or defocus are missing, None, and a warning that names them.

    Raises
    ------
    InputError
        If a value is no finite number, or one that no microscope has; names file and row.
    """
    from cryoalign.core.ctf import CtfParameters, out_of_limits

    found = {name: particles.numbers_of_group(label) for name, label in _REQUIRED.items()}
    values = {name: value for name, value in found.items() if value is not None}
    missing = [label for name, label in _REQUIRED.items() if name not in values]
    if missing:
        warning = f"{NO_CTF}the input has no {', '.join(missing)}"
        if warning not in particles.warnings:
            particles.warnings.append(warning)
        return None
    for name, (label, default) in _OPTIONAL.items():
        value = particles.numbers_of_group(label)
        absent = values["defocus_u_angstrom"] if default is None else np.full(len(particles), default)
        values[name] = absent if value is None else value
    for name, column in values.items():
        if (wrong := out_of_limits(name, column)) is not None:
            row, what, hint = wrong
            refuse(_of_row(particles, _LABELS[name], row, column, what, f"{hint}; {_LEAVE_OUT}"))
            values[name] = np.clip(column, *CTF_LIMITS[name][:2])
    _refuse_micrometres(particles, values)
    _refuse_growing(particles, values["scale"], values["bfactor_angstrom2"])
    flags = {name: particles.numbers_of_group(label) for name, label in _FLAGS.items()}
    return CtfParameters(**values, **{name: value != 0 for name, value in flags.items() if value is not None})


def _refuse_micrometres(particles: ParticleSet, values: dict[str, NDArray[np.float64]]) -> None:
    """Refuse a defocus that is not 0 and yet nearer to focus than anyone can set it."""
    for name in ("defocus_u_angstrom", "defocus_v_angstrom"):
        near = np.flatnonzero((values[name] != 0) & (np.abs(values[name]) < SMALLEST_DEFOCUS_ANGSTROM))
        if len(near):
            hint = f"is it in um? {CTF_LIMITS[name][3]}; {_LEAVE_OUT}"
            what = f"is nearer to focus than {SMALLEST_DEFOCUS_ANGSTROM:g} A"
            refuse(_of_row(particles, _LABELS[name], int(near[0]), values[name], what, hint))


def _refuse_growing(particles: ParticleSet, scale: NDArray[np.float64], bfactor: NDArray[np.float64]) -> None:
    """Refuse a CTF whose envelope grows with frequency so that fine detail would be nothing but this particle's."""
    nyquist = 0.5 / particles.pixel_size_angstrom
    grows = np.flatnonzero(np.log(scale) - 0.25 * bfactor * nyquist**2 > np.log(LARGEST_CTF))
    if len(grows):
        row, label = int(grows[0]), _LABELS["bfactor_angstrom2"]
        what = f"makes the CTF larger than {LARGEST_CTF:g} at the Nyquist frequency"
        hint = f"a positive B factor damps; {_LEAVE_OUT}"
        refuse(_of_row(particles, label, row, bfactor, what, hint))


def _of_row(
    particles: ParticleSet, label: str, row: int, values: NDArray[np.float64], what: str, hint: str
) -> InputError:
    """Return the error about a value of a 0-based row, or of its optics group where that has the column."""
    value = float(values[row])
    if label in particles.particles:
        return particles.located(InputError(f"{label} {what}", row=row + 1, value=value, hint=hint, kind="ctf"))
    group = particles.optics[GROUP].iloc[int(particles.optics_index[row])]
    path, _ = particles.where(row)
    return InputError(f"{label} of optics group {group} {what}", path=path, value=value, hint=hint, kind="ctf")
