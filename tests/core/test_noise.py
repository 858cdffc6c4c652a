import re

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.filters import apply_ring_gain
from cryoalign.core.masks import soft_disc
from cryoalign.core.noise import estimate_noise_power, noise_power, whitening_gain
from cryoalign.core.source import ArraySource


def steep(box):
    """A made-up power spectrum that falls twentyfold, with a bump."""
    k = np.arange(box // 2 + 1) / (box / 2)
    return 1 + 20 / (1 + (k / 0.2) ** 3) + 2 * np.exp(-(((k - 0.6) / 0.08) ** 2))


def noise_of(power, n, seed):
    box = 2 * (len(power) - 1)
    white = np.random.default_rng(seed).standard_normal((n, box, box), dtype=np.float32)
    return apply_ring_gain(white, np.sqrt(power))


@pytest.mark.parametrize(("box", "diameter"), [(64, 51.2), (65, 52.0), (48, 20.0), (64, 62.0)])
def test_white_noise_is_unbiased_within_two_percent(box, diameter):
    images = 1.7 * np.random.default_rng(9).standard_normal((3000, box, box), dtype=np.float32) + 5
    power = noise_power(images, diameter) / 1.7**2
    assert power.shape == (box // 2 + 1,)
    # Ring by ring the scatter of 3000 images remains; smooth over it.
    assert np.mean(power[1:]) == pytest.approx(1, abs=0.005)
    np.testing.assert_allclose(power[4:], 1, atol=0.04)
    np.testing.assert_allclose(np.convolve(power[2:], np.ones(5) / 5, "valid"), 1, atol=0.02)


@pytest.mark.parametrize("diameter", [30.0, 51.2])
def test_coloured_noise_is_recovered_although_the_mask_mixes_rings(diameter):
    true = steep(64)
    ratio = noise_power(noise_of(true, 3000, 10), diameter) / true
    np.testing.assert_allclose(ratio[1:4], 1, atol=0.08)
    np.testing.assert_allclose(ratio[4:], 1, atol=0.05)
    assert np.mean(ratio[1:]) == pytest.approx(1, abs=0.01)


def test_spectra_of_real_micrographs_are_recovered(real_data):
    text = (real_data / "sod-cryoem" / "model.star").read_text()
    tables = re.findall(r"_rlnSigma2Noise #3 \n(.*?)\n \n", text, re.S)
    shells = np.array([[float(line.split()[2]) for line in table.splitlines()] for table in tables])
    assert shells.shape == (15, 51)
    true = shells[3] / shells[3, -1]
    true[0] = true[1]
    ratio = noise_power(noise_of(true, 1500, 11), 80.0) / true
    np.testing.assert_allclose(ratio[1:5], 1, atol=0.1)
    np.testing.assert_allclose(ratio[5:], 1, atol=0.06)
    assert np.mean(ratio[1:]) == pytest.approx(1, abs=0.01)


def test_what_is_inside_the_disc_does_not_count():
    noise = np.random.default_rng(12).standard_normal((20, 64, 64)).astype(np.float32)
    signal = 30 * np.random.default_rng(13).standard_normal((20, 64, 64)).astype(np.float32)
    inside = soft_disc(64, 50, 0)
    np.testing.assert_array_equal(noise_power(noise + signal * inside, 50), noise_power(noise, 50))


def test_few_images_give_a_smooth_positive_spectrum():
    true = steep(64)
    rough = [noise_power(noise_of(true, 4, seed), 51.2) / true for seed in range(20)]
    assert (np.array(rough) > 0).all()
    # A plane takes most of the first ring, and four images do not tell what was there.
    np.testing.assert_allclose(np.mean(rough, axis=0)[2:], 1, atol=0.2)
    assert np.mean(rough, axis=0)[1] == pytest.approx(1, abs=0.3)
    assert np.sqrt(np.mean((np.array(rough)[:, 4:] - 1) ** 2)) < 0.12


def test_groups_have_their_own_spectra_and_rows_are_spread_over_the_group():
    loud = np.concatenate([noise_of(steep(32), 200, 14), 3 * noise_of(steep(32), 200, 15)])
    groups = [np.arange(0, 200), np.arange(200, 400)]
    quiet, strong = estimate_noise_power(ArraySource(loud), groups, 25)
    np.testing.assert_allclose(np.mean(strong / quiet), 9, rtol=0.03)
    np.testing.assert_array_equal(quiet, noise_power(loud[:200], 25))
    some = estimate_noise_power(ArraySource(loud), [np.arange(400)], 25, max_rows=100)[0]
    np.testing.assert_array_equal(some, noise_power(loud[::4], 25))


def test_no_background_no_noise_and_no_rows_are_refused():
    images = np.random.default_rng(16).standard_normal((4, 32, 32)).astype(np.float32)
    with pytest.raises(InputError, match="leaves no background"):
        noise_power(images, 46)
    with pytest.raises(InputError, match="no noise outside the mask"):
        noise_power(images * soft_disc(32, 20, 0), 22)
    with pytest.raises(InputError, match="without usable particles"):
        estimate_noise_power(ArraySource(images), [np.arange(4), np.arange(0)], 20)


def test_whitening_gain_makes_the_noise_white():
    true = steep(64)
    whitened = apply_ring_gain(noise_of(true, 400, 17), whitening_gain(true))
    np.testing.assert_allclose(noise_power(whitened, 40)[3:], 1, atol=0.08)


def test_whitening_gain_does_not_blow_up_empty_rings():
    power = np.ones(33)
    power[25:] = 0
    gain = whitening_gain(power)
    assert np.isfinite(gain).all()
    np.testing.assert_allclose(gain[25:], np.sqrt(1000))
