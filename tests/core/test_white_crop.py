"""Cropped images: white noise stays white with variance 1, content stays where it was and keeps its strength."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.filters import fourier_resize
from cryoalign.core.white_crop import cropped_frequencies, white_crop

SIZES = [(64, 32), (65, 32), (64, 33), (65, 33), (48, 48), (49, 49), (50, 49), (49, 48)]


def power(images: np.ndarray) -> np.ndarray:
    """Mean power of every Fourier pixel, 1 for white noise of variance 1."""
    return (np.abs(np.fft.fft2(images.astype(float))) ** 2).mean(axis=0) / images.shape[-1] ** 2


@pytest.mark.parametrize(("box", "new_box"), SIZES)
def test_white_noise_stays_white(box, new_box):
    noise = np.random.default_rng(box + new_box).standard_normal((1500, box, box)).astype(np.float32)
    found = power(white_crop(noise, new_box, None))
    # 1500 images: 2.6 % (3.7 % where the transform is real) standard error of each pixel.
    assert abs(found.mean() - 1) < 0.005
    assert np.abs(found - 1).max() < 0.17


@pytest.mark.parametrize(("box", "new_box"), SIZES)
def test_content_is_resampled_about_the_centre_pixel(box, new_box):
    y, x = np.mgrid[:box, :box] - box // 2
    blob = np.exp(-((x - 4.3) ** 2 + (y + 2.2) ** 2) / (2 * 5.0**2)) + 0.3 * np.exp(-(x**2 + y**2) / (2 * 4.0**2))
    found = white_crop(blob[None].astype(np.float32), new_box, None)
    # The scale is that of the noise: white noise that is resampled with values kept loses (M / L)^2 of its variance.
    expected = fourier_resize(blob[None], new_box) * box / new_box
    np.testing.assert_allclose(found, expected, atol=3e-4)


def test_gains_multiply_the_transform_with_its_signs():
    box, new_box = 40, 24
    rng = np.random.default_rng(3)
    # Band-limited, so that the crop loses nothing; astigmatic gains, different in every image.
    k = np.fft.fftfreq(box) * box
    band = np.hypot(k[:, None], k[None, :]) < 11
    images = np.fft.ifft2(np.fft.fft2(rng.standard_normal((3, box, box))) * band).real
    angle = np.array([0.2, 1.0, 2.1])[:, None, None]

    def gain(ky, kx):
        return np.cos(0.05 * (kx**2 + ky**2) * (1 + 0.5 * np.cos(2 * (np.arctan2(ky, kx) - angle))))

    expected = np.fft.ifft2(np.fft.fft2(images) * gain(k[:, None], k[None, :])).real
    found = white_crop(images.astype(np.float32), new_box, gain(*cropped_frequencies(box, new_box)).astype(np.float32))
    np.testing.assert_allclose(found, white_crop(expected.astype(np.float32), new_box, None), atol=2e-5)


def test_an_image_does_not_depend_on_its_neighbours():
    images = np.random.default_rng(1).standard_normal((70, 33, 33)).astype(np.float32)
    whole = white_crop(images, 20, None)
    for n in (0, 5, 69):
        np.testing.assert_array_equal(white_crop(images[n : n + 1], 20, None)[0], whole[n])


def test_a_larger_box_is_refused():
    with pytest.raises(ValueError, match="cannot be cropped"):
        cropped_frequencies(32, 33)
