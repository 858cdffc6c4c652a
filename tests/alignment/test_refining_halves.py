"""Halves that refine apart: the band advances on evidence only, and the halves stay in one frame."""

import numpy as np
import pytest

from cryoalign.alignment.halves import GAP, bring_together, march
from cryoalign.core.masks import soft_disc
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.simulation.phantom import built_in_phantom


def curve(last_signal: int, rings: int = 33) -> np.ndarray:
    return np.where(np.arange(rings) <= last_signal, 0.9, 0.0)


def test_the_band_advances_to_the_last_ring_whose_neighbourhood_shows_signal():
    # A mean over three rings of .9 .9 0 and .9 0 0: .6 and .3, of which the last is not above .3.
    assert march(curve(20), 8) == 20


@pytest.mark.parametrize("last_signal", [8, 9, 10])
def test_what_the_mask_smears_beyond_the_aligned_band_is_no_evidence(last_signal):
    assert march(curve(last_signal), 8) == 8


def test_a_gap_in_the_signal_stops_the_march():
    frc = curve(30)
    frc[15:18] = 0.0
    assert march(frc, 8) == 14


def test_it_never_falls_back_and_never_leaves_the_curve():
    assert march(curve(0), 12) == 12
    assert march(curve(32), 8) <= 31
    assert march(curve(32), 31) == 31


def test_noise_rarely_advances():
    rng = np.random.default_rng(3)
    # Scatter of the FRC of noise halves in a mask of 0.8 of a 64 px box.
    spread = 1 / np.sqrt(np.maximum(np.pi * np.arange(33), 1) * 0.7)
    advanced = [march(rng.normal(0, spread), 8) > 8 for _ in range(1000)]
    assert np.mean(advanced) < 0.02


@pytest.mark.parametrize("box", [64, 65])
def test_a_drifted_half_comes_back(box):
    views = np.array([[40.0, 60.0], [100.0, 120.0]])
    clean = built_in_phantom(0.6 * box * 5, 5.0).project(*views.T, Poses.identity(2), box, 5.0)
    drift = Poses([4.0, -7.0], [1.2, 0.0], [-0.7, 2.0])
    rng = np.random.default_rng(0)
    noise = 0.3 * clean.std() * rng.standard_normal((2, *clean.shape))
    first = (clean + noise[0]).astype(np.float32)
    second = resample((clean + noise[1]).astype(np.float32), drift)
    mask = soft_disc(box, 0.8 * box)
    back = bring_together(first * mask, second, np.array([16, 16]), 0.4 * box + 2.5)
    for c in range(2):
        before = np.corrcoef((second[c] * mask).ravel(), (clean[c] * mask).ravel())[0, 1]
        after = np.corrcoef((back[c] * mask).ravel(), (clean[c] * mask).ravel())[0, 1]
        assert after > 0.95 and after > before + 0.02


def test_an_empty_half_stays_as_it_is():
    empty = np.zeros((1, 64, 64), np.float32)
    assert not bring_together(np.ones_like(empty), empty, np.array([8]), 28.0).any()


def test_the_gap_is_that_of_the_specification():
    assert GAP == 2
