"""Noise must be told from particles, however many neighbours it seems to have."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.classification import SignalTest
from cryoalign.classification.features import prepare_features
from cryoalign.classification.settings import SearchSettings
from cryoalign.classification.signal_test import measure_signal
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom


def measured(images) -> SignalTest:
    features = prepare_features(images, SearchSettings())
    return measure_signal(features.coefficients, features.frequency, features.eigenvalue)


@pytest.mark.parametrize("count", [120, 300, 600])
def test_noise_is_flagged(count):
    images = np.random.default_rng(count).standard_normal((count, 32, 32), dtype=np.float32)
    result = measured(images)
    assert not result.signal
    assert abs(result.z) < 4


def test_weak_particles_are_not():
    recipe = Recipe(300, 32, 8.0, None, 0.0, None, white(), 0.1, 11)
    result = measured(Simulation(built_in_phantom(180.0, 8.0), recipe).images(np.arange(300)))
    assert result.signal
    assert result.z > 6


def test_noise_scores_have_their_standard_deviation():
    rng = np.random.default_rng(2)
    scores = []
    for _ in range(40):
        frequency = np.array([0, 0, 1, 1, 1, 2, 2, 3])
        images = rng.normal(size=(150, 8)) + 1j * rng.normal(size=(150, 8))
        images = np.where(frequency == 0, images.real, images / np.sqrt(2)).astype(np.complex64)
        scores.append(measure_signal(images, frequency, np.linspace(0.4, 0.1, 8)).z)
    assert abs(np.mean(scores)) < 0.8
    assert 0.5 < np.std(scores) < 1.6
