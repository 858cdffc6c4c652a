"""The CTF of particles from their columns, or from those of their optics group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.core.errors import InputError
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
    "defocus_angle_deg": ("rlnDefocusAngle", 0.0),
    "phase_shift_deg": ("rlnPhaseShift", 0.0),
    "bfactor_angstrom2": ("rlnCtfBfactor", 0.0),
    "scale": ("rlnCtfScalefactor", 1.0),
}
_FLAGS = {"phase_flipped": "rlnCtfDataArePhaseFlipped", "premultiplied": "rlnCtfDataAreCtfPremultiplied"}

NO_CTF = "no CTF: "
"""How the warning begins that says what is missing."""


def read_ctf(particles: ParticleSet) -> CtfParameters | None:
    """Return the CTF parameters of all particles, as RELION reads them: the particle's column, else its group's.

    A missing rlnDefocusV equals rlnDefocusU; missing angle, phase shift and B-factor are 0, a missing scale is 1.
    Where voltage, spherical aberration, amplitude contrast or defocus are missing, None, and a warning that names them.

    Raises
    ------
    InputError
        If a value is no finite number.
    """
    from cryoalign.core.ctf import CtfParameters

    found = {name: particles.numbers_of_group(label) for name, label in _REQUIRED.items()}
    values = {name: value for name, value in found.items() if value is not None}
    missing = [label for name, label in _REQUIRED.items() if name not in values]
    if missing:
        warning = f"{NO_CTF}the input has no {', '.join(missing)}"
        if warning not in particles.warnings:
            particles.warnings.append(warning)
        return None
    second = particles.numbers_of_group("rlnDefocusV")
    values["defocus_v_angstrom"] = values["defocus_u_angstrom"] if second is None else second
    for name, (label, default) in _OPTIONAL.items():
        value = particles.numbers_of_group(label)
        values[name] = np.full(len(particles), default) if value is None else value
    flags = {name: particles.numbers_of_group(label) for name, label in _FLAGS.items()}
    try:
        return CtfParameters(**values, **{name: value != 0 for name, value in flags.items() if value is not None})
    except InputError as error:
        raise particles.located(error) from None
