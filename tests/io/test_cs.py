"""cryoSPARC particles."""

import pickle

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.particles import read_particles, write_particles
from cryoalign.io.stacks import StackSource

FIELDS = [
    ("uid", "<u8"), ("blob/path", "S40"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
    ("blob/sign", "<f4"), ("ctf/exp_group_id", "<u4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"),
    ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"),
    ("ctf/phase_shift_rad", "<f4"), ("ctf/tilt_A", "<f4", (2,)), ("alignments2D/pose", "<f4"),
    ("alignments2D/shift", "<f4", (2,)), ("alignments2D/psize_A", "<f4"), ("alignments2D/class", "<u4"),
    ("alignments2D/split", "<u4"),
]  # fmt: skip


def particles_of(count=4):
    data = np.zeros(count, FIELDS)
    data["uid"] = 2**63 + np.arange(count, dtype=np.uint64)
    data["blob/path"] = b">J1/imported/stack.mrc"
    data["blob/idx"] = np.arange(count)[::-1]
    data["blob/shape"], data["blob/psize_A"], data["blob/sign"] = 8, 1.345, 1
    data["ctf/exp_group_id"] = [0, 3] * (count // 2)
    data["ctf/accel_kv"], data["ctf/cs_mm"], data["ctf/amp_contrast"] = 300, 2.7, 0.1
    data["ctf/df1_A"], data["ctf/df2_A"] = 10000.5, 9000
    data["ctf/df_angle_rad"], data["ctf/phase_shift_rad"] = np.pi / 6, np.pi / 2
    data["alignments2D/pose"] = np.pi / 4
    data["alignments2D/shift"], data["alignments2D/psize_A"] = (1, -2), 2.69
    data["alignments2D/class"], data["alignments2D/split"] = 7, [0, 1] * (count // 2)
    return data


def save(path, data):
    with path.open("wb") as stream:
        np.save(stream, data)
    return path


@pytest.fixture
def job(here, mrc_file, images):
    """Return a job's folder inside a project that holds J1/imported/stack.mrc."""
    (here / "P1" / "J1" / "imported").mkdir(parents=True)
    (here / "P1" / "J2").mkdir()
    mrc_file(here / "P1" / "J1" / "imported" / "stack.mrc", images)
    return here / "P1" / "J2"


def test_fields_become_relion_columns(job, images):
    particles = read_particles([save(job / "p.cs", particles_of())])
    assert particles.dialect == "cs"
    assert particles.frame.tolist() == [3, 2, 1, 0]
    assert particles.image_names()[0] == "000004@P1/J1/imported/stack.mrc"
    assert particles.pixel_size_angstrom.tolist() == [1.345] * 4
    poses = particles.poses()
    np.testing.assert_allclose(poses.psi, 45, atol=1e-5)
    # 1 pixel of 2.69 A is 2 pixels of 1.345 A.
    np.testing.assert_allclose(poses.dx, 2, atol=1e-6)
    np.testing.assert_allclose(poses.dy, -4, atol=1e-6)
    assert particles.particles["rlnClassNumber"].tolist() == ["8"] * 4
    assert particles.random_subset().tolist() == [1, 2, 1, 2]
    assert particles.particles["cryosparcUid"][0] == str(2**63)
    assert particles.optics["rlnOpticsGroupName"].tolist() == ["exp_group_0", "exp_group_3"]
    assert particles.optics_index.tolist() == [0, 1, 0, 1]
    ctf = read_ctf(particles)
    np.testing.assert_allclose(ctf.defocus_u_angstrom, 10000.5)
    np.testing.assert_allclose(ctf.defocus_angle_deg, 30, atol=1e-5)
    np.testing.assert_allclose(ctf.phase_shift_deg, 90, atol=1e-5)
    assert particles.warnings == [
        f"{job / 'p.cs'}: J1/imported/stack.mrc found at, and written as, P1/J1/imported/stack.mrc"
    ]
    np.testing.assert_array_equal(StackSource(particles).read(np.arange(4)), images[[3, 2, 1, 0]])


def test_written_as_relion31(job):
    particles = read_particles([save(job / "p.cs", particles_of())])
    said = write_particles("out.star", particles)
    assert said == ["RELION reads stacks only from files called .mrcs: P1/J1/imported/stack.mrc"]
    again = read_particles(["out.star"])
    assert again.dialect == "3.1"
    assert again.particles["rlnOpticsGroup"].tolist() == ["1", "2", "1", "2"]
    np.testing.assert_allclose(again.poses().dx, 2, atol=1e-6)


def test_dark_particles_and_lost_aberrations_are_said(job):
    data = particles_of()
    data["blob/sign"][1:] = -1
    data["ctf/tilt_A"][0, 1] = 3
    warnings = read_particles([save(job / "p.cs", data)]).warnings
    assert any("3 of 4 particles are dark; --invert" in warning for warning in warnings)
    assert any("not carried over to STAR: ctf/tilt_A" in warning for warning in warnings)


def test_file_without_alignments(job):
    data = particles_of()
    kept = [name for name in data.dtype.names if name.startswith(("blob", "uid"))]
    bare = np.zeros(len(data), [field for field in FIELDS if field[0] in kept])
    for name in kept:
        bare[name] = data[name]
    particles = read_particles([save(job / "p.cs", bare)])
    assert not particles.poses().psi.any()
    assert particles.psi_prior() is None
    assert read_ctf(particles) is None


def test_bad_files(job, tmp_path):
    path = job / "p.cs"
    for data, message in (
        (np.zeros(3), "no named fields"),
        (np.zeros(3, [("uid", "u8")]), "has no images"),
        (particles_of()[:0], "holds no particles"),
    ):
        with pytest.raises(InputError, match=rf"p\.cs: .*{message}"):
            read_particles([save(path, data)])
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match=r"p\.cs: is not a readable \.cs file"):
        read_particles([path])
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(InputError, match=r"p\.cs: is not a readable \.cs file"):
        read_particles([path])
    data = particles_of()
    data["alignments2D/pose"][2] = np.nan
    with pytest.raises(InputError, match=r"p\.cs, row 3: alignments2D/pose is not a number"):
        read_particles([save(path, data)])
    with pytest.raises(InputError, match=r"p\.cs, row 1: image index past the end"):
        data = particles_of()
        data["blob/idx"][0] = 6
        read_particles([save(path, data)])
