"""The CTF of particles, from their columns or their optics group."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.particles import read_particles

LABELS = ["rlnImageName", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfBfactor"]


@pytest.fixture
def table(here, mrc_file, star_file, images, optics):
    mrc_file(here / "a.mrcs", images)
    rows = [["1@a.mrcs", 10000, 9000, 30, 90, 50], ["2@a.mrcs", 20000, 19000, -30, 0, 0]]

    def write(labels=tuple(LABELS), **changes):
        group = {label: value for label, value in {**optics, **changes}.items() if value is not None}
        return star_file(here / "p.star", labels, [row[: len(labels)] for row in rows], optics=group)

    return write


def test_particle_and_optics_columns(table):
    ctf = read_ctf(read_particles([table(rlnCtfDataArePhaseFlipped=1, rlnCtfDataAreCtfPremultiplied=0)]))
    assert ctf.voltage_kv.tolist() == [300, 300]
    assert ctf.spherical_aberration_mm.tolist() == [2.7, 2.7]
    assert ctf.amplitude_contrast.tolist() == [0.1, 0.1]
    assert ctf.defocus_u_angstrom.tolist() == [10000, 20000]
    assert ctf.defocus_v_angstrom.tolist() == [9000, 19000]
    assert ctf.defocus_angle_deg.tolist() == [30, -30]
    assert ctf.phase_shift_deg.tolist() == [90, 0]
    assert ctf.bfactor_angstrom2.tolist() == [50, 0]
    assert ctf.scale.tolist() == [1, 1]
    assert ctf.phase_flipped.tolist() == [True, True]
    assert ctf.premultiplied.tolist() == [False, False]


def test_what_is_missing_is_as_in_relion(table):
    ctf = read_ctf(read_particles([table(LABELS[:2])]))
    np.testing.assert_array_equal(ctf.defocus_v_angstrom, ctf.defocus_u_angstrom)
    assert not ctf.defocus_angle_deg.any()
    assert not ctf.phase_shift_deg.any()
    assert not ctf.phase_flipped.any()


def test_particles_win_over_optics(table):
    particles = read_particles([table()]).with_columns({"rlnVoltage": [200, 120]})
    assert read_ctf(particles).voltage_kv.tolist() == [200, 120]


def test_no_ctf_is_said_once_with_its_columns(table):
    particles = read_particles([table(LABELS[:1], rlnVoltage=None)])
    assert read_ctf(particles) is None
    assert read_ctf(particles) is None
    assert particles.warnings[-1] == "no CTF: the input has no rlnVoltage, rlnDefocusU"
    assert sum("no CTF" in warning for warning in particles.warnings) == 1


OUT_OF_RANGE = [
    ("rlnVoltage", 300000, "is not from 10 to 5000 kV", "300 kV are written as 300"),
    ("rlnVoltage", 0.3, "is not from 10 to 5000 kV", "300 kV are written as 300"),
    ("rlnVoltage", 0, "is not from 10 to 5000 kV", "300 kV are written as 300"),
    ("rlnSphericalAberration", 2.7e6, "is not from -100 to 100 mm", "2.7 mm are written as 2.7"),
    ("rlnAmplitudeContrast", 10, "is not from 0 to 1", "10 % are written as 0.1"),
    ("rlnAmplitudeContrast", -0.1, "is not from 0 to 1", "10 % are written as 0.1"),
    ("rlnDefocusU", 1.5, "is nearer to focus than 50 A", "is it in um? 1.5 um are written as 15000"),
    ("rlnDefocusV", -2.1, "is nearer to focus than 50 A", "is it in um? 1.5 um are written as 15000"),
    ("rlnDefocusU", 1e18, "is not from -1e+06 to 1e+06 A", "1.5 um are written as 15000"),
    ("rlnDefocusAngle", -999, "is not from -720 to 720 degrees", "-999 stands for unknown"),
    ("rlnPhaseShift", 1e6, "is not from -720 to 720 degrees", "-999 stands for unknown"),
    ("rlnCtfBfactor", 1e40, "is not from -100000 to 100000 A^2", "a positive one damps"),
    ("rlnCtfBfactor", -2400, "makes the CTF larger than 100 at the Nyquist frequency", "a positive B factor damps"),
    ("rlnCtfScalefactor", 0, "is not from 0.001 to 1000", "1 leaves the CTF as it is"),
    ("rlnCtfScalefactor", 1e6, "is not from 0.001 to 1000", "1 leaves the CTF as it is"),
]


@pytest.mark.parametrize(("label", "value", "words", "hint"), OUT_OF_RANGE)
def test_impossible_values_name_file_row_and_value(table, label, value, words, hint):
    particles = read_particles([table()])
    good = {
        "rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1, "rlnCtfScalefactor": 1,
        "rlnDefocusU": 10000, "rlnDefocusV": 10000, "rlnDefocusAngle": 0, "rlnPhaseShift": 0, "rlnCtfBfactor": 0,
    }  # fmt: skip
    assert read_ctf(particles.with_columns({name: np.full(2, number) for name, number in good.items()})) is not None
    with pytest.raises(InputError) as caught:
        read_ctf(particles.with_columns({label: np.array([good[label], value], float)}))
    said = f", row 2: {label} {words} ({float(value)!r}); {hint}"
    assert str(caught.value).partition("/p.star")[2].startswith(said)


@pytest.mark.parametrize(("label", "value", "words", "hint"), OUT_OF_RANGE)
def test_impossible_values_of_an_optics_group_name_the_group(table, label, value, words, hint):
    columns = LABELS[: LABELS.index(label)] if label in LABELS else LABELS
    with pytest.raises(InputError) as caught:
        read_ctf(read_particles([table(labels=columns, **{label: value})]))
    said = f": {label} of optics group 1 {words} ({float(value)!r}); {hint}"
    assert str(caught.value).partition("/p.star")[2].startswith(said)


def test_no_defocus_at_all_is_in_focus(table):
    particles = read_particles([table()]).with_columns({"rlnDefocusU": [0.0, -300.0], "rlnDefocusV": [0.0, -200.0]})
    assert read_ctf(particles).defocus_u_angstrom.tolist() == [0.0, -300.0]
