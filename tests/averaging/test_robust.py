"""Robust means against formulas, and against outliers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cryoalign.averaging.robust import METHODS, restore_amplitudes, robust_mean


@pytest.fixture
def values():
    return np.random.default_rng(2).standard_normal((101, 40)).astype(np.float32)


def test_median_and_winsorised_mean_are_those_of_the_libraries(values):
    np.testing.assert_allclose(robust_mean(values, "median"), np.median(values, axis=0), atol=1e-7)
    wanted = stats.mstats.winsorize(values, limits=0.1, axis=0).mean(axis=0)
    np.testing.assert_allclose(robust_mean(values, "winsorised"), wanted, atol=1e-6)


def test_nothing_is_clipped_where_nothing_is_far(values):
    np.testing.assert_allclose(robust_mean(values, "sigma-clip", 10.0), values.mean(axis=0), atol=1e-6)


def test_clipping_leaves_out_exactly_what_is_far():
    column = np.concatenate([np.linspace(-1, 1, 50), [30.0, -500.0, 40.0]])[:, None]
    assert robust_mean(column, "sigma-clip", 3.0)[0] == pytest.approx(0.0, abs=1e-12)
    assert robust_mean(column, "sigma-clip", 1e6)[0] == pytest.approx(column.mean())


@pytest.mark.parametrize("method", METHODS)
def test_a_few_wrong_members_change_little(values, method):
    clean = robust_mean(values, method)
    spoiled = values.copy()
    spoiled[::20] = 1000.0
    assert np.abs(robust_mean(spoiled, method) - clean).max() < 0.25
    assert np.abs(spoiled.mean(axis=0) - values.mean(axis=0)).min() > 50


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_members(method, n):
    values = np.arange(n * 5, dtype=np.float32).reshape(n, 5)
    np.testing.assert_allclose(robust_mean(values, method), values.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_constant_pixels_and_unbiased_on_noise(method):
    values = np.random.default_rng(3).standard_normal((400, 2000)).astype(np.float32) + 5
    values[:, 7] = 3.0
    found = robust_mean(values, method)
    assert found[7] == 3.0
    rest = np.delete(found, 7)
    assert abs(rest.mean() - 5) < 0.005 and 0.045 < rest.std() < 0.07


def test_strips_do_not_matter(values, monkeypatch):
    whole = [robust_mean(values, method) for method in METHODS]
    monkeypatch.setattr("cryoalign.averaging.robust._STRIP_BYTES", 8 * 101 * 7)
    for method, wanted in zip(METHODS, whole, strict=True):
        np.testing.assert_array_equal(robust_mean(values, method), wanted)


def test_what_cannot_be_averaged():
    with pytest.raises(ValueError, match="n of 1"):
        robust_mean(np.zeros((0, 4)), "median")
    with pytest.raises(ValueError, match="mode"):
        robust_mean(np.zeros((2, 4)), "mode")


def test_restored_amplitudes_are_sums_of_a_mean_with_one_transfer():
    """n members T G: their mean is T G, their sum of T x is n T^2 G, with the weight n T^2."""
    rng = np.random.default_rng(4)
    picture = rng.standard_normal((16, 16))
    k = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.rfftfreq(16)[None])
    transfer = np.exp(-3 * k)
    mean = np.fft.irfft2(np.fft.rfft2(picture) * transfer, s=(16, 16))
    totals, power = restore_amplitudes(mean[None], transfer[None], np.array([5]))
    back = np.fft.irfft2(np.fft.rfft2(totals[0]) / power[0], s=(16, 16))
    np.testing.assert_allclose(back, picture, atol=1e-9)
    np.testing.assert_allclose(power[0], 5 * transfer**2)
