"""Images multiplied by their CTF, and C^2."""

import numpy as np
import pytest

from cryoalign.averaging.ctf_sums import POWER_SCALE, aligned_ctf, multiply_by_ctf
from cryoalign.core.ctf import CtfParameters, ctf_images, ctf_values
from cryoalign.core.poses import Poses, rotate_points
from helpers.blobs import random_blobs

BOX, PIXEL, N = 48, 3.0, 60


def some_ctf(n=N, **changes):
    rng = np.random.default_rng(95)
    defocus = rng.uniform(9000, 24000, n)
    values = {
        "voltage_kv": 300.0,
        "spherical_aberration_mm": 2.7,
        "amplitude_contrast": 0.1,
        "defocus_u_angstrom": defocus + 600,
        "defocus_v_angstrom": defocus - 600,
        "defocus_angle_deg": rng.uniform(0, 180, n),
    }
    return CtfParameters(**(values | changes))


def filtered(images, values):
    return np.fft.irfft2(np.fft.rfft2(images) * values, s=images.shape[-2:])


def clean_image(box=BOX):
    return random_blobs(np.random.default_rng(96), 0.3 * box, 14, (1.2, 2.0)).image(box)


def correlation(one, two):
    return np.corrcoef(one.ravel(), two.ravel())[0, 1]


def without_first_rings(image, rings=1.5):
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(len(image), 1 / len(image))] * 2))
    return np.fft.ifft2(np.fft.fft2(image) * (k > rings)).real


@pytest.mark.parametrize("box", [BOX, BOX + 1])
def test_the_ctf_turns_and_mirrors_with_the_pixels(box):
    rng = np.random.default_rng(97)
    ctf = some_ctf(6, premultiplied=[True, False] * 3)
    poses = Poses(rng.uniform(-180, 180, 6), *rng.normal(0, 3, (2, 6)), np.arange(6) % 2 == 0)
    found = aligned_ctf(ctf, poses, box, PIXEL)
    ky, kx = np.meshgrid(np.fft.fftfreq(box, PIXEL), np.fft.rfftfreq(box, PIXEL), indexing="ij")
    for i in range(6):
        # A pose flips x first: the frequency k of the aligned frame was F R(-psi) k in the image.
        x, y = rotate_points(-poses.psi[i], kx.ravel(), ky.ravel())
        before = ctf_values(ctf.take([i]), -x if poses.mirror[i] else x, y)
        np.testing.assert_allclose(found[i].ravel(), before[0], atol=1e-5)


def test_one_denominator_for_a_ring_costs_accuracy_on_the_first_rings():
    # There C^2 doubles from the inner to the outer pixels of a ring, which one number cannot follow.
    clean, ctf = clean_image(), some_ctf()
    copies = filtered(clean[None], ctf_images(ctf, BOX, PIXEL).astype(np.float64))
    weighted, power = multiply_by_ctf(copies.astype(np.float32), ctf, PIXEL)
    total, floor = weighted.sum(axis=0, dtype=np.float64), 0.01
    f = np.fft.fftfreq(BOX, 1 / BOX)
    ring = np.minimum(np.rint(np.hypot(f[:, None], np.abs(f)[None, : BOX // 2 + 1])).astype(int), BOX // 2)
    by_ring = filtered(total, 1 / ((power.sum(axis=0) / POWER_SCALE)[ring] + floor))
    by_pixel = filtered(total, 1 / ((ctf_images(ctf, BOX, PIXEL).astype(np.float64) ** 2).sum(axis=0) + floor))
    assert correlation(by_pixel, clean) > 0.999
    assert 0.975 < correlation(by_ring, clean) < correlation(by_pixel, clean) - 0.005
    by_ring, clean = without_first_rings(by_ring), without_first_rings(clean)
    assert correlation(by_ring, clean) > 0.99
    assert (by_ring * clean).sum() / (clean**2).sum() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("box", [48, 49])
def test_images_are_multiplied_by_their_ctf(box):
    ctf = some_ctf(3)
    images = np.random.default_rng(98).standard_normal((3, box, box)).astype(np.float32)
    weighted, power = multiply_by_ctf(images, ctf, PIXEL)
    assert weighted.dtype == np.float32
    assert power.dtype == np.int64
    np.testing.assert_allclose(weighted, filtered(images, ctf_images(ctf, box, PIXEL)), atol=1e-4)
    f = np.fft.fftfreq(box, PIXEL)
    kx, ky = (v.ravel() for v in np.meshgrid(f, f))
    ring = np.rint(np.hypot(kx, ky) * box * PIXEL)
    squares = ctf_values(ctf, kx, ky) ** 2
    for k in (0, 1, 9, 15, 23):
        np.testing.assert_allclose(power[:, k] / POWER_SCALE, squares[:, ring == k].mean(axis=1), atol=1e-3)


def test_flags_of_the_data_are_obeyed():
    ctf = some_ctf(3, phase_flipped=[False, True, False], premultiplied=[False, False, True])
    box = 49  # on the highest frequency of an even box an astigmatic CTF is not real in the image
    values = ctf_images(ctf, box, PIXEL)
    raw = np.random.default_rng(99).standard_normal((3, box, box)).astype(np.float32)
    data = raw.copy()
    data[1] = filtered(raw[1:2], np.sign(values[1:2]))[0]
    data[2] = filtered(raw[2:3], values[2:3])[0]
    weighted, power = multiply_by_ctf(data, ctf, PIXEL)
    expected, expected_power = multiply_by_ctf(raw, some_ctf(3), PIXEL)
    np.testing.assert_allclose(weighted, expected, atol=1e-4)
    np.testing.assert_array_equal(power, expected_power)


def test_without_ctf_images_stay_as_they_are():
    images = np.random.default_rng(100).standard_normal((5, BOX, BOX)).astype(np.float32)
    weighted, power = multiply_by_ctf(images, None, PIXEL)
    np.testing.assert_array_equal(weighted, images)
    assert (power == POWER_SCALE).all()


@pytest.mark.parametrize("box", [48, 49])
def test_an_image_has_the_same_bytes_in_every_batch(box):
    ctf = some_ctf(9)
    images = np.random.default_rng(101).standard_normal((9, box, box)).astype(np.float32)
    weighted, power = multiply_by_ctf(images, ctf, PIXEL)
    for rows in ([4], [0, 1], [8, 4, 2], list(range(5))):
        some, some_power = multiply_by_ctf(images[rows], ctf.take(rows), PIXEL)
        assert some.tobytes() == weighted[rows].tobytes()
        assert some_power.tobytes() == power[rows].tobytes()
