"""Centred particles are known without a search for shifts; shifted ones, and noise, never pass for centred."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification import pipeline
from cryoalign.classification.features import prepare_features
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.classification.shift_scale import are_centred
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom

ROWS = np.arange(500)


def features_of(shift_sd_px, snr=0.8):
    recipe = Recipe(len(ROWS), 32, 8.0, None, shift_sd_px, None, white(), snr, 3)
    images = Simulation(built_in_phantom(180.0, 8.0), recipe).images(ROWS)
    return images, prepare_features(images, SearchSettings())


def test_centred_particles_are_not_searched_for_shifts(monkeypatch):
    images, features = features_of(0.0)
    assert are_centred(features)
    monkeypatch.setattr(pipeline, "search_shifts", None)
    found = pipeline.classify(images, ClassificationSettings(k=10))
    assert not found.centre_px.any() and found.shift_sd_px == 0 and found.rounds == 1


@pytest.mark.parametrize("shift_sd_px", [0.5, 1.0, 2.0])
def test_shifted_particles_do_not_pass_for_centred(shift_sd_px):
    assert not are_centred(features_of(shift_sd_px)[1])


def test_noise_does_not_pass_for_centred():
    images = np.random.default_rng(4).standard_normal((len(ROWS), 32, 32)).astype(np.float32)
    assert not are_centred(prepare_features(images, SearchSettings()))
