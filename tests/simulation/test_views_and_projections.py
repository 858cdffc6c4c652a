import numpy as np
import pytest

from cryoalign.core.poses import Poses, rotate_points
from cryoalign.simulation.euler import euler_matrices, even_directions
from cryoalign.simulation.phantom import Phantom, built_in_phantom
from cryoalign.simulation.project import MapProjector
from helpers.maps import phantom_map


def some_poses(n, seed=0, shift=3.0):
    rng = np.random.default_rng(seed)
    return Poses(rng.uniform(-180, 180, n), *rng.normal(0, shift, (2, n)))


def some_views(n, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arccos(rng.uniform(-1, 1, n)))


def test_euler_matrix_written_out():
    rot, tilt, psi = 25.0, 70.0, -130.0
    (ca, sa), (cb, sb), (cg, sg) = ((np.cos(a), np.sin(a)) for a in np.deg2rad([rot, tilt, psi]))
    expected = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    np.testing.assert_allclose(euler_matrices(rot, tilt, psi)[0], expected, atol=1e-12)


def test_psi_turns_the_projection_by_minus_psi():
    rot, tilt = some_views(5)
    points = np.random.default_rng(2).normal(0, 1, (3, 7))
    flat = euler_matrices(rot, tilt, 0.0)[:, :2] @ points
    turned = euler_matrices(rot, tilt, 33.0)[:, :2] @ points
    np.testing.assert_allclose(turned, np.stack(rotate_points(-33.0, flat[:, 0], flat[:, 1]), axis=1), atol=1e-12)


def test_even_directions_are_even():
    rot, tilt = even_directions(200)
    axis = euler_matrices(rot, tilt, 0.0)[:, 2]
    assert np.linalg.norm(axis.mean(0)) < 0.01
    cosine = axis @ axis.T - 2 * np.eye(200)
    nearest = np.degrees(np.arccos(cosine.max(1)))
    assert nearest.min() > 0.5 * np.sqrt(4 * np.pi / 200) * 180 / np.pi


@pytest.mark.parametrize("box", [48, 49])
def test_one_atom_lands_where_the_pose_says(box):
    atom = Phantom(np.array([[20.0, -8.0, 5.0]]), np.array([4.0]), np.array([1.0]))
    rot, tilt, pixel = np.array([40.0]), np.array([75.0]), 2.0
    pose = Poses(65.0, 3.5, -2.25)
    image = atom.project(rot, tilt, pose, box, pixel)[0].astype(float)
    assert image.sum() == pytest.approx(1, abs=1e-3)
    y, x = (np.tensordot(image, grid - box // 2) / image.sum() for grid in np.mgrid[:box, :box])
    view = euler_matrices(rot, tilt, 0.0)[0, :2] @ atom.position_angstrom[0] / pixel
    np.testing.assert_allclose(np.ravel(pose.apply_to_points(x, y)), view, atol=0.02)


@pytest.mark.parametrize("box", [48, 49])
def test_map_projections_equal_the_phantoms_own(box):
    phantom = built_in_phantom(0.45 * box * 3.0, 4.5)
    rot, tilt = some_views(6)
    poses = some_poses(6)
    exact = phantom.project(rot, tilt, poses, box, 3.0)
    sliced = MapProjector(phantom_map(phantom, box, 3.0), 3.0).project(rot, tilt, poses, box, 3.0)
    assert np.abs(sliced - exact).max() < 1e-3 * exact.max()


def test_map_on_another_grid():
    phantom = built_in_phantom(80.0, 5.0)
    rot, tilt = some_views(4)
    poses = some_poses(4, shift=2.0)
    projector = MapProjector(phantom_map(phantom, 64, 2.5), 2.5)
    for box, pixel_size, tolerance in ((48, 4.0, 0.02), (100, 2.0, 2e-3)):
        # A map's projection is a line sum, the phantom's a sum over each pixel.
        exact = phantom.project(rot, tilt, poses, box, pixel_size) * (2.5 / pixel_size) ** 2
        sliced = projector.project(rot, tilt, poses, box, pixel_size)
        assert np.abs(sliced - exact).max() < tolerance * exact.max()


def test_phantom_has_no_symmetry_and_is_centred():
    phantom = built_in_phantom(130.0, 4.0)
    np.testing.assert_allclose(phantom.weight @ phantom.position_angstrom, 0, atol=1e-9)
    assert phantom.weight.sum() == pytest.approx(1)
    view = phantom.project([30.0], [60.0], Poses.identity(1), 64, 3.0)[0]
    turns = [phantom.project([30.0], [60.0], Poses(psi, 0, 0), 64, 3.0)[0] for psi in range(20, 341, 10)]
    mirrors = [phantom.project([30.0], [60.0], Poses(psi, 0, 0), 64, 3.0)[0][:, ::-1] for psi in range(0, 360, 10)]
    assert max(np.corrcoef(view.ravel(), other.ravel())[0, 1] for other in [*turns, *mirrors]) < 0.95


def test_a_map_that_is_no_cube_is_refused():
    with pytest.raises(ValueError, match="cube"):
        MapProjector(np.zeros((4, 4, 5)), 1.0)
