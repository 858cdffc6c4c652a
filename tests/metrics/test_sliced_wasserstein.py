"""Sliced Wasserstein distances against formulas, scipy's transport on a line, and rotations by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.sliced.angle_curve import curves, harmonics, values_at
from cryoalign.metrics.sliced.quantiles import part_quantiles
from cryoalign.metrics.sliced.sinogram import LineTransform, line_layout, projections
from cryoalign.metrics.sliced.sliced_measure import columns_back
from helpers.blobs import Blobs, random_blobs

CONSTANTS = {2: (1 / np.sqrt(2), 0.001), 1: (2 / np.pi, 0.001)}
WHOLE = 0.5


def particle(seed=0, box=64, radius=14, count=8):
    blobs = random_blobs(np.random.default_rng(seed), radius, count)
    return blobs, blobs.image(box).astype(np.float32)


def prepared(kind, pixels, **known):
    pixels = np.asarray(pixels, np.float32)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    return kind.prepare(pixels, Preparation(**{"mask_radius_px": WHOLE * pixels.shape[-1], **known}))


@pytest.mark.parametrize("box", [64, 65])
def test_projections_are_those_of_the_formula(box):
    blobs = Blobs(np.array([5.0, -7.0]), np.array([-3.0, 2.0]), np.array([2.0, 3.0]), np.array([1.0, 0.5]))
    layout = line_layout(box)
    lines = projections(LineTransform(layout)(blobs.image(box)), box)
    s = (np.arange(box) + box // 2) % box - box // 2
    for t in (0, layout.half // 3, layout.half - 1):
        angle = layout.angles[t]
        at = blobs.x * np.cos(angle) + blobs.y * np.sin(angle)
        mass = blobs.height * np.sqrt(2 * np.pi) * blobs.width
        truth = (mass * np.exp(-((s[:, None] - at) ** 2) / (2 * blobs.width**2))).sum(axis=1)
        np.testing.assert_allclose(lines[t], truth, atol=2e-4 * truth.max())


def test_quantiles_give_the_transport_distance_of_two_lines():
    """W_1 on a line by scipy; every pixel's mass is spread over many points."""
    rng = np.random.default_rng(1)
    lines = rng.random((2, 33)).astype(np.float32) ** 4
    count = 512
    columns = part_quantiles(np.fft.ifftshift(lines, axes=1), count, 1)
    quantiles = np.concatenate([columns[:2], -columns[2:, ::-1]], axis=1)
    fine = (np.arange(33 * 50) + 0.5) / 50 - 0.5 - 16
    truth = wasserstein_distance(fine, fine, np.repeat(lines[0], 50), np.repeat(lines[1], 50))
    assert np.abs(quantiles[0] - quantiles[1]).mean() == pytest.approx(truth, rel=5e-3)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("box", [64, 65])
def test_a_shift_costs_its_length_times_a_constant(p, box):
    blobs, image = particle(box=box)
    kind = measure("sw", p=p)
    reference = prepared(kind, image)
    constant, tolerance = CONSTANTS[p]
    for dx, dy in ((3.0, 0.0), (-4.0, 5.0), (0.7, -1.1)):
        moved = blobs.image(box, dx=dx, dy=dy)
        value = kind.curve(reference, prepared(kind, moved), np.zeros(1))[0]
        assert value / np.hypot(dx, dy) == pytest.approx(constant, abs=tolerance)


