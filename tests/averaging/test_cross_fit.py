"""References made of one half know nothing of the other, and keep what that half shows above its own noise."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.averaging.cross_fit import cross_fit_references
from cryoalign.averaging.einstein import correlation_in_mask
from cryoalign.averaging.guard import judge_cross_fitted
from helpers.guard import BOX, COLOURED, MASK, look, noise, view

FLAT = np.ones((1, 2, BOX, BOX // 2 + 1))


def made(totals, members):
    return cross_fit_references(totals, members * FLAT, np.full((1, 2), members), MASK)


def test_a_half_depends_on_nothing_of_the_other():
    totals = noise(2, 1)[None].astype(float)
    before = made(totals, 100)
    totals[0, 1] += 50 * view()[0]
    after = made(totals, 100)
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_noise_is_filtered_away_and_signal_kept():
    members = 200
    clean = np.float32(np.sqrt(0.05)) * view()[0]
    totals = (members * clean + np.sqrt(members) * noise(2, 2, COLOURED)).astype(float)[None]
    filtered = made(totals, members)[0, 0]
    assert correlation_in_mask(filtered, clean, MASK) > correlation_in_mask(totals[0, 0], clean, MASK)
    assert np.sum(filtered * clean) / np.sum(clean**2) == pytest.approx(1.0, abs=0.15)
    nothing = made(np.sqrt(members) * noise(2, 3).astype(float)[None], members)
    assert nothing.std() < 0.5 / np.sqrt(members)


def test_empty_and_noiseless_halves_give_zeros_or_nothing_strange():
    totals = np.zeros((1, 2, BOX, BOX))
    totals[0, 0] = 10.0 * (np.hypot(*np.mgrid[-32:32, -32:32]) < 10)
    found = cross_fit_references(totals, FLAT, np.array([[1, 0]]), MASK)
    assert np.isfinite(found).all()
    assert not found[1].any()


def test_z_of_averages_of_noise_is_a_standard_normal_number_and_that_of_particles_large():
    def z_of(images):
        n, half = len(images), np.arange(len(images)) % 2
        totals = np.stack([images[half == h].sum(axis=0) for h in (0, 1)]).astype(float)[None]
        references = made(totals, n // 2)
        u, energy, scale = np.zeros((3, n))
        for h in (0, 1):
            u[half == h], energy[half == h], scale[half == h], _ = look(images[half == h], references[1 - h])
        return judge_cross_fitted(u, energy, scale, half).z

    z = [z_of(noise(128, 100 + i)) for i in range(24)]
    assert 0.6 < np.std(z) < 1.45  # 3 standard errors of 24 runs
    assert abs(np.mean(z)) < 0.7
    upright = np.float32(np.sqrt(0.05)) * view() + noise(256, 5)
    assert z_of(upright) > 8
