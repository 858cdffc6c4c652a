"""cryoSPARC particles."""

import gzip
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
    mrc_file(here / "P1" / "J1" / "imported" / "stack.mrc", images, voxel=1.345)
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


def with_fields(data, **more):
    """Return the table with more fields, ``a__b`` for a/b."""
    extra = {name.replace("__", "/"): np.asarray(values) for name, values in more.items()}
    fields = [(n, data.dtype[n].base.str, data.dtype[n].shape) for n in data.dtype.names if n not in extra]
    table = np.zeros(len(data), [*fields, *((n, v.dtype.str, v.shape[1:]) for n, v in extra.items())])
    for name in table.dtype.names:
        table[name] = extra[name] if name in extra else data[name]
    return table


def without(data, *names):
    """Return the table without some fields."""
    return data[[name for name in data.dtype.names if name not in names]].copy()


def test_dark_particles_are_said(job):
    data = particles_of()
    data["blob/sign"][1:] = -1
    warnings = read_particles([save(job / "p.cs", data)]).warnings
    assert any("3 of 4 particles are dark; --invert" in warning for warning in warnings)


def test_what_has_no_column_is_named_in_one_warning(job):
    more = {f"alignments_class_{k}__alpha": np.ones(4, "f4") for k in range(30)}
    data = with_fields(
        particles_of(), ctf__shift_A=np.ones((4, 2), "f4"), ctf__trefoil_A=np.zeros((4, 2), "f4"),
        ctf__scale=np.ones(4, "f4"), ctf__type=[b"spline"] * 4, filament__filament_pose=np.ones(4, "f4"), **more,
    )  # fmt: skip
    (warning,) = [text for text in read_particles([save(job / "p.cs", data)]).warnings if "not carried" in text]
    assert warning == (
        f"{job / 'p.cs'}: not carried over to STAR: ctf (shift_A, type), filament (filament_pose), "
        "alignments_class_* (alpha)"
    )


def test_aberrations_go_into_the_optics_table(job):
    tilt, matrix = np.array([[270.0, -135.0]] * 4, "f4"), np.array([[0.01, 0.002, 0.003, -0.02]] * 4, "f4")
    data = with_fields(
        particles_of(), ctf__tilt_A=tilt, ctf__anisomag=matrix, ctf__bfactor=np.array([1, 2, 3, 4], "f4")
    )
    particles = read_particles([save(job / "p.cs", data)], apply_mag_matrix=True)
    # The third-order phase over the spherical aberration: 270 A / 2.7 mm = 1e-5 rad = 0.01 mrad.
    assert particles.optics["rlnBeamTiltX"].astype(float).tolist() == [pytest.approx(0.01, rel=1e-6)] * 2
    assert particles.optics["rlnBeamTiltY"].astype(float).tolist() == [pytest.approx(-0.005, rel=1e-6)] * 2
    np.testing.assert_allclose(particles.magnification[0], [[1.01, 0.002], [0.003, 0.98]], atol=1e-6)
    np.testing.assert_allclose(read_ctf(particles).bfactor_angstrom2, [1, 2, 3, 4])
    assert not any("not carried" in text for text in particles.warnings)


def test_nothing_is_written_of_aberrations_that_are_0(job):
    data = with_fields(particles_of(), ctf__anisomag=np.zeros((4, 4), "f4"), ctf__bfactor=np.zeros(4, "f4"))
    labels = read_particles([save(job / "p.cs", data)]).particles.columns
    assert not [label for label in labels if label.startswith(("rlnMagMat", "rlnBeamTilt", "rlnCtfB"))]


def test_a_tilt_without_spherical_aberration_is_named(job):
    data = with_fields(particles_of(), ctf__tilt_A=np.ones((4, 2), "f4"), ctf__cs_mm=np.zeros(4, "f4"))
    assert any("ctf (tilt_A)" in text for text in read_particles([save(job / "p.cs", data)]).warnings)


