"""The pieces of the ladder: bands, moving images and their slopes, the sparse grid, descents."""

import numpy as np
import pytest

from cryoalign.core.filters import radial_average
from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.pixels.descent import DescentSettings, descend
from cryoalign.metrics.pixels.moving import MovingImages, slope_images
from cryoalign.metrics.pixels.pyramid import band_boxes, disc_pixels, level_of
from cryoalign.metrics.pixels.sparse_grid import best_peaks, pose_grid, shifted_images, turned_references
from cryoalign.metrics.pixels.wiener import wiener_filtered
from helpers.blobs import random_blobs

BOX = 64


def drawing(seed=0, box=BOX):
    return random_blobs(np.random.default_rng(seed), 0.28 * box)


def single(images):
    return np.ascontiguousarray(images, dtype=np.float32)


# Bands


@pytest.mark.parametrize(("box", "sides"), [(16, [16]), (32, [24, 32][1:]), (64, [24, 64]), (128, [24, 48, 128])])
def test_bands_double_up_to_the_box(box, sides):
    assert band_boxes(box) == sides


def test_a_level_is_the_same_picture_with_fewer_rings():
    blobs = drawing()
    level = level_of(single(blobs.images(BOX)), 32, 20.0)
    assert level.scale == 2.0
    half = blobs.at(*(2.0 * v for v in np.meshgrid(np.arange(32) - 16, np.arange(32) - 16)))
    # Blobs of 1.5 px have a little left beyond the half band.
    assert np.abs(level.images[0] - half).max() < 0.05 * half.max()
    assert len(level.inside) == pytest.approx(np.pi * 10**2, rel=0.03)
    masked = level.images[0].ravel()[level.inside]
    np.testing.assert_allclose(level.statistics[0, :2], [masked.mean(), masked.std()], rtol=1e-5)


