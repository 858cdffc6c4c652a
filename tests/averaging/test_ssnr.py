"""Signal-to-noise ratio per image from ring products of halves."""

import numpy as np
import pytest

from cryoalign.averaging.frc import RingProducts
from cryoalign.averaging.ssnr import LARGEST_SSNR, SMALLEST_SSNR, UNKNOWN, ssnr_per_image

RINGS = 33
SAMPLES = 6.0 * np.arange(RINGS) + 1


def halves(signal, noise, members, seed=None, c2=0.5):
    """Make ring products of halves: signal per ring, noise power of one image; scattered where a seed is given."""
    m = len(members)
    power = c2 * np.asarray(members, float)[:, None] * np.ones(RINGS)
    of_half = noise / (power / 2)
    cross, first, second = signal * np.ones((m, RINGS)), signal + of_half, signal + of_half
    if seed is not None:
        rng, n = np.random.default_rng(seed), np.ceil(SAMPLES).astype(int)
        for c in range(m):
            for k in range(RINGS):
                s = np.sqrt(signal[k]) * rng.standard_normal(n[k])
                a, b = s + np.sqrt(of_half[c, k]) * rng.standard_normal((2, n[k]))
                cross[c, k], first[c, k], second[c, k] = np.mean(a * b), np.mean(a * a), np.mean(b * b)
    # Sums over rings as large as the samples, so that pooled means are means.
    return RingProducts(cross * SAMPLES, first * SAMPLES, second * SAMPLES), power


def test_it_is_signal_over_noise():
    signal, noise = np.full(RINGS, 0.3), 4.0
    products, power = halves(signal, noise, [50, 500])
    found = ssnr_per_image(products, power, np.ones(2, bool), SAMPLES)
    np.testing.assert_allclose(found, 0.3 / 4.0, rtol=1e-9)
    # The same said with the correlation of the halves: 2 F / (1 - F) is the ratio of the full average.
    frc = products.correlation()
    np.testing.assert_allclose(found * power, 2 * frc / (1 - frc), rtol=1e-9)


def test_halves_of_different_size_tell_the_same():
    signal, noise, of_half = 0.3, 4.0, np.array([[25, 25], [5, 45], [1, 299]])
    power = np.repeat(0.5 * of_half.sum(axis=1)[:, None], RINGS, axis=1)
    first, second = (signal + noise / (0.5 * of_half[:, half : half + 1]) for half in (0, 1))
    products = RingProducts(
        *(np.broadcast_to(part, power.shape) * SAMPLES for part in (np.full(power.shape, signal), first, second))
    )
    found = ssnr_per_image(products, power, np.ones(3, bool), SAMPLES, of_half)
    np.testing.assert_allclose(found, signal / noise, rtol=1e-9)


def test_it_never_blows_up_and_never_goes_below_nothing():
    for signal, noise, expected in ((1.0, 0.0, LARGEST_SSNR), (0.0, 1.0, SMALLEST_SSNR)):
        products, power = halves(np.full(RINGS, signal), noise, [100])
        found = ssnr_per_image(products, power, np.ones(1, bool), SAMPLES)
        np.testing.assert_allclose(found * power, expected)


def test_ring_0_follows_ring_1():
    products, power = halves(np.linspace(1, 0.1, RINGS), 1.0, [100])
    products.cross[:, 0] *= -1
    found = ssnr_per_image(products, power, np.ones(1, bool), SAMPLES)
    assert found[0, 0] == found[0, 1] > 0


def test_small_classes_are_nearer_the_truth_together():
    signal, noise, members = 2.0 * np.exp(-np.arange(RINGS) / 8.0), 10.0, [8] * 20 + [400] * 4
    products, power = halves(signal, noise, members, seed=41)
    together = ssnr_per_image(products, power, np.ones(24, bool), SAMPLES)[:20, 2:20]
    alone = []
    for c in range(20):
        one = RingProducts(products.cross[c : c + 1], products.first[c : c + 1], products.second[c : c + 1])
        alone.append(ssnr_per_image(one, power[c : c + 1], np.ones(1, bool), SAMPLES)[0, 2:20])
    truth = signal[2:20] / noise
    error, error_alone = (np.sqrt(np.mean((v / truth - 1) ** 2)) for v in (together, np.array(alone)))
    assert error < 0.7 * error_alone


def test_a_class_of_many_keeps_its_own():
    signal = np.full(RINGS, 1.0)
    products, power = halves(signal, 1.0, [1000, 1000, 1000])
    products.cross[0] *= 0.25
    products.first[0] -= 0.75 * SAMPLES
    products.second[0] -= 0.75 * SAMPLES
    found = ssnr_per_image(products, power, np.ones(3, bool), SAMPLES)
    np.testing.assert_allclose(found[0, 8:], 0.25, rtol=0.15)
    np.testing.assert_allclose(found[1:, 8:], 1.0, rtol=0.05)


def test_without_two_halves_a_class_takes_what_the_others_have():
    products, power = halves(np.full(RINGS, 0.3), 4.0, [50, 500, 1])
    found = ssnr_per_image(products, power, np.array([True, True, False]), SAMPLES)
    assert found[2, 5] == pytest.approx(0.3 / 4.0)
    assert (ssnr_per_image(products, power, np.zeros(3, bool), SAMPLES) == UNKNOWN).all()
