"""References made ready: their harmonics against sums, their turning tables against transforms at turned points."""

import finufft
import numpy as np
import pytest

from cryoalign.core.search.bank import FINE, TAPS, angular_harmonics, build_bank, table_row_length, turning_kernel
from cryoalign.core.search.polar import plan_rings


def references(box, count, seed):
    """White noise in a disc of radius 0.42 boxes: the most detail that a reference can hold."""
    rng = np.random.default_rng(seed)
    offset = np.arange(box) - box // 2
    disc = np.hypot(offset[:, None], offset[None, :]) < 0.42 * box
    return (rng.standard_normal((count, box, box)) * disc).astype(np.float32)


def turned_samples(images, layout, angle):
    """Transforms of the images turned by an angle in radians: the transform at the points turned back."""
    kx, ky = layout.points()
    c, s = np.cos(angle), np.sin(angle)
    scale = 2 * np.pi / layout.box
    x, y = scale * (c * kx + s * ky), scale * (c * ky - s * kx)
    return finufft.nufft2d2(y, x, images.astype(np.complex128), eps=1e-9, isign=-1, nthreads=1)


def read_table(bank, member, angle, plane=0):
    """Read the turning table at an angle as its description says, one point after the other."""
    layout, kernel = bank.layout, turning_kernel().astype(np.float64)
    steps = len(kernel) - 1
    result = []
    for ring, h in enumerate(layout.ring_samples):
        whole, row = 2 * FINE * h, table_row_length(h)
        place = (np.pi * np.arange(h) / h - angle) * whole / (2 * np.pi) % whole
        first = np.floor(place).astype(int)
        step, rest = np.divmod((place - first) * steps, 1)
        cell = np.minimum(step.astype(int), steps - 1)
        weights = kernel[cell, plane] + rest[:, None] * (kernel[cell + 1, plane] - kernel[cell, plane])
        fine = (first[:, None] + np.arange(TAPS) - (TAPS // 2 - 1)) % whole
        at = bank.table_start[ring] + fine % FINE * row + fine // FINE
        values = bank.table[member, 0][at] + 1j * bank.table[member, 1][at]
        result.append((values * weights).sum(axis=1))
    return np.concatenate(result)


@pytest.mark.parametrize(("box", "n_rings"), [(64, 31), (65, 20)])
def test_tables_give_the_reference_turned_by_any_angle(box, n_rings):
    images = references(box, 2, 31)
    layout = plan_rings(box, n_rings)
    bank = build_bank(images, layout)
    for angle in (0.0, 0.3, -2.7, np.pi, *np.random.default_rng(32).uniform(-7, 7, 5)):
        expected = turned_samples(images, layout, angle)
        scale = np.sqrt((np.abs(expected) ** 2).mean())
        for member in range(2):
            error = np.abs(read_table(bank, member, angle) - expected[member]) / scale
            assert np.sqrt((error**2).mean()) < 1e-4
            assert error.max() < 1e-3


def test_a_table_holds_half_a_circle_beyond_a_whole_one():
    """Whoever reads from any start may run on for half a circle without wrapping."""
    layout = plan_rings(32, 12)
    bank = build_bank(references(32, 1, 33), layout)
    for ring, h in enumerate(layout.ring_samples):
        row = table_row_length(h)
        for phase in range(FINE):
            first = bank.table_start[ring] + phase * row
            values = bank.table[0, :, first : first + row]
            tolerance = 3e-4 * np.abs(values).max()
            np.testing.assert_array_equal(values[:, 2 * h :], values[:, : row - 2 * h])
            # Half a circle on lies the conjugate.
            np.testing.assert_allclose(values[0, h : 2 * h], values[0, :h], atol=tolerance)
            np.testing.assert_allclose(values[1, h : 2 * h], -values[1, :h], atol=tolerance)
    assert bank.table_start[-1] + FINE * table_row_length(layout.ring_samples[-1]) == bank.table.shape[-1]


def test_kernel_planes_are_its_derivatives():
    kernel = turning_kernel().astype(np.float64)
    step = 1 / (len(kernel) - 1)
    # Weights round a point: at a sample the kernel is even, and from there on it moves by one tap in one step.
    np.testing.assert_allclose(kernel[0, 0, 1:-1], kernel[-1, 0, 2:][: TAPS - 2], atol=2e-5)
    np.testing.assert_allclose(kernel[0, 0, : TAPS - 1], kernel[0, 0, TAPS - 2 :: -1], atol=2e-5)
    # A constant has neither slope nor bend.
    assert np.abs(kernel[:, 1].sum(axis=1)).max() < 2e-6
    assert np.abs(kernel[:, 2].sum(axis=1)).max() < 1e-4
    inner = slice(1, -1)
    slope = (kernel[2:, 0] - kernel[:-2, 0]) / (2 * step)
    np.testing.assert_allclose(kernel[inner, 1, 1:-1], slope[:, 1:-1], atol=1e-3)
    bend = (kernel[2:, 1] - kernel[:-2, 1]) / (2 * step)
    np.testing.assert_allclose(kernel[inner, 2, 1:-1], bend[:, 1:-1], atol=1e-2)


@pytest.mark.parametrize("h", [11, 12])
def test_harmonics_are_the_sums_over_the_full_ring(h):
    rng = np.random.default_rng(34)
    half = rng.standard_normal((3, h)) + 1j * rng.standard_normal((3, h))
    full = np.concatenate([half, half.conj()], axis=1)
    phi = np.pi * np.arange(2 * h) / h
    expected = np.stack([(full * np.exp(-1j * q * phi)).mean(axis=1) for q in range(h)], axis=1)
    np.testing.assert_allclose(angular_harmonics(half, h), expected, atol=1e-12)
    np.testing.assert_allclose(angular_harmonics(half, 5), expected[:, :5], atol=1e-12)


def test_ring_power_is_the_weighted_power():
    images = references(48, 3, 35)
    layout = plan_rings(48, 20)
    bank = build_bank(images, layout)
    weighted = np.abs(bank.samples) ** 2 * np.repeat(layout.ring_weight, layout.ring_samples)
    rings = np.add.reduceat(weighted, layout.ring_start[:-1], axis=1)
    np.testing.assert_allclose(bank.ring_power, rings, rtol=1e-5)
    assert len(bank) == 3
