import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoalign.core.ctf import CtfParameters, ctf_images, ctf_values, wavelength_angstrom
from cryoalign.core.errors import InputError

DEFOCUS = st.floats(-5000.0, 40000.0)
ANGLE = st.floats(-360.0, 360.0)


def textbook(kx, ky, kv, cs, q, u, v, angle, shift=0.0, b=0.0, scale=1.0):
    """The formula, point by point, in plain numbers."""
    volts = kv * 1e3
    # Planck, electron mass, charge, light: de Broglie's wavelength with the relativistic correction.
    h, m, e, c = 6.62607015e-34, 9.1093837e-31, 1.602176634e-19, 2.99792458e8
    wave = 1e10 * h / np.sqrt(2 * m * e * volts * (1 + e * volts / (2 * m * c * c)))
    k, theta = np.hypot(kx, ky), np.arctan2(ky, kx)
    z = (u + v) / 2 + (u - v) / 2 * np.cos(2 * (theta - np.deg2rad(angle)))
    chi = np.pi * wave * z * k**2 - np.pi / 2 * cs * 1e7 * wave**3 * k**4 + np.deg2rad(shift) + np.arcsin(q)
    return scale * np.exp(-b * k**2 / 4) * np.sin(chi)


@pytest.mark.parametrize(("kv", "expected"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_wavelength_of_common_voltages(kv, expected):
    assert wavelength_angstrom(kv) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(DEFOCUS, DEFOCUS, ANGLE, st.floats(0, 180), st.floats(0, 200), st.floats(0.5, 2), st.floats(0, 1))
def test_agrees_with_the_textbook(u, v, angle, shift, b, scale, q):
    rng = np.random.default_rng(1)
    kx, ky = rng.uniform(-0.15, 0.15, (2, 50))
    values = ctf_values(CtfParameters(300, 2.7, q, u, v, angle, shift, b, scale), kx, ky)
    np.testing.assert_allclose(values[0], textbook(kx, ky, 300, 2.7, q, u, v, angle, shift, b, scale), atol=1e-3)


def test_low_frequencies_are_positive_and_start_at_the_amplitude_contrast():
    params = CtfParameters(300, 2.7, [0.07, 0.1], 15000, 15000, 0)
    values = ctf_values(params, np.linspace(0, 0.01, 20), np.zeros(20))
    np.testing.assert_allclose(values[:, 0], [0.07, 0.1], atol=1e-9)
    assert (np.diff(values) > 0).all()


def test_defocus_u_is_along_the_defocus_angle():
    params = CtfParameters(300, 0, 0, 20000, 10000, 30)
    along = CtfParameters(300, 0, 0, 20000, 20000, 0)
    across = CtfParameters(300, 0, 0, 10000, 10000, 0)
    k = np.linspace(0.01, 0.1, 30)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    np.testing.assert_allclose(ctf_values(params, k * c, k * s), ctf_values(along, k, 0 * k), atol=1e-9)
    np.testing.assert_allclose(ctf_values(params, -k * s, k * c), ctf_values(across, k, 0 * k), atol=1e-9)


def test_intact_first_peak_is_one_until_the_phase_reaches_a_quarter_turn():
    params = CtfParameters(300, 2.7, 0.1, 15000, 15000, 0, 0, 50, 1.3)
    k = np.linspace(0, 0.15, 400)
    plain = ctf_values(params, k, 0 * k)[0]
    intact = ctf_values(params, k, 0 * k, intact_first_peak=True)[0]
    envelope = 1.3 * np.exp(-50 * k**2 / 4)
    peak = int(np.argmax(plain / envelope))
    np.testing.assert_allclose(intact[:peak], envelope[:peak], rtol=1e-12)
    np.testing.assert_array_equal(intact[peak + 1 :], plain[peak + 1 :])
    assert plain[peak + 1 :].min() < -0.5


@pytest.mark.parametrize("box", [32, 33])
def test_images_are_the_values_on_the_half_plane(box):
    params = CtfParameters(200, 2.0, 0.1, [9000, 12000], [8000, 15000], [10, 70], bfactor_angstrom2=[0, 80])
    images = ctf_images(params, box, 2.5)
    assert images.shape == (2, box, box // 2 + 1)
    assert images.dtype == np.float32
    ky, kx = np.meshgrid(np.fft.fftfreq(box, 2.5), np.fft.rfftfreq(box, 2.5), indexing="ij")
    for i in range(2):
        flat = ctf_values(params.take([i]), kx.ravel(), ky.ravel())
        np.testing.assert_allclose(images[i].ravel(), flat[0], atol=1e-6)


def test_frequencies_of_each_image():
    params = CtfParameters(300, 2.7, 0.1, [9000, 12000, 20000], 9500, 20, bfactor_angstrom2=[0, 40, 0])
    kx, ky = np.random.default_rng(3).uniform(-0.1, 0.1, (2, 3, 7))
    together = ctf_values(params, kx, ky)
    for i in range(3):
        np.testing.assert_array_equal(together[i], ctf_values(params.take([i]), kx[i], ky[i])[0])


def test_flags_are_kept_by_take():
    params = CtfParameters(300, 2.7, 0.1, [1e4, 2e4], 1e4, 0, phase_flipped=[True, False], premultiplied=[False, True])
    assert params.take([1]).premultiplied.tolist() == [True]
    assert params.take([1, 0]).phase_flipped.tolist() == [False, True]
    assert len(params) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"voltage_kv": [300, 0]}, "row 2: voltage_kv is not from 10 to 5000 kV"),
        ({"amplitude_contrast": [1.5, 0.1]}, "row 1: amplitude_contrast is not from 0 to 1"),
        ({"defocus_u_angstrom": [1e4, np.nan]}, "row 2: defocus_u_angstrom is not a finite number"),
    ],
)
def test_impossible_parameters_are_named_with_their_row(change, words):
    good = {
        "voltage_kv": 300, "spherical_aberration_mm": 2.7, "amplitude_contrast": 0.1,
        "defocus_u_angstrom": [1e4, 1e4], "defocus_v_angstrom": 1e4, "defocus_angle_deg": 0,
    }  # fmt: skip
    with pytest.raises(InputError, match=words):
        CtfParameters(**(good | change))


def test_frequencies_of_the_wrong_shape_are_refused():
    params = CtfParameters(300, 2.7, 0.1, [1e4, 1e4], 1e4, 0)
    with pytest.raises(ValueError, match="shape"):
        ctf_values(params, np.zeros((3, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="shape"):
        ctf_values(params, np.zeros(4), np.zeros(5))
