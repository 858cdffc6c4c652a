"""Weighted members: halves, signal-to-noise ratio and filter know that unequal weights average less noise away."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.averaging.class_averages import finish_averages
from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.core.poses import Poses

BOX, N, RATIO, MASK = 64, 400, 0.05, 46.0


def averaged(weights, signal, seed):
    """One class of N images: a signal in white noise, white itself, so that the ratio is the same on every ring."""
    rng = np.random.default_rng(seed)
    images = (signal + rng.standard_normal((N, BOX, BOX)) / np.sqrt(RATIO)).astype(np.float32)
    sums = ClassSums(SumSettings(BOX, 3.0, BOX, 3.0, 2, fixed_point_scale(1.0), "wiener"))
    sums.add(images, Poses(*np.zeros((3, N))), np.arange(N) % 2, weights=weights)
    return finish_averages(
        sums.totals()[None], sums.ctf_power()[None], sums.counts[None], mask_diameter_px=MASK, pixel_size_angstrom=3.0,
        treatment="wiener", shared_ring=0,
    )  # fmt: skip


@pytest.mark.parametrize("weights", [np.ones(N), np.repeat([1.0, 0.05], N // 2), np.linspace(0.05, 1, N)])
def test_halves_and_filter_of_weighted_members(weights):
    signal = np.random.default_rng(1).standard_normal((BOX, BOX))
    found = averaged(weights, signal, 2)
    kept = weights.sum() ** 2 / (weights**2).sum()  # equal members that would leave as much noise
    ratio = RATIO * kept
    assert np.median(found.frc[0].ssnr[4:]) == pytest.approx(ratio, rel=0.12)
    np.testing.assert_allclose(found.frc[0].frc[4:].mean(), ratio / (ratio + 2), atol=0.03)
    # The filter is Wiener's: on every ring the average is the signal times S / (1 + S), and noise.
    frequency = np.fft.fftfreq(BOX) * BOX
    whole = (np.hypot(frequency[:, None], frequency) > 4) & (np.hypot(frequency[:, None], frequency) < 30)
    average, true = (np.fft.fft2(image)[whole] for image in (found.averages[0], signal))
    gain = (average * true.conj()).real.sum() / (np.abs(true) ** 2).sum()
    assert gain == pytest.approx(ratio / (1 + ratio), rel=0.1)


def test_halves_of_weighted_noise_agree_by_chance_only():
    found = [averaged(np.linspace(0.05, 1, N), 0.0, seed) for seed in range(3, 7)]
    means = np.array([f.frc[0].frc[8:].mean() for f in found])
    assert np.abs(means).max() < 0.06
    assert max(f.quality[0] for f in found) < 0.1
