"""Weighing: the CTF of the kernel is the CTF, shifts have the right sign, the norm is the weighted power."""

import numpy as np
import pytest

from cryoalign.core.ctf import CtfParameters, ctf_values
from cryoalign.core.search.polar import PolarTransform, plan_rings
from cryoalign.core.search.weigh import PointTables, ctf_coefficients, weigh_images
from helpers.blobs import random_blobs

BOX, PIXEL = 96, 1.7
LAYOUT = plan_rings(BOX, 40)
TABLES = PointTables.of(LAYOUT)


def random_ctf(n=6, **changes):
    rng = np.random.default_rng(41)
    values = {
        "voltage_kv": rng.choice([120.0, 200.0, 300.0], n),
        "spherical_aberration_mm": rng.uniform(0.01, 2.7, n),
        "amplitude_contrast": rng.uniform(0.05, 0.2, n),
        "defocus_u_angstrom": rng.uniform(8000, 26000, n),
        "defocus_v_angstrom": rng.uniform(6000, 22000, n),
        "defocus_angle_deg": rng.uniform(-180, 180, n),
    }
    return CtfParameters(**(values | changes))


def weigh(polar, ctf=None, *, inverse=None, shift=None, intact=False):
    """Return D, norm and ring power without touching the input."""
    n = len(polar)
    weighed = polar.copy()
    norm, power = weigh_images(
        weighed,
        TABLES,
        coefficients=None if ctf is None else ctf_coefficients(ctf, BOX, PIXEL),
        inverse_noise=np.ones((n, LAYOUT.n_rings), np.float32) if inverse is None else inverse,
        shift=np.zeros((n, 2), np.float32) if shift is None else shift.astype(np.float32),
        box=BOX,
        intact_first_peak=intact,
    )
    return weighed[:, 0] + 1j * weighed[:, 1], norm, power


def gains(ctf, intact=False):
    """Return the gain that the kernel gives to transforms of one, and the ring power."""
    ones = np.zeros((len(ctf), 2, LAYOUT.n_points), np.float32)
    ones[:, 0] = 1.0
    weighed, _, power = weigh(ones, ctf, intact=intact)
    np.testing.assert_array_equal(weighed.imag, 0.0)
    return weighed.real, power


def expected_gains(ctf, intact=False):
    kx, ky = (v / (BOX * PIXEL) for v in LAYOUT.points())
    return ctf_values(ctf, kx, ky, intact_first_peak=intact)


CASES = {
    "astigmatic": {},
    "damped": {"bfactor_angstrom2": 60.0},
    "scaled": {"scale": 0.7, "bfactor_angstrom2": 25.0},
    "phase plate": {"phase_shift_deg": np.array([0, 30, 90, 120, -45, 60.0])},
    "pure amplitude": {"amplitude_contrast": np.array([0.0, 1.0, 0.5, 0.9, 0.3, 0.0])},
    "overfocus": {"defocus_u_angstrom": -9000.0, "defocus_v_angstrom": 500.0},
}


@pytest.mark.parametrize("intact", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_ctf_of_the_kernel_is_the_ctf(case, intact):
    ctf = random_ctf(**CASES[case])
    found, power = gains(ctf, intact)
    expected = expected_gains(ctf, intact)
    if intact:
        # Rounding decides on which side of the peak a point lies, where the sine is 1 anyway.
        assert np.count_nonzero(expected_gains(ctf) != expected) > 20
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(power, LAYOUT.ring_mean(expected**2), atol=1e-4)


def test_phase_flipped_data_get_the_absolute_ctf_and_premultiplied_data_none():
    flags = {"phase_flipped": [True, False, True, False, False, False], "premultiplied": [False, True] + [False] * 4}
    ctf = random_ctf(bfactor_angstrom2=20.0, **flags)
    found, power = gains(ctf)
    plain = expected_gains(ctf)
    expected = plain.copy()
    expected[[0, 2]] = np.abs(plain[[0, 2]])
    expected[1] = 1.0
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # The data still hold C times the particle, or C^2 times it: its power is C^2 in the score's norm.
    np.testing.assert_allclose(power, LAYOUT.ring_mean(plain**2), atol=1e-4)
    assert (found[2] >= 0).all() and (found[3] < -0.3).any()


def test_without_ctf_only_the_noise_weighs():
    rng = np.random.default_rng(42)
    polar = rng.standard_normal((3, 2, LAYOUT.n_points)).astype(np.float32)
    inverse = rng.uniform(0.1, 4.0, (3, LAYOUT.n_rings)).astype(np.float32)
    weighed, _, power = weigh(polar, inverse=inverse)
    expected = (polar[:, 0] + 1j * polar[:, 1]) * np.repeat(inverse, LAYOUT.ring_samples, axis=1)
    np.testing.assert_allclose(weighed, expected, rtol=1e-6)
    np.testing.assert_array_equal(power, 1.0)


def test_norm_is_the_whitened_power_of_the_data():
    rng = np.random.default_rng(43)
    polar = rng.standard_normal((6, 2, LAYOUT.n_points)).astype(np.float32)
    inverse = rng.uniform(0.1, 4.0, (6, LAYOUT.n_rings)).astype(np.float32)
    weight = np.repeat(LAYOUT.ring_weight * inverse, LAYOUT.ring_samples, axis=1)
    expected = (weight * (polar.astype(np.float64) ** 2).sum(axis=1)).sum(axis=1)
    for ctf in (None, random_ctf()):
        _, norm, _ = weigh(polar, ctf, inverse=inverse, shift=np.full((6, 2), 1.5))
        np.testing.assert_allclose(norm, expected, rtol=1e-5)


def test_a_known_displacement_is_undone():
    blobs = random_blobs(np.random.default_rng(44), 20.0)
    shift = np.array([[3.3, -2.1], [-4.0, 0.0], [0.0, 0.0]])
    # A pose's origin d draws the particle displaced by -d.
    moved = blobs.images(BOX, dx=-shift[:, 0], dy=-shift[:, 1])
    polar = PolarTransform(LAYOUT)(moved.astype(np.float32))
    weighed, _, _ = weigh(polar, shift=shift)
    expected = blobs.transform(BOX, *LAYOUT.points())
    scale = np.sqrt((np.abs(expected) ** 2).mean())
    for row in weighed:
        assert np.sqrt((np.abs(row - expected) ** 2).mean()) < 3e-3 * scale
    wrong, _, _ = weigh(polar[:1], shift=-shift[:1])
    assert np.sqrt((np.abs(wrong[0] - expected) ** 2).mean()) > 0.5 * scale


def test_an_image_is_weighed_the_same_among_any_neighbours():
    rng = np.random.default_rng(45)
    polar = rng.standard_normal((6, 2, LAYOUT.n_points)).astype(np.float32)
    inverse = rng.uniform(0.1, 4.0, (6, LAYOUT.n_rings)).astype(np.float32)
    shift, ctf = rng.uniform(-5, 5, (6, 2)), random_ctf()
    whole = weigh(polar, ctf, inverse=inverse, shift=shift)
    for i in range(6):
        part = slice(i, i + 1)
        alone = weigh(polar[part], ctf.take([i]), inverse=inverse[part], shift=shift[part])
        for one, all_of_them in zip(alone, whole, strict=True):
            assert one[0].tobytes() == all_of_them[i].tobytes()
