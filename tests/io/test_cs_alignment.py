"""Which alignment of a .cs file counts, and what it becomes."""

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.cs_alignment import euler_angles, read_alignment, read_split
from cryoalign.io.cs_file import CsColumns
from cryoalign.simulation.euler import euler_matrices

N = 5
RNG = np.random.default_rng(0)


def columns(**fields):
    """Return columns of a file, ``a__b`` for a/b."""
    return CsColumns("p.cs", {name.replace("__", "/"): np.asarray(values) for name, values in fields.items()})


def refinement(prefix, scale=1.0, classes=False):
    """Return the fields of one alignment to a map."""
    some = np.random.default_rng(int(10 * scale))
    found = {
        f"{prefix}__pose": some.normal(0, 1, (N, 3)), f"{prefix}__shift": some.normal(0, 2, (N, 2)),
        f"{prefix}__psize_A": np.full(N, scale),
    }  # fmt: skip
    return found | ({f"{prefix}__class_posterior": some.random(N)} if classes else {})


def rotation(vector):
    """Rodrigues' formula, written out."""
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize(
    "vectors",
    [
        RNG.normal(0, 2, (200, 3)),
        [[0, 0, 0], [0, 0, 1.2], [0, 0, -3], [0, np.pi, 0], [np.pi, 0, 0], [1e-9, 0, 0.5], [0, 1e-4, 2], [0, 0, np.pi]],
        RNG.normal(0, 40, (50, 3)),
    ],
    ids=["any", "where rot and psi are one", "many turns"],
)
def test_rotation_vectors_are_relions_angles(vectors):
    vectors = np.asarray(vectors, float)
    rot, tilt, psi = euler_angles(vectors)
    # RELION's matrix carries the map into the frame of the projection: the inverse of the rotation.
    expected = np.array([rotation(v).T for v in vectors])
    np.testing.assert_allclose(euler_matrices(rot, tilt, psi), expected, atol=1e-6)
    assert (tilt >= 0).all() and (tilt <= 180).all() and (np.abs([rot, psi]) <= 180).all()


def test_rot_is_0_where_only_the_sum_is_known():
    rot, tilt, psi = euler_angles(np.array([[0, 0, -0.5], [0, np.pi, 0]]))
    np.testing.assert_allclose(rot, 0)
    np.testing.assert_allclose(tilt, [0, 180])
    np.testing.assert_allclose(psi[0], -np.degrees(0.5))


def test_3d_counts_before_2d():
    plane = {"alignments2D__pose": np.ones(N), "alignments2D__shift": np.ones((N, 2)), "alignments2D__class": [7] * N}
    fields = columns(**plane, **refinement("alignments3D", 1.5), alignments3D__class=np.arange(N))
    found = read_alignment(fields, np.ones(N))
    assert found.name == "alignments3D" and found.pose.shape == (N, 3)
    np.testing.assert_allclose(found.shift_angstrom, 1.5 * fields.columns["alignments3D/shift"])
    assert found.class_number.tolist() == [1, 2, 3, 4, 5]
    assert read_alignment(columns(**plane), np.full(N, 2.0)).shift_angstrom.tolist() == [[2.0, 2.0]] * N
    only_shift = columns(**plane, alignments3D__shift=np.zeros((N, 2)), alignments3D__psize_A=np.ones(N))
    assert read_alignment(only_shift, np.ones(N)).name == "alignments2D"  # shifts without a pose belong to no pose


def test_shifts_alone():
    found = read_alignment(columns(alignments3D__shift=np.ones((N, 2)), alignments3D__psize_A=np.full(N, 3.0)), None)
    assert found.pose is None and found.class_number is None and (found.shift_angstrom == 3).all()
    assert read_alignment(columns(uid=np.arange(N)), None) is None


def test_the_most_probable_class_counts():
    fields = {}
    for k in (0, 1, 2):
        fields |= refinement(f"alignments_class_{k}", 1.0 + k, classes=True)
    posterior = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.5, 0.3], [0, 0, 0.1]])
    for k in (0, 1, 2):
        fields[f"alignments_class_{k}__class_posterior"] = posterior[:, k]
    found = read_alignment(columns(**fields), None)
    assert found.class_number.tolist() == [1, 2, 3, 2, 3]
    best = found.class_number - 1
    for row, k in enumerate(best):
        assert found.pose[row].tolist() == fields[f"alignments_class_{k}__pose"][row].tolist()
        np.testing.assert_allclose(found.shift_angstrom[row], fields[f"alignments_class_{k}__shift"][row] * (1.0 + k))
    assert "alignments_class_2/class_posterior" in found.used

    many = {
        f"alignments3D_multi__{what}": np.stack([fields[f"alignments_class_{k}__{what}"] for k in (0, 1, 2)], axis=1)
        for what in ("class_posterior", "pose", "shift", "psize_A")
    }
    again = read_alignment(columns(**many, **fields), None)
    assert again.name == "alignments3D_multi"
    np.testing.assert_array_equal(again.pose, found.pose)
    np.testing.assert_allclose(again.shift_angstrom, found.shift_angstrom)
    assert again.class_number.tolist() == found.class_number.tolist()


def test_classes_of_which_one_lacks_its_pose_are_not_used():
    fields = refinement("alignments_class_0", 1.0, classes=True) | refinement("alignments_class_1", 2.0, classes=True)
    del fields["alignments_class_1__pose"], fields["alignments_class_1__shift"]
    assert read_alignment(columns(**fields, alignments2D__pose=np.ones(N)), None).name == "alignments2D"


def test_shifts_without_a_pixel_size():
    with pytest.raises(InputError, match=r"p\.cs: has shifts but no pixel size \(alignments3D/psize_A\)"):
        read_alignment(columns(alignments3D__shift=np.ones((N, 2))), None)


def test_halves_of_another_alignment_serve_where_the_one_that_counts_has_none():
    fields = columns(
        **refinement("alignments3D"), alignments3D__split=np.zeros(N, int), alignments2D__split=[0, 1, 0, 1, 0]
    )
    found = read_alignment(fields, None)
    assert read_split(fields, found)[0].tolist() == [1, 2, 1, 2, 1]
    assert read_split(columns(alignments2D__split=np.ones(N, int)), None)[0] is None
