"""Amplitudes by least squares with the right errors, and shrinkage that does what its variance says."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.averaging.intensity import LARGEST, SMALLEST, amplitudes, shrunk_intensities

BOX = 32


def spectra(images):
    return np.fft.rfft2(images)


def test_the_amplitude_of_a_multiple_is_the_factor():
    model = spectra(np.random.default_rng(0).standard_normal((3, BOX, BOX)))
    product, energy = amplitudes(np.array([0.5, 1.0, 2.5])[:, None, None] * model, model, BOX)
    np.testing.assert_allclose(product / energy, [0.5, 1.0, 2.5])


@pytest.mark.parametrize("box", [32, 33])
def test_the_error_is_that_of_white_noise(box):
    rng = np.random.default_rng(1)
    model = spectra(0.05 * rng.standard_normal((1, box, box)))
    images = np.fft.irfft2(model, s=(box, box)) + rng.standard_normal((2000, box, box))
    product, energy = amplitudes(spectra(images), np.repeat(model, 2000, axis=0), box)
    a = product / energy
    assert abs(a.mean() - 1) < 0.1
    assert a.std() == pytest.approx(1 / np.sqrt(energy[0]), rel=0.06)


def simulated(spread, error, n=4000, seed=2):
    rng = np.random.default_rng(seed)
    true = 1 + spread * rng.standard_normal(n)
    energy = np.full(n, error**-2.0)
    return true, (true + error * rng.standard_normal(n)) * energy, energy


@pytest.mark.parametrize("error", [0.1, 0.5])
def test_the_spread_is_found_and_estimates_are_drawn_to_one(error):
    true, product, energy = simulated(0.3, error)
    found = shrunk_intensities(product, energy)
    assert found.spread == pytest.approx(0.3, abs=0.03)
    assert found.error == pytest.approx(error, rel=0.05)
    # The posterior's own error: no estimate without shrinkage comes so close.
    wanted = np.sqrt(1 / (1 / 0.09 + 1 / error**2))
    assert np.std(found.scales - true) == pytest.approx(wanted, rel=0.1)
    assert np.std(found.scales - true) < np.std(product / energy - true)


def test_equal_intensities_are_all_one():
    _, product, energy = simulated(0.0, 0.3, seed=4)
    found = shrunk_intensities(product, energy)
    assert found.spread < 0.06
    assert np.abs(found.scales - 1).max() < 0.1


def test_a_common_factor_goes_into_the_mean():
    """References twice as strong halve every amplitude."""
    _, product, energy = simulated(0.3, 0.1)
    half = shrunk_intensities(2 * product, 4 * energy)
    np.testing.assert_allclose(half.scales, shrunk_intensities(product, energy).scales, rtol=1e-9)


def test_what_is_not_known_is_one():
    _, product, energy = simulated(0.3, 0.1, n=50)
    energy[:10] = product[:10] = 0
    assert (shrunk_intensities(product, energy).scales[:10] == 1).all()
    assert (shrunk_intensities(np.zeros(3), np.zeros(3)).scales == 1).all()
    assert (shrunk_intensities(-product, energy).scales == 1).all()  # averages that fit nobody


def test_nobody_is_divided_by_nothing():
    _, product, energy = simulated(0.3, 0.01)
    product[:3] = [-5 * energy[0], 0.0, 100 * energy[0]]
    scales = shrunk_intensities(product, energy).scales
    assert scales.min() == SMALLEST and scales.max() <= LARGEST