def test_the_noise_of_a_level_is_what_its_band_holds():
    rng = np.random.default_rng(1)
    noise = single(3.0 * rng.standard_normal((30, BOX, BOX)))
    known = level_of(noise, 32, 20.0, np.full((30, BOX // 2 + 1), 9.0))
    measured = level_of(noise, 32, 20.0)
    true = np.sqrt(np.mean(known.images.astype(float) ** 2))
    assert known.statistics[0, 2] == pytest.approx(true, rel=0.05)
    assert measured.statistics[:, 2].mean() == pytest.approx(true, rel=0.05)


def test_the_variance_of_white_noise():
    assert Preparation(noise_spectrum=np.full(33, 2.5)).noise_variance(64) == pytest.approx(2.5)
    assert Preparation().noise_variance(64) == 0.0


# Moving images


def test_slopes_of_an_image():
    blobs, step = drawing(2), 1e-3
    slopes = slope_images(single(blobs.images(BOX)))[0]
    # image(q; d) = density(q + d).
    for axis, shift in ((1, {"dx": step}), (2, {"dy": step})):
        back = {k: -v for k, v in shift.items()}
        expected = (blobs.image(BOX, **shift) - blobs.image(BOX, **back)) / (2 * step)
        np.testing.assert_allclose(slopes[axis], expected, atol=2e-3)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("side", [64, 32])
def test_slopes_by_the_pose_are_those_of_the_moved_pixels(mirror, side):
    level = level_of(single(drawing(3).images(BOX)), side, 22.0)
    moving, at = MovingImages(level), np.array([37.0, 2.3, -1.7])
    rows = np.zeros(1, np.int64)
    pixels, slopes = moving.with_slopes(rows, Poses(*at, mirror))
    np.testing.assert_allclose(pixels, moving.pixels(rows, Poses(*at, mirror)), atol=1e-5)
    for k, step in enumerate((0.5, 0.05, 0.05)):
        change = np.eye(3)[k] * step
        ends = [moving.pixels(rows, Poses(*(at + s * change), mirror)) for s in (1, -1)]
        expected = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slopes[:, k], expected, atol=0.02 * np.abs(expected).max())


def test_rows_and_poses_may_come_in_any_order():
    level = level_of(single(np.concatenate([drawing(s).images(BOX) for s in (4, 5, 6)])), 64, 22.0)
    moving = MovingImages(level)
    rows = np.array([2, 0, 1, 0, 2])
    poses = Poses(np.arange(5) * 50.0, np.arange(5) * 0.5, np.zeros(5))
    pixels, slopes = moving.with_slopes(rows, poses)
    for i in range(5):
        alone = moving.with_slopes(rows[i : i + 1], poses.take([i]))
        np.testing.assert_array_equal(pixels[i], alone[0][0])
        np.testing.assert_array_equal(slopes[i], alone[1][0])


# The sparse grid


def test_turned_and_shifted_copies_meet_where_the_pose_says():
    """Turning the reference one way is turning the image the other way: both sides show the same picture."""
    blobs = drawing(7)
    pose = {"psi": 0.0, "dx": 2.0, "dy": -3.0}
    for mirror in (False, True):
        reference, image = blobs.images(BOX), blobs.images(BOX, **pose, mirror=mirror)
        first, second = (level_of(single(v), 24, 22.0) for v in (reference, image))
        grid = pose_grid(first, SearchLimits(6.0, mirror=True))
        turned, shifted = turned_references(first, 0, grid), shifted_images(second, 0, grid)
        cost = ((turned[:, None] - shifted[None]) ** 2).sum(axis=2).astype(float)
        best = best_peaks(cost, grid, 1)
        assert best.psi[0] == pytest.approx(0.0, abs=6)
        assert np.hypot(best.dx[0] - 2.0, best.dy[0] + 3.0) < 1.6
        assert best.mirror[0] == mirror


def test_peaks_are_apart_and_in_order():
    level = level_of(single(drawing(8).images(BOX)), 24, 22.0)
    grid = pose_grid(level, SearchLimits(4.0))
    cost = np.ones((len(grid.psi_deg), len(grid.shift_px)))
    cost[10, 0], cost[11, 0], cost[40, 2] = -3.0, -2.9, -2.0
    peaks = best_peaks(cost, grid, 2)
    np.testing.assert_allclose(peaks.psi, np.where(grid.psi_deg > 180, grid.psi_deg - 360, grid.psi_deg)[[10, 40]])
    near = best_peaks(cost, grid, 3, (float(grid.psi_deg[40]), 8.0))
    assert near.psi[0] == pytest.approx(peaks.psi[1])
    assert np.abs((near.psi - peaks.psi[1] + 180) % 360 - 180).max() <= 8.0 + grid.psi_deg[1]


# Descents


def bowl(centre, bend):
    def energy(rows, poses):
        u = poses - centre[rows]
        return 0.5 * np.einsum("ni,ij,nj->n", u, bend, u), u @ bend

    return energy


def test_descents_reach_the_bottom_of_a_skewed_bowl():
    centre = np.array([[20.0, 1.0, -1.0], [-170.0, -2.0, 0.5]])
    bend = np.array([[0.02, 0.05, 0.0], [0.05, 2.0, 0.6], [0.0, 0.6, 1.0]])
    start = centre + np.array([[6.0, 0.8, -0.9], [-5.0, 0.5, 0.4]])
    poses, values = descend(bowl(centre, bend), start, DescentSettings(radius_px=10.0))
    np.testing.assert_allclose(poses, centre, atol=0.02)
    assert values.max() < 1e-4
    assert np.array_equal(descend(bowl(centre[1:], bend), start[1:], DescentSettings(10.0))[0][0], poses[1])


def test_descents_never_go_up_and_keep_to_their_limits():
    centre, bend = np.array([[30.0, 5.0, 0.0]]), np.diag([0.05, 1.0, 1.0])
    energy, start = bowl(centre, bend), np.array([[20.0, 0.0, 1.0]])
    settings = DescentSettings(radius_px=10.0, max_shift_px=2.0)
    poses, values = descend(energy, start, settings, np.array([[15.0, 25.0]]))
    assert values[0] <= energy(np.array([0]), start)[0][0]
    assert poses[0, 0] == pytest.approx(25.0, abs=0.05)
    assert np.hypot(*poses[0, 1:]) <= 2.0 + 1e-9
    still, _ = descend(energy, np.array([[20.0, 0.0, 0.0]]), DescentSettings(10.0, max_shift_px=0.0))
    assert still[0, 0] == pytest.approx(30.0, abs=0.05)
    assert not still[0, 1:].any()


def test_a_flat_start_stays():
    flat = lambda rows, poses: (np.zeros(len(rows)), np.zeros((len(rows), 3)))
    start = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(descend(flat, start, DescentSettings(10.0))[0], start)


# Noise


def test_the_filter_keeps_signal_and_drops_noise():
    rng = np.random.default_rng(9)
    clean = drawing(9).images(BOX)
    noisy = single(clean + 0.3 * rng.standard_normal((20, BOX, BOX)))
    filtered, left = wiener_filtered(noisy, np.full(BOX // 2 + 1, 0.09))
    error = [np.mean((v - clean) ** 2) for v in (noisy, filtered)]
    assert error[1] < 0.25 * error[0]
    # Where the signal is strong nothing happens, and where there is none little is left.
    assert left[:, 1:4].min() > 0.9 * 0.09
    assert left[:, 24:].mean() < 0.05 * 0.09
    fft = np.abs(np.fft.rfft2(filtered)) ** 2
    assert radial_average(fft, BOX)[:, 24:].mean() < 0.05 * BOX**2 * 0.09


def test_pixels_of_a_disc():
    inside = disc_pixels(9, 2.0)
    assert len(inside) == 13
    assert 4 * 9 + 4 in inside
