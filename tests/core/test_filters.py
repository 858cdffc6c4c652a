import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoalign.core.filters import (
    apply_ring_gain,
    bandpass,
    conjugate_weight,
    fourier_resize,
    radial_average,
    ring_counts,
    ring_index,
)


@pytest.mark.parametrize("box", [16, 17, 64])
def test_ring_average_equals_that_of_the_full_plane(box):
    image = np.random.default_rng(8).normal(0, 1, (2, box, box))
    f = np.fft.fftfreq(box, 1 / box)
    ring = np.floor(np.hypot(f[:, None], f[None]) + 0.5).astype(int)
    full = np.abs(np.fft.fft2(image)) ** 2
    expected = [[full[i][ring == k].mean() for k in range(box // 2 + 1)] for i in range(2)]
    np.testing.assert_allclose(radial_average(np.abs(np.fft.rfft2(image)) ** 2, box), expected, rtol=1e-10)
    np.testing.assert_array_equal(ring_counts(box), [(ring == k).sum() for k in range(box // 2 + 1)])
    assert conjugate_weight(box).sum() == box * box
    assert ring_index(box).shape == (box, box // 2 + 1)


def test_ring_average_refuses_a_full_plane():
    with pytest.raises(ValueError, match="shape"):
        radial_average(np.ones((16, 16)), 16)


def test_bandpass_is_half_at_its_resolutions_and_open_without():
    box, pixel = 128, 2.0
    np.testing.assert_array_equal(bandpass(box, pixel), 1)
    gain = bandpass(box, pixel, lowpass_angstrom=8.0, highpass_angstrom=64.0)
    assert gain[round(256 / 8)] == pytest.approx(0.5)
    assert gain[round(256 / 64)] == pytest.approx(0.5)
    assert gain[0] == 0
    assert gain[15] == 1
    assert (gain[36:] == 0).all()
    with pytest.raises(ValueError, match="positive"):
        bandpass(box, pixel, lowpass_angstrom=0)


def test_ring_gain_of_each_image_and_for_all():
    box = 32
    x = np.arange(box)
    wave = np.cos(2 * np.pi * 5 * x / box)[None, :] * np.ones((box, 1))
    gain = np.zeros((2, box // 2 + 1))
    gain[0, 5], gain[1, 6] = 2.0, 2.0
    result = apply_ring_gain(np.stack([wave, wave]), gain)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0], 2 * wave, atol=1e-5)
    np.testing.assert_allclose(result[1], 0, atol=1e-5)
    np.testing.assert_allclose(apply_ring_gain(wave[None], gain[0])[0], 2 * wave, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(15, 34), st.integers(34, 50))
def test_larger_and_back_is_identity_and_keeps_mean_and_centre(small, large):
    image = np.random.default_rng(small * 100 + large).normal(1, 1, (2, small, small)).astype(np.float32)
    up = fourier_resize(image, large)
    assert up.shape == (2, large, large)
    np.testing.assert_allclose(up.mean((1, 2)), image.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(up[:, large // 2, large // 2], image[:, small // 2, small // 2], atol=1e-4)
    np.testing.assert_allclose(fourier_resize(up, small), image, atol=1e-4)


@pytest.mark.parametrize("boxes", [(64, 40), (64, 41), (65, 40), (65, 43), (40, 64), (41, 65)])
def test_resized_blob_is_the_blob_on_the_other_grid(boxes):
    old, new = boxes

    def blob(box):
        x, y = np.meshgrid(np.arange(box) - box // 2, np.arange(box) - box // 2)
        s = 1.0 / box
        return np.exp(-((x * s - 0.08) ** 2 + (y * s + 0.05) ** 2) / (2 * 0.06**2))

    np.testing.assert_allclose(fourier_resize(blob(old)[None], new)[0], blob(new), atol=1e-4)
