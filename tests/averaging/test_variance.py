"""Whitening to variance 1, residuals, and their variance without bias."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.averaging.variance import residuals, variance_maps, whitening_filter

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("box", [32, 33])
def test_noise_of_any_colour_has_variance_one(box):
    k = np.hypot(np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None])
    amplitude = np.sqrt(0.5 + 5 * np.exp(-((k / 0.1) ** 2)))
    noise = np.fft.irfft2(np.fft.rfft2(RNG.standard_normal((600, box, box))) * amplitude, s=(box, box))
    ring = np.arange(box // 2 + 1) / box
    power = 0.5 + 5 * np.exp(-((ring / 0.1) ** 2))
    white = residuals(np.fft.rfft2(noise), np.zeros(1), whitening_filter(power, box), box)
    assert white.dtype == np.float32
    assert white.var(axis=0).mean() == pytest.approx(1.0, abs=0.02)
    assert np.abs(white.mean(axis=(1, 2))).max() < 1e-4


def test_rings_without_noise_are_left_out():
    power = np.ones(17)
    power[12:] = 1e-9
    gain = whitening_filter(power, 32)
    assert gain[0, 0] == 0 and gain[0, 13] == 0 and gain[16, 16] == 0
    assert gain[0, 5] == 1.0
    noise = np.fft.rfft2(RNG.standard_normal((400, 32, 32)))
    assert residuals(noise, np.zeros(1), gain, 32).var(axis=0).mean() == pytest.approx(1.0, abs=0.03)


def test_the_model_is_taken_off():
    images = RNG.standard_normal((4, 32, 32))
    left = residuals(np.fft.rfft2(images), np.fft.rfft2(images), whitening_filter(np.ones(17), 32), 32)
    assert np.abs(left).max() < 1e-6


def test_the_variance_is_that_of_the_library():
    left = RNG.standard_normal((7, 16, 16)) + 3
    found = variance_maps(left.sum(axis=0)[None], (left**2).sum(axis=0)[None], np.array([7]))
    np.testing.assert_allclose(found[0], left.var(axis=0, ddof=1), rtol=1e-5)


def test_one_member_has_no_variance():
    assert (variance_maps(np.ones((2, 8, 8)), np.ones((2, 8, 8)), np.array([1, 0])) == 0).all()