def test_places_on_micrographs(job):
    data = with_fields(
        particles_of(), location__micrograph_path=[b">J3/m1.mrc", b"J3/m1.mrc", b"J3/m2.mrc", b""],
        location__micrograph_shape=np.array([[4000, 6000]] * 4, "u4"),
        location__micrograph_psize_A=np.full(4, 0.67, "f4"),
        location__center_x_frac=np.array([0, 0.25, 0.5, 1], "f4"),
        location__center_y_frac=np.array([0.125, 0.5, 1, 0], "f4"),
    )  # fmt: skip
    particles = read_particles([save(job / "p.cs", data)])
    # Along the columns and rows of the stored micrograph, of which the shape is (rows, columns).
    assert particles.numbers("rlnCoordinateX").tolist() == [0, 1500, 3000, 6000]
    assert particles.numbers("rlnCoordinateY").tolist() == [500, 2000, 4000, 0]
    assert particles.micrograph_names() == ["J3/m1.mrc", "J3/m1.mrc", "J3/m2.mrc", ""]
    assert particles.numbers("rlnMicrographPixelSize").tolist() == [0.67] * 4
    bare = without(data, "location/micrograph_shape")
    particles = read_particles([save(job / "p.cs", bare)])
    assert particles.numbers("rlnCoordinateX") is None
    assert any("location (center_x_frac, center_y_frac)" in text for text in particles.warnings)


def test_a_filament_has_one_number_whatever_else_is_in_the_file(job):
    uid = np.array([2**63 + 5, 2**63 + 5, 12, 2**64 - 1], "u8")
    data = with_fields(particles_of(), filament__filament_uid=uid, filament__position_A=np.arange(4, dtype="f4"))
    whole = read_particles([save(job / "p.cs", data)])
    tubes = whole.whole_numbers("rlnHelicalTubeID")
    assert tubes[0] == tubes[1] and len(set(tubes.tolist())) == 3 and tubes[2] == 12
    assert (tubes >= 0).all() and (tubes < 2**31).all()  # as RELION can hold them
    some = read_particles([save(job / "p.cs", data[2:])])
    assert some.whole_numbers("rlnHelicalTubeID").tolist() == tubes[2:].tolist()
    assert whole.numbers("rlnHelicalTrackLengthAngst").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("split", "expected"), [([0, 1, 1, 0], [1, 2, 2, 1]), ([0] * 4, None), ([1] * 4, None), ([0, 1, 2, 0], None)]
)
def test_only_a_split_is_a_split(job, split, expected):
    data = particles_of()
    data["alignments2D/split"] = split
    subset = read_particles([save(job / "p.cs", data)]).random_subset()
    assert (subset if subset is None else subset.tolist()) == expected


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("blob/psize_A", 0, r"row 2: blob/psize_A must be above 0 \('0.0'\)"),
        ("blob/psize_A", np.nan, "row 2: blob/psize_A is not a number"),
        ("alignments2D/psize_A", 0, "row 2: alignments2D/psize_A must be above 0"),
        ("alignments2D/psize_A", -1.3, "row 2: alignments2D/psize_A must be above 0"),
        ("alignments2D/psize_A", 500, "row 2: alignments2D/psize_A contradicts blob/psize_A, which is 1.345 A"),
        ("alignments2D/shift", np.inf, "row 2: alignments2D/shift is not a number"),
        ("alignments2D/pose", 1e30, "row 2: alignments2D/pose cannot be meant"),
        ("alignments2D/class", 2**32 - 1, "row 2: alignments2D/class must be 0 to 2147483646"),
        ("blob/shape", 0, "row 2: blob/shape must be above 0"),
        (
            "blob/shape",
            16,
            r"row 2: blob/shape contradicts the 8 x 8 px of .*stack\.mrc \('16 x 16'\); the file belongs",
        ),
        ("blob/path", b"a\nb", "row 2: blob/path is damaged text"),
        ("blob/path", b"", "row 2: image name without a file"),
    ],
)
def test_values_that_cannot_be(job, field, value, message):
    data = particles_of()
    data[field][1] = value
    with pytest.raises(InputError, match=message):
        read_particles([save(job / "p.cs", data)])


