"""The pose algebra against the formulas of the convention, over random poses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoalign.core.poses import Poses, rotate_points, wrap_degrees

angles = st.floats(-720.0, 720.0)
lengths = st.floats(-50.0, 50.0)
poses = st.builds(lambda psi, dx, dy, m: Poses([psi], [dx], [dy], [m]), angles, lengths, lengths, st.booleans())
points = st.tuples(lengths, lengths)

FLIP = np.diag([-1.0, 1.0])


def rotation(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def affine(pose):
    """Return (A, b) with aligned offset = A q + b, written out from R(psi)(F^m q + d)."""
    matrix = rotation(pose.psi[0]) @ (FLIP if pose.mirror[0] else np.eye(2))
    return matrix, rotation(pose.psi[0]) @ [pose.dx[0], pose.dy[0]]


def assert_same_pose(a, b):
    for one, two in zip(affine(a), affine(b), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)
    np.testing.assert_array_equal(a.mirror, b.mirror)


@given(poses, points)
def test_apply_to_points_is_the_formula(pose, point):
    matrix, shift = affine(pose)
    x, y = pose.apply_to_points(*point)
    np.testing.assert_allclose([x[0], y[0]], matrix @ point + shift, atol=1e-9)


@given(poses, poses)
def test_compose_is_the_product_of_the_affine_maps(first, second):
    (a1, b1), (a2, b2) = affine(first), affine(second)
    a, b = affine(first.then(second))
    np.testing.assert_allclose(a, a2 @ a1, atol=1e-9)
    np.testing.assert_allclose(b, a2 @ b1 + b2, atol=1e-9)


@given(poses, poses)
def test_compose_is_the_formula_of_the_convention(first, second):
    s2 = -1 if second.mirror[0] else 1
    d = np.diag([s2, 1]) @ [first.dx[0], first.dy[0]] + rotation(-s2 * first.psi[0]) @ [second.dx[0], second.dy[0]]
    expected = Poses(second.psi + s2 * first.psi, d[0], d[1], first.mirror ^ second.mirror)
    assert_same_pose(first.then(second), expected)


@given(poses, poses, poses)
def test_compose_is_associative(a, b, c):
    assert_same_pose(a.then(b).then(c), a.then(b.then(c)))


@given(poses)
def test_inverse_undoes_on_either_side(pose):
    assert_same_pose(pose.then(pose.inverse()), Poses.identity(1))
    assert_same_pose(pose.inverse().then(pose), Poses.identity(1))
    assert_same_pose(pose.inverse().inverse(), pose)


@given(poses)
def test_inverse_is_the_formula_of_the_convention(pose):
    s = -1 if pose.mirror[0] else 1
    d = -rotation(s * pose.psi[0]) @ np.diag([s, 1]) @ [pose.dx[0], pose.dy[0]]
    assert_same_pose(pose.inverse(), Poses(-s * pose.psi, d[0], d[1], pose.mirror))


@given(angles, points)
def test_a_mirror_turns_rotations_round(psi, point):
    flip, turn = Poses(0, 0, 0, True), Poses(psi, 0, 0)
    assert_same_pose(turn.then(flip), flip.then(turn.inverse()))
    assert_same_pose(flip.then(flip), Poses.identity(1))
    x, y = flip.apply_to_points(*point)
    assert (x[0], y[0]) == (-point[0], point[1])


@given(angles, points)
def test_rotate_then_translate_is_a_shift_by_the_turned_back_vector(psi, t):
    d = rotation(-psi) @ t
    assert_same_pose(Poses(psi, 0, 0).then(Poses(0, *t)), Poses(psi, *d))


@given(poses, points)
def test_recentring_brings_the_point_to_the_centre(pose, point):
    x, y = pose.recentred(*point).apply_to_points(*pose.inverse().apply_to_points(*point))
    np.testing.assert_allclose([x[0], y[0]], 0.0, atol=1e-9)
    assert_same_pose(pose.recentred(*point), pose.then(Poses(0, -point[0], -point[1])))


@given(angles)
def test_angles_are_kept_in_half_open_interval(angle):
    wrapped = wrap_degrees(angle)
    assert -180.0 < wrapped <= 180.0
    np.testing.assert_allclose(rotation(wrapped), rotation(angle), atol=1e-9)


def test_minus_180_is_written_as_180():
    np.testing.assert_array_equal(wrap_degrees([-180.0, 180.0, 540.0]), [180.0, 180.0, 180.0])


def test_positive_psi_carries_x_towards_y():
    x, y = rotate_points(90.0, 1.0, 0.0)
    np.testing.assert_allclose([x, y], [0.0, 1.0], atol=1e-15)
    # The shift comes before the rotation.
    x, y = Poses(90.0, 3.0, 0.0).apply_to_points(1.0, 0.0)
    np.testing.assert_allclose([x[0], y[0]], [0.0, 4.0], atol=1e-14)


def test_many_poses_act_row_by_row():
    rng = np.random.default_rng(5)
    n = 20
    a, b = (
        Poses(rng.uniform(-180, 180, n), rng.normal(size=n), rng.normal(size=n), rng.random(n) < 0.5) for _ in range(2)
    )
    both = a.then(b)
    for i in range(n):
        assert_same_pose(both.take([i]), a.take([i]).then(b.take([i])))
    one = a.then(b.take([3]))
    assert_same_pose(one.take([7]), a.take([7]).then(b.take([3])))
    joined = Poses.concatenate([a, b])
    assert len(joined) == 2 * n
    assert_same_pose(joined.take([n + 2]), b.take([2]))
    assert len(a.take(a.mirror)) == a.mirror.sum()


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="same length"):
        Poses([0.0, 1.0], [0.0], [0.0])
