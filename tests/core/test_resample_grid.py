"""The finer grid against zero-padding with numpy."""

import numpy as np
import pytest

from cryoalign.core.resample.fft import factors_of, radices_of
from cryoalign.core.resample.fourier import plan_fourier_resampling
from cryoalign.core.resample.grid import fill_finer_grid, padded


@pytest.mark.parametrize("box", [8, 9, 15, 16, 17, 33, 40, 47, 63, 64, 65, 90, 128, 129, 182])
def test_finer_grid_is_the_padded_spectrum(box):
    grid = plan_fourier_resampling(box).grid
    rng = np.random.default_rng(box)
    half, before = (box + 1) // 2, 2
    k = np.fft.fftfreq(box, 1 / box)
    gain = np.where(k[:, None] ** 2 + k**2 < (box / 2) ** 2, 1 + 0.1 * np.cos(k[:, None]) * np.cos(k), 0.0)
    image = rng.standard_normal((box, box)).astype(np.float32)
    rows = grid + 8
    finer = np.full((rows, padded(rows)), np.nan, np.float32)
    # What the work arrays hold beforehand must not matter.
    planes = np.full((4, (grid + 16) * padded(grid // 2 + 8)), np.nan, np.float32)
    scaled = (gain[:, :half] / (2 * box**2)).astype(np.float32)
    transforms = radices_of(box), factors_of(box), radices_of(grid), factors_of(grid)
    fill_finer_grid(finer, image, planes, grid, before, scaled, *transforms)

    spectrum = np.zeros((grid, grid), complex)
    spectrum[np.ix_(k.astype(int), k.astype(int))] = np.fft.fft2(image.astype(np.float64)) * gain / box**2
    expected = np.fft.ifft2(spectrum).real * grid**2
    np.testing.assert_allclose(finer[before : before + grid, before : before + grid], expected, atol=1e-5)
    wrapped = np.pad(expected, ((before, 6), (before, finer.shape[1] - grid - before)), mode="wrap")
    np.testing.assert_allclose(finer, wrapped, atol=1e-5)


@pytest.mark.parametrize("count, expected", [(1, 8), (8, 8), (9, 24), (16, 24), (64, 72), (72, 72), (73, 88)])
def test_rows_are_odd_numbers_of_vectors(count, expected):
    assert padded(count) == expected
