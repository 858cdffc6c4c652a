"""Rotations and mirrors of coefficients: a group."""

from __future__ import annotations

import numpy as np

from cryoalign.core.steerable.coefficients import mirrored, multiplicity, rotated

FREQUENCY = np.array([0, 0, 1, 1, 2, 5, 8])


def coefficients(n=4):
    rng = np.random.default_rng(11)
    a = rng.standard_normal((n, len(FREQUENCY))) + 1j * rng.standard_normal((n, len(FREQUENCY)))
    return np.where(FREQUENCY == 0, a.real, a).astype(np.complex64)


def test_two_rotations_add_up():
    a = coefficients()
    psi = np.array([10.0, -80.0, 171.0, 33.3])
    twice = rotated(rotated(a, FREQUENCY, psi), FREQUENCY, 50.0)
    assert twice.dtype == np.complex64
    assert np.abs(twice - rotated(a, FREQUENCY, psi + 50.0)).max() < 1e-5


def test_half_a_turn_is_the_sign_of_the_frequency():
    a = coefficients()
    assert np.abs(rotated(a, FREQUENCY, 180.0) - a * (-1.0) ** FREQUENCY).max() < 1e-5


def test_two_mirrors_are_none_and_no_bit_changes():
    a = coefficients()
    assert np.array_equal(mirrored(mirrored(a, FREQUENCY), FREQUENCY), a)
    assert not np.array_equal(mirrored(a, FREQUENCY), a)


def test_a_mirror_turns_rotations_round():
    a = coefficients()
    left = mirrored(rotated(a, FREQUENCY, 25.0), FREQUENCY)
    assert np.abs(left - rotated(mirrored(a, FREQUENCY), FREQUENCY, -25.0)).max() < 1e-5


def test_frequencies_above_zero_count_twice():
    assert multiplicity(FREQUENCY).tolist() == [1, 1, 2, 2, 2, 2, 2]