def test_the_viewing_direction_bounds_the_distance():
    """SW_p <= c_p 2 sin(alpha / 2) R for a density inside the radius R, seen from directions alpha apart."""
    rng = np.random.default_rng(2)
    kinds = {p: measure("sw", p=p) for p in (1, 2)}
    box, width, largest = 48, 1.2, 0.0
    for _ in range(100):
        points = rng.normal(size=(6, 3))
        points *= (14.0 * rng.random(6) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
        alpha, axis = rng.uniform(0.02, np.pi), rng.uniform(0, 2 * np.pi)
        u = np.array([np.cos(axis), np.sin(axis), 0.0])  # tilt about an axis in the plane
        turned = (
            points * np.cos(alpha) + np.cross(u, points) * np.sin(alpha) + np.outer(points @ u, u) * (1 - np.cos(alpha))
        )
        heights = rng.uniform(0.5, 1.5, 6)
        views = [Blobs(q[:, 0], q[:, 1], np.full(6, width), heights).image(box) for q in (points, turned)]
        radius = np.linalg.norm(points, axis=1).max() + 3 * width
        for p, kind in kinds.items():
            value = kind.curve(*(prepared(kind, view) for view in views), np.zeros(1))[0]
            bound = CONSTANTS[p][0] * 2 * np.sin(alpha / 2) * radius
            largest = max(largest, value / bound)
    assert 0.3 < largest <= 1.0


@pytest.mark.parametrize("seed", range(3))
def test_curves_by_fft_are_those_of_rolled_columns(seed):
    """Half of the columns stand for all; the other half is rolled here, not in the code."""
    rng = np.random.default_rng(seed)
    h, count = 33 + seed, 16
    upper = rng.normal(size=(2, h, count))
    # U(t + 180, q) = -U(t, 1 - q): all columns from the upper half circle.
    whole = np.concatenate([upper, -upper[:, :, ::-1]], axis=1)
    expanded = [harmonics([columns[:, : count // 2]]) for columns in whole]
    found = curves(*expanded)[0, 0]
    truth = [((np.roll(whole[0], -shift, axis=0) - whole[1]) ** 2).mean() for shift in range(2 * h)]
    np.testing.assert_allclose(found, truth, rtol=1e-10)
    np.testing.assert_allclose(values_at(*expanded, np.arange(2 * h) * 180.0 / h), truth, rtol=1e-10)
    # The line at angle t of a mirrored image is that at 180 - t.
    back = np.fft.irfft(expanded[0].mirrored().values[:, 0], n=2 * h, axis=0)
    np.testing.assert_allclose(back, np.roll(whole[0][::-1, : count // 2], h + 1, axis=0), atol=1e-12)


def test_absolute_differences_are_rolled_by_brute_force():
    blobs, image = particle()
    kind = measure("sw1")
    assert (kind.name, kind.p) == ("sw1", 1) and measure("sw", p=1).p == 1
    features = [prepared(kind, image), prepared(kind, blobs.image(64, psi=70.0, dx=2.0))]
    found = kind.search(*features, SearchLimits(8.0))
    assert abs(found.poses.psi[0] - 70.0) < 1.0 and abs(found.poses.dx[0] - 2.0) < 0.1
    assert found.score[0] < 0.1
    at = kind.curve(*features, np.array([70.0, -110.0]), found.poses)
    assert at[0] < 0.1 < at[1]
    # The curve, from all columns on the circle, rolled.
    a, b = (columns_back(f.centred, 0) for f in features)
    curve = next(kind.tiles(features[0].centred, features[1].centred))[1][0, 0]
    truth = [np.abs(np.roll(a, -shift, axis=0) - b).mean() for shift in range(len(a))]
    np.testing.assert_allclose(curve, truth, rtol=1e-5)


@pytest.mark.parametrize("name", ["sw", "sw1", "rfsw"])
def test_poses_are_found_with_mirrors_shifts_and_among_references(name):
    kind = measure(name)
    rng = np.random.default_rng(4)
    made = [particle(seed) for seed in (5, 6, 7)]
    psi, mirror = rng.uniform(-180, 180, 12), rng.random(12) < 0.5
    dx, dy = rng.uniform(-4, 4, (2, 12))
    which = rng.integers(0, 3, 12)
    images = np.stack([made[k][0].image(64, psi=a, dx=x, dy=y, mirror=m)
                       for k, a, x, y, m in zip(which, psi, dx, dy, mirror, strict=True)])  # fmt: skip
    references, features = prepared(kind, [image for _, image in made]), prepared(kind, images)
    found = kind.search(references, features, SearchLimits(8.0, mirror=True))
    assert (found.reference == which).all() and (found.poses.mirror == mirror).all()
    assert np.abs((found.poses.psi - psi + 180) % 360 - 180).max() < 1.0
    assert np.hypot(found.poses.dx - dx, found.poses.dy - dy).max() < 0.15
    assert (found.margin > 0).all()
    table = kind.table(references, features, SearchLimits(8.0, mirror=True))
    everyone = np.arange(12)
    np.testing.assert_array_equal(table.value[which, everyone], found.score)
    np.testing.assert_array_equal(table.psi[which, everyone], found.poses.psi)
    # One by one: an image's answer does not depend on the others.
    alone = kind.search(references, prepared(kind, images[7]), SearchLimits(8.0, mirror=True))
    assert alone.poses.psi[0] == found.poses.psi[7] and alone.score[0] == found.score[7]
    # At the pose that was found, the value says the same.
    at = kind.value(made[which[3]][1], images[3].astype(np.float32), found.poses.take([3]), Preparation(32.0))
    assert at[0] == pytest.approx(found.score[3], abs=0.1)


@pytest.mark.parametrize("name", ["sw", "sw1", "rfsw"])
def test_a_value_at_a_pose_is_that_of_the_posed_image(name):
    """The value moves quantiles; here the image itself is rendered at the pose."""
    _, image = particle(8)
    other, _ = particle(9)
    kind = measure(name)
    for pose in (Poses(40.0, 2.0, -1.5), Poses(-100.0, 1.0, 3.0, True)):
        # image(q) = other; moved(R (F q + d)) = image(q), so that moved is other at the inverse pose.
        undo = pose.inverse()
        moved = other.image(64, psi=undo.psi[0], dx=undo.dx[0], dy=undo.dy[0], mirror=undo.mirror[0])
        truth = kind.curve(prepared(kind, image), prepared(kind, moved), np.zeros(1))[0]
        value = kind.value(image, other.image(64).astype(np.float32), pose, Preparation(32.0))[0]
        assert value == pytest.approx(truth, rel=1e-3)


def test_windows_and_limits_hold():
    blobs, image = particle()
    kind = measure("rfsw")
    features = [prepared(kind, image), prepared(kind, blobs.image(64, psi=120.0, dx=6.0))]
    limits = SearchLimits(2.0, psi_centre_deg=np.array([20.0]), psi_half_width_deg=30.0)
    found = kind.search(*features, limits)
    assert abs(found.poses.psi[0] - 20.0) <= 30.0
    assert np.hypot(found.poses.dx, found.poses.dy)[0] == pytest.approx(2.0)
    still = kind.search(*features, SearchLimits(8.0, translation="none"))
    assert still.poses.dx[0] == 0.0
    with pytest.raises(InputError, match="does not find shifts this way"):
        kind.search(*features, SearchLimits(8.0, translation="grid"))


@pytest.mark.parametrize("name", ["sw", "sw1", "rfsw", "auto"])
def test_empty_images_and_none_at_all(name):
    kind = measure(name)
    _, image = particle()
    pixels = np.stack([np.zeros_like(image), image])
    found = kind.search(prepared(kind, image), prepared(kind, pixels), SearchLimits(4.0))
    assert np.isfinite(found.score).all() and found.score[1] < 0.01
    none = kind.search(prepared(kind, image), prepared(kind, np.zeros((0, 64, 64))), SearchLimits(4.0))
    assert len(none.score) == 0


def test_wrong_parameters_are_refused():
    for wrong in ({"p": 3}, {"quantiles": 7}, {"quantiles": 0}):
        with pytest.raises(ValueError, match="must be"):
            measure("sw", **wrong)
    with pytest.raises(ValueError, match="exponent"):
        measure("rfsw", exponent=0.0)
    with pytest.raises(ValueError, match="shape"):
        measure("sw").prepare(np.zeros((2, 8, 9), np.float32), Preparation())
