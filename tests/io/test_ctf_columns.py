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


def test_impossible_values_name_file_and_row(table):
    with pytest.raises(InputError, match=r"p\.star, row 1: the amplitude contrast is not between 0 and 1"):
        read_ctf(read_particles([table(rlnAmplitudeContrast=7)]))
