"""Resampling: geometry, accuracy against sums over the spectrum, the power of noise, edges, and same bytes."""

from concurrent.futures import ThreadPoolExecutor

import finufft
import numpy as np
import pytest
from scipy import ndimage

from cryoalign.core.poses import Poses
from cryoalign.core.resample.fourier import gain_frequencies
from cryoalign.core.resample.resample import EDGES, INTERPOLATIONS, resample, sampling_matrices


def random_poses(rng, n, largest_shift=6.0):
    shifts = rng.uniform(-largest_shift, largest_shift, (2, n))
    return Poses(rng.uniform(-180, 180, n), *shifts, rng.random(n) < 0.5)


def noise(seed, n, box):
    return np.random.default_rng(seed).standard_normal((n, box, box)).astype(np.float32)


def sampled_points(pose, box):
    """Return where each output pixel is looked up, in pixels from the centre of the image."""
    y, x = np.mgrid[:box, :box] - box // 2
    return pose.inverse().apply_to_points(x, y)


def disc_spectrum(image):
    """Return the centred spectrum, zero outside the Nyquist disc, and its frequencies in cycles per pixel."""
    box = len(image)
    k = np.arange(box) - box // 2
    spectrum = np.fft.fftshift(np.fft.fft2(image.astype(np.float64)))
    return np.where(k[:, None] ** 2 + k**2 < (box / 2) ** 2, spectrum, 0.0) / box**2, k / box


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("box", [8, 9, 11, 12])
def test_fourier_is_the_sum_over_the_disc(box):
    rng = np.random.default_rng(box)
    images, poses = noise(box, 4, box), random_poses(rng, 4)
    for i, aligned in enumerate(resample(images, poses)):
        spectrum, f = disc_spectrum(images[i])
        x, y = sampled_points(poses.take([i]), box)
        wave_x = np.exp(2j * np.pi * f * (x[..., None] + box // 2))
        wave_y = np.exp(2j * np.pi * f * (y[..., None] + box // 2))
        expected = np.einsum("abk,kl,abl->ab", wave_y, spectrum, wave_x)
        assert relative(aligned, expected.real) < 1e-3


@pytest.mark.parametrize("box", [32, 49, 64, 65, 100, 127, 128, 200])
def test_fourier_agrees_with_a_nonuniform_fft(box):
    rng = np.random.default_rng(box)
    images, poses = noise(box, 3, box), random_poses(rng, 3)
    for i, aligned in enumerate(resample(images, poses)):
        spectrum, _ = disc_spectrum(images[i])
        x, y = ((2 * np.pi / box) * (q + box // 2) for q in sampled_points(poses.take([i]), box))
        wrapped = [np.mod(a + np.pi, 2 * np.pi).ravel() - np.pi for a in (y, x)]
        expected = finufft.nufft2d2(*wrapped, spectrum, eps=1e-9, isign=1).real.reshape(box, box)
        assert relative(aligned, expected) < 5e-4


@pytest.mark.parametrize("box", [64, 65])
def test_fourier_identity_keeps_the_content_of_the_disc(box):
    images = noise(1, 2, box)
    for image, aligned in zip(images, resample(images, Poses.identity(2)), strict=True):
        spectrum, _ = disc_spectrum(image)
        expected = np.fft.ifft2(np.fft.ifftshift(spectrum)).real * box**2
        assert relative(aligned, expected) < 5e-4


def test_fourier_keeps_the_power_of_every_ring():
    box, n = 64, 200
    rng = np.random.default_rng(3)
    aligned = resample(noise(3, n, box), random_poses(rng, n))
    power = (np.abs(np.fft.fft2(aligned)) ** 2).mean(axis=0) / box**2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(box), np.fft.fftfreq(box)))
    for low in np.arange(0.25, 0.44, 0.02):
        assert 0.95 < power[(f >= low) & (f < low + 0.02)].mean() < 1.05
    assert power[f > 0.56].mean() < 0.1


def test_background_keeps_its_mean_and_the_share_of_the_disc():
    rng = np.random.default_rng(4)
    images = noise(4, 60, 64) + np.float32(0.7)
    aligned = resample(images, random_poses(rng, 60))
    y, x = np.mgrid[:64, :64] - 32
    background = aligned[:, np.hypot(x, y) > 0.4 * 64]
    assert abs(background.mean() - images.mean()) < 0.05
    assert 0.85 < background.std() < 1.05
    assert background.std() == pytest.approx(np.sqrt(np.pi / 4), abs=0.02)


@pytest.mark.parametrize("box", [32, 33])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_blob_goes_where_the_pose_carries_it(box, interpolation):
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:box, :box] - box // 2
    for pose in [random_poses(rng, 1, 2.0) for _ in range(8)]:
        qx, qy = rng.uniform(-5, 5, 2)
        image = np.exp(-((x - qx) ** 2 + (y - qy) ** 2) / (2 * 2.0**2)).astype(np.float32)
        aligned = resample(image[None], pose, interpolation=interpolation)[0].astype(np.float64)
        tx, ty = pose.apply_to_points(qx, qy)
        found = (aligned * x).sum() / aligned.sum(), (aligned * y).sum() / aligned.sum()
        assert np.hypot(found[0] - tx[0], found[1] - ty[0]) < (0.1 if interpolation == "nearest" else 0.02)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("box", [16, 17])
def test_whole_pixel_poses_move_pixels(box, interpolation):
    image = noise(7, 1, box)
    c = box // 2
    if interpolation == "fourier":
        image = resample(image, Poses.identity(1))  # nothing outside the disc from here on

    def mirrored(a):
        return np.roll(a[:, ::-1], (2 * c + 1) % box, axis=1)

    turned = np.empty((box, box))  # psi = 90 carries +x to +y: output (x, y) is looked up at (y, -x), with the period
    for y in range(box):
        for x in range(box):
            turned[y, x] = image[0, (c - (x - c)) % box, y]
    cases = [
        (Poses(0, 3, -2), np.roll(image[0], (-2, 3), axis=(0, 1))),
        (Poses(90, 0, 0), turned),
        (Poses(0, 0, 0, True), mirrored(image[0])),
        (Poses(0, 4, 1, True), np.roll(mirrored(image[0]), (1, 4), axis=(0, 1))),
    ]
    for pose, expected in cases:
        aligned = resample(image, pose, interpolation=interpolation)[0]
        np.testing.assert_allclose(aligned, expected, atol=4e-3 if interpolation == "fourier" else 1e-5)


@pytest.mark.parametrize("interpolation", ["fourier", "quintic"])
def test_two_resamplings_are_the_composed_one(interpolation):
    box = 64  # large enough that the blobs never reach an edge
    y, x = np.mgrid[:box, :box] - box // 2
    image = sum(
        a * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.5**2)) for a, u, v in [(1, 3, 2), (2, -4, 1), (-1, 0, -5)]
    )[None].astype(np.float32)
    rng = np.random.default_rng(8)
    for _ in range(5):
        first, second = random_poses(rng, 1, 3.0), random_poses(rng, 1, 3.0)
        twice = resample(resample(image, first, interpolation=interpolation), second, interpolation=interpolation)
        assert relative(twice, resample(image, first.then(second), interpolation=interpolation)) < 2e-3


@pytest.mark.parametrize("interpolation, order", [("nearest", 0), ("linear", 1), ("cubic", 3), ("quintic", 5)])
@pytest.mark.parametrize("edge, mode", [("wrap", "grid-wrap"), ("mirror", "mirror")])
@pytest.mark.parametrize("box", [20, 21])
def test_splines_agree_with_scipy(interpolation, order, edge, mode, box):
    rng = np.random.default_rng(order)
    images, poses = noise(9, 3, box), random_poses(rng, 3)
    aligned = resample(images, poses, interpolation=interpolation, edge=edge)
    for i in range(3):
        x, y = sampled_points(poses.take([i]), box)
        at = [y + box // 2, x + box // 2]
        expected = ndimage.map_coordinates(images[i].astype(np.float64), at, order=order, mode=mode)
        np.testing.assert_allclose(aligned[i], expected, atol=1e-5)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_edges(interpolation):
    box = 24
    rng = np.random.default_rng(10)
    images = noise(10, 3, box) + np.float32(5)
    poses = random_poses(rng, 3, 8.0)
    results = {edge: resample(images, poses, interpolation=interpolation, edge=edge) for edge in EDGES}
    for i in range(3):
        x, y = (q + box // 2 for q in sampled_points(poses.take([i]), box))
        outside = (np.minimum(x, y) < -0.01) | (np.maximum(x, y) > box - 1 + 0.01)
        inside = (np.minimum(x, y) > 0.01) & (np.maximum(x, y) < box - 1 - 0.01)
        assert outside.sum() > 50
        np.testing.assert_array_equal(results["zero"][i][outside], 0)
        np.testing.assert_allclose(results["mean"][i][outside], images[i].mean(dtype=np.float64), rtol=1e-6)
        # Inside the outermost pixel centres the three that do not wrap are the same image.
        for edge in ("zero", "mean"):
            np.testing.assert_allclose(results[edge][i][inside], results["mirror"][i][inside], atol=1e-4)
        assert np.abs(results["mirror"][i] - results["wrap"][i])[outside].max() > 0.5
        # A reflected point shows what is at the point it is the reflection of.
        folded = [np.abs(np.mod(q + box - 1, 2 * box - 2) - (box - 1)) for q in (y, x)]
        if interpolation == "linear":
            expected = ndimage.map_coordinates(images[i].astype(np.float64), folded, order=1)
            np.testing.assert_allclose(results["mirror"][i], expected, atol=1e-4)


def test_fourier_mirror_edge_evaluates_at_the_reflected_point():
    box = 16
    images = noise(11, 1, box)
    pose = Poses(0, -5.3, 0)
    aligned = resample(images, pose, edge="mirror")[0]
    spectrum, f = disc_spectrum(images[0])
    at = np.arange(box) + 5.3
    at = np.where(at > box - 1, 2 * (box - 1) - at, at)
    rows = np.exp(2j * np.pi * f * np.arange(box)[:, None])
    columns = np.exp(2j * np.pi * f * at[:, None])
    assert relative(aligned, (rows @ spectrum @ columns.T).real) < 1e-3


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("box", [32, 33])
def test_same_bytes_for_any_batch_order_and_threads(interpolation, box):
    rng = np.random.default_rng(12)
    n = 45
    images, poses = noise(12, n, box), random_poses(rng, n)
    together = resample(images, poses, interpolation=interpolation)
    assert together.dtype == np.float32
    blocks = np.array_split(np.arange(n), 9)
    with ThreadPoolExecutor(3) as pool:
        parts = pool.map(lambda r: resample(images[r], poses.take(r), interpolation=interpolation), blocks)
        np.testing.assert_array_equal(together.view(np.uint32), np.concatenate(list(parts)).view(np.uint32))
    order = rng.permutation(n)
    shuffled = resample(images[order], poses.take(order), interpolation=interpolation)
    np.testing.assert_array_equal(together[order].view(np.uint32), shuffled.view(np.uint32))
    for i in (0, 17, 44):
        alone = resample(images[i : i + 1], poses.take([i]), interpolation=interpolation)
        np.testing.assert_array_equal(together[i].view(np.uint32), alone[0].view(np.uint32))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_bad_image_spoils_no_other(interpolation):
    images, poses = noise(13, 3, 20), Poses([10, 20, 30], [1, 2, 3], [0, 0, 0])
    good = resample(images, poses, interpolation=interpolation)
    images[1, 4, 4] = np.nan
    bad = resample(images, poses, interpolation=interpolation)
    np.testing.assert_array_equal(good[[0, 2]], bad[[0, 2]])
    assert np.isnan(bad[1]).any()


def test_the_raw_images_are_left_alone_and_may_be_strided():
    rng = np.random.default_rng(14)
    images = noise(14, 6, 32)
    copy = images.copy()
    poses = random_poses(rng, 3)
    aligned = resample(images[::2], poses)
    np.testing.assert_array_equal(images, copy)
    np.testing.assert_array_equal(aligned, resample(images[::2].copy(), poses))


@pytest.mark.parametrize("interpolation", ["fourier", "linear"])
@pytest.mark.parametrize("edge", EDGES)
def test_shifts_far_outside_the_box(interpolation, edge):
    box = 32
    images = noise(15, 1, box)
    far = resample(images, Poses(30, 64 * box + 1.25, -32 * box), interpolation=interpolation, edge=edge)
    assert np.isfinite(far).all()
    if edge == "wrap":
        near = resample(images, Poses(30, 1.25, 0), interpolation=interpolation)
        np.testing.assert_allclose(far, near, atol=1e-3)
    if edge == "zero":
        assert not far.any()


def test_sampling_matrices_invert_the_poses():
    rng = np.random.default_rng(16)
    poses = random_poses(rng, 10)
    x, y = poses.inverse().apply_to_points(3.5, -2.0)
    m = sampling_matrices(poses)
    np.testing.assert_allclose(m[:, 0] * 3.5 + m[:, 1] * -2.0 + m[:, 2], x, atol=1e-12)
    np.testing.assert_allclose(m[:, 3] * 3.5 + m[:, 4] * -2.0 + m[:, 5], y, atol=1e-12)


def test_no_images_give_no_images():
    assert resample(np.empty((0, 16, 16), np.float32), Poses.identity(0)).shape == (0, 16, 16)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": np.zeros((2, 8, 9), np.float32)}, "shape"),
        ({"images": np.zeros((3, 8, 8), np.float32)}, "3 images but 2 poses"),
        ({"poses": Poses([0, np.nan], [0, 0], [0, 0])}, "pose 1 is not finite"),
        ({"interpolation": "sinc"}, "sinc"),
        ({"edge": "clamp"}, "clamp"),
    ],
)
def test_what_cannot_be_done_is_refused(change, message):
    arguments = {"images": np.zeros((2, 8, 8), np.float32), "poses": Poses.identity(2)} | change
    with pytest.raises(ValueError, match=message):
        resample(arguments.pop("images"), arguments.pop("poses"), **arguments)


def lopsided_gain(kx, ky):
    """Make a gain of no symmetry but that about the origin."""
    return np.cos(40 * kx * ky + 9 * kx**2) + 0.3


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("box", [32, 33])
def test_gains_multiply_the_spectrum_on_the_way(box, edge):
    rng = np.random.default_rng(box)
    images, poses = noise(box, 5, box) + 3, random_poses(rng, 5)
    strength = np.arange(1, 6, dtype=np.float32)[:, None, None]
    gains = strength * lopsided_gain(*gain_frequencies(box)).astype(np.float32)
    kx, ky = np.meshgrid(np.fft.fftfreq(box), np.fft.fftfreq(box))
    multiplied = np.fft.ifft2(np.fft.fft2(images) * lopsided_gain(kx, ky)).real * strength
    expected = resample(multiplied.astype(np.float32), poses, edge=edge)
    found = resample(images, poses, edge=edge, gains=gains)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    for rows in ([3], [4, 0], [1, 2, 3]):
        assert resample(images[rows], poses.take(rows), edge=edge, gains=gains[rows]).tobytes() == found[rows].tobytes()


def test_gains_that_do_not_fit_are_refused():
    images, poses = noise(1, 2, 16), Poses.identity(2)
    with pytest.raises(ValueError, match="fourier interpolation only"):
        resample(images, poses, interpolation="linear", gains=np.ones((2, 16, 8), np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        resample(images, poses, gains=np.ones((2, 16, 9), np.float32))


@pytest.mark.parametrize("interpolation", ["fourier", "linear"])
def test_an_image_with_several_poses_is_resampled_to_the_same_bits(interpolation):
    rng = np.random.default_rng(3)
    images = rng.standard_normal((5, 20, 20)).astype(np.float32)
    image_of = np.array([0, 0, 0, 3, 3, 1, 4, 0] * 5)
    poses = Poses(rng.uniform(-180, 180, 40), *rng.normal(0, 2, (2, 40)), rng.random(40) < 0.5)
    wanted = resample(images[image_of], poses, interpolation=interpolation)
    found = resample(images, poses, interpolation=interpolation, image_of=image_of)
    np.testing.assert_array_equal(found, wanted)
    if interpolation == "fourier":
        gains = rng.uniform(0.5, 1, (5, 20, 10)).astype(np.float32)
        wanted = resample(images[image_of], poses, gains=gains[image_of])
        found = resample(images, poses, gains=gains, image_of=image_of)
        np.testing.assert_array_equal(found, wanted)


def test_poses_must_be_of_images_that_are_there():
    images = np.zeros((2, 16, 16), np.float32)
    with pytest.raises(ValueError, match="among 2"):
        resample(images, Poses.identity(3), image_of=np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="2 images for 3 poses"):
        resample(images, Poses.identity(3), image_of=np.array([0, 1]))
