"""Images are corrected as the formula of Gaussian blobs says, at even and odd boxes."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.magnification import correct_magnification, corrected_poses, stored_poses
from cryoalign.core.poses import Poses
from helpers.blobs import Blobs, random_blobs
from helpers.distorted import ctf, frequencies, stored_images, stretched

SKEWED = np.array([[1.03, 0.05], [-0.02, 0.96]])


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("box", [64, 65])
@pytest.mark.parametrize("matrix", [stretched(3, 30), SKEWED], ids=["3 %", "skewed"])
def test_blobs_come_back_as_they_were(box, matrix):
    rng = np.random.default_rng(box)
    blobs = random_blobs(rng, 16)
    psi = rng.uniform(-180, 180, 4)
    stored = stored_images(blobs, box, matrix, psi, np.zeros((4, 2))).astype(np.float32)
    wanted = np.stack([blobs.image(box, psi=a) for a in psi])
    found = correct_magnification(stored, matrix)
    assert found.dtype == np.float32
    assert relative(found, wanted) < 5e-4
    assert relative(stored, wanted) > 0.02
    for wrong in (np.linalg.inv(matrix), np.linalg.inv(matrix).T):
        assert relative(correct_magnification(stored, wrong), wanted) > 0.05


@pytest.mark.parametrize("mirror", [False, True])
def test_the_shift_of_a_stored_image_is_that_of_the_corrected_one(mirror):
    blobs = Blobs(np.array([0.0, 6]), np.array([0.0, 3]), np.array([2.0, 1.5]), np.array([1.0, 0.7]))
    d, psi = np.array([[5.0, -3.5]]), np.array([25.0])
    stored = stored_images(blobs, 64, SKEWED, psi, d, mirror=mirror).astype(np.float32)
    poses = corrected_poses(Poses(psi, d[:, 0], d[:, 1], [mirror]), SKEWED[None])
    wanted = blobs.images(64, psi, poses.dx, poses.dy, mirror)
    assert relative(correct_magnification(stored, SKEWED), wanted) < 1e-3
    assert relative(correct_magnification(stored, SKEWED), blobs.images(64, psi, *d.T, mirror)) > 0.05
    back = stored_poses(poses, SKEWED[None])
    np.testing.assert_allclose([back.psi, back.dx, back.dy], [psi, *d.T], atol=1e-12)


def test_the_ctf_of_a_corrected_image_is_that_of_its_parameters():
    """Fourier transforms of corrected images over those of the blobs are the CTF, where the blobs have power."""
    box, matrix = 128, stretched(3, 70)
    blobs, defocus = random_blobs(np.random.default_rng(2), 12, width=(1.0, 1.6)), (12000.0, 11000.0, 40.0)
    kx, ky = frequencies(box)
    plain = np.abs(blobs.transform(box, kx, ky))
    wanted = plain * ctf(kx / (4 * box), ky / (4 * box), *defocus)
    stored = stored_images(blobs, box, matrix, [0.0], [(0, 0)], defocus=[defocus]).astype(np.float32)
    spectrum = np.fft.fft2(np.fft.ifftshift(correct_magnification(stored, matrix)[0]))
    phase = np.exp(-1j * np.angle(blobs.transform(box, kx, ky)))
    strong = (plain > 0.05 * plain.max()) & (np.hypot(kx, ky) < 0.48 * box)
    sign = np.abs(wanted) > 0.2 * plain
    assert (strong & sign).sum() > 1000
    assert relative((spectrum * phase)[strong], wanted[strong]) < 0.02
    assert (np.sign((spectrum * phase).real) == np.sign(wanted))[strong & sign].all()


def test_noise_keeps_its_power_at_every_ring_and_nothing_is_folded_back():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((60, 64, 64)).astype(np.float32)
    found = correct_magnification(noise, stretched(3, 20))
    kx, ky = frequencies(64)
    before, power = ((np.abs(np.fft.fft2(images)) ** 2).mean(axis=0) / 64**2 for images in (noise, found))
    ring = np.rint(np.hypot(kx, ky)).astype(int)
    gain = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel(), before.ravel())
    np.testing.assert_allclose(gain[1:31], 1, atol=0.05)
    assert power[np.hypot(kx, ky) > 34].max() < 0.1


def test_a_wave_beyond_the_new_nyquist_frequency_is_taken_away():
    x = np.arange(64) - 32
    wave = np.tile(np.cos(2 * np.pi * 31 / 64 * x), (64, 1)).astype(np.float32)[None]
    assert np.abs(correct_magnification(wave, np.diag([1.05, 1.0]))).max() < 1e-3
    assert np.abs(correct_magnification(wave, np.diag([1.02, 1.0]))).max() > 0.9


def test_what_lies_beyond_an_edge_comes_from_the_opposite_one():
    image = np.zeros((1, 64, 64), np.float32)
    image[0, :, :2] = 1
    found = correct_magnification(image, np.diag([1.05, 1.0]))[0]
    assert found[:, -1].mean() > 0.5 and image[0, :, -1].mean() == 0


def test_an_image_does_not_depend_on_the_others():
    images = np.random.default_rng(4).standard_normal((9, 33, 33)).astype(np.float32)
    together = correct_magnification(images, SKEWED)
    for i in range(9):
        assert together[i].tobytes() == correct_magnification(images[i : i + 1], SKEWED)[0].tobytes()
