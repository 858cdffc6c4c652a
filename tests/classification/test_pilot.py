"""How far particles lie from their centres is found where nobody says, be they many views or one."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification import pilot
from cryoalign.classification.features import prepare_features
from cryoalign.classification.pilot import shift_scale
from cryoalign.classification.settings import SearchSettings
from cryoalign.classification.stages import Clock
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom

ROWS = np.arange(500)


def features_of(shift_sd_px, snr=0.8, views=None, mirror=True):
    recipe = Recipe(len(ROWS), 32, 8.0, views, shift_sd_px, None, white(), snr, 3)
    images = Simulation(built_in_phantom(180.0, 8.0), recipe).images(ROWS)
    return prepare_features(images, SearchSettings(mirror=mirror))


def scale_of(features, mirror=True):
    return shift_scale(features, SearchSettings(mirror=mirror), Clock(None))


def test_centred_particles_stand_on_their_centres():
    assert scale_of(features_of(0.0)) == 0


@pytest.mark.parametrize("shift_sd_px", [0.5, 1.0, 2.0])
def test_the_scale_of_shifts_is_found(shift_sd_px):
    assert scale_of(features_of(shift_sd_px)) == pytest.approx(shift_sd_px, rel=0.4)


def test_of_one_view_those_that_lie_alike_do_not_hide_the_shifts():
    view = np.array([[0.0, 60.0]])
    features = features_of(1.0, views=view, mirror=False)
    assert scale_of(features, mirror=False) == pytest.approx(1.0, rel=0.4)


def test_of_many_images_some_tell_the_scale_of_all(monkeypatch):
    features = features_of(1.0)
    monkeypatch.setattr(pilot, "IMAGES", 300)
    assert scale_of(features) == pytest.approx(1.0, rel=0.4)


def test_noise_has_no_shifts():
    images = np.random.default_rng(4).standard_normal((len(ROWS), 32, 32)).astype(np.float32)
    assert scale_of(prepare_features(images, SearchSettings())) == 0