@pytest.mark.parametrize("angpix", [None, 1.345])
def test_another_pixel_size_than_the_stacks(job, mrc_file, images, angpix):
    stack = mrc_file(job.parent / "J1" / "imported" / "stack.mrc", images, voxel=2.69)
    path = save(job / "p.cs", particles_of())
    if angpix is None:
        with pytest.raises(InputError, match=r"row 1: blob/psize_A contradicts the 2.69 A in .*stack\.mrc.* --angpix"):
            read_particles([path])
    else:  # a user knows better than a header
        assert read_particles([path], angpix=angpix).pixel_size_angstrom.tolist() == [1.345] * 4
    mrc_file(stack, images, voxel=1.0)  # says nothing
    read_particles([path])
    mrc_file(stack, images, voxel=1.36)  # calibrated later
    read_particles([path])


@pytest.mark.parametrize("name", [name for name, *_ in FIELDS])
@pytest.mark.parametrize("kind", ["S5", "<U5", "<c8", "<M8[s]", "V3", "?", "<f2"])
def test_fields_of_another_type_are_read_right_or_refused(job, name, kind):
    data = particles_of()
    column = np.zeros(data[name].shape, kind)
    if kind == "<f2" and data[name].dtype.kind == "f":
        column[...] = data[name]
    path = save(job / "p.cs", with_fields(data, **{name.replace("/", "__"): column}))
    text, number = data[name].dtype.kind == "S", data[name].dtype.kind == "f"
    if (kind == "<f2" and number) or (name == "ctf/tilt_A" and kind == "<f2"):
        read_particles([path])
    elif text and kind in ("S5", "<U5"):
        with pytest.raises(InputError, match="image name without a file"):
            read_particles([path])
    else:
        with pytest.raises(InputError, match=rf"p\.cs: {name} must be (numbers|whole numbers|text)"):
            read_particles([path])


@pytest.mark.parametrize("name", [name for name, *_ in FIELDS])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 2)])
def test_fields_of_another_shape_are_refused(job, name, shape):
    data = particles_of()
    column = np.zeros((len(data), *shape), data[name].dtype.base)
    with pytest.raises(InputError, match=rf"p\.cs: {name} must be .*of shape"):
        read_particles([save(job / "p.cs", with_fields(data, **{name.replace("/", "__"): column}))])


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
        (particles_of().reshape(2, 2), "a list of rows, not of shape"),
        (particles_of()[0], "a list of rows, not of shape"),
    ):
        with pytest.raises(InputError, match=rf"p\.cs: .*{message}"):
            read_particles([save(path, data)])
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match=r"p\.cs: is not a readable \.cs file"):
        read_particles([path])
    save(path, particles_of())
    whole = path.read_bytes()
    for content, message in (
        (whole[:-1], "truncated: 527 bytes where 4 rows need 528"),
        (whole + b"x", "longer than its header says"),
        (whole.replace(b"(4,)", b"(3,)"), "longer than its header says"),  # a row would be lost
        (whole.replace(b"(4,)", b"(9,)"), "truncated"),
        (whole[:200], "truncated in its header"),
        (b"\x95CSDAT" + bytes(40), "is a damaged CSDAT file, the packed form of .cs files.*cryosparc-tools"),
        (gzip.compress(whole), "is a gzip file, not a .cs file"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"p\.cs: .*{message}"):
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


def test_a_header_of_many_fields(job):
    more = {f"alignments_class_{k}__{what}": np.ones(4, "f4") for k in range(400) for what in ("alpha", "error")}
    path = save(job / "p.cs", with_fields(particles_of(), **more))
    assert int.from_bytes(path.read_bytes()[8:10], "little") > 20_000
    assert len(read_particles([path])) == 4
