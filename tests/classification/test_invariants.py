"""Candidate vectors: rotations change nothing, mirrors change signs, and near views come first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoalign.classification.candidates import propose
from cryoalign.classification.features import prepare_features
from cryoalign.classification.invariants import candidate_vectors
from cryoalign.classification.settings import SearchSettings
from cryoalign.core.white_crop import white_crop
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom
from helpers.steerable import mirrored, rotated

N, K, CANDIDATES = 1200, 20, 160


@pytest.fixture(scope="module")
def simulated():
    """Prepared images of a built-in particle from all sides, and |cosine| of the angle between views up to mirrors."""
    simulation = Simulation(built_in_phantom(190.0, 8.0), Recipe(N, 64, 5.0, None, 0.0, None, white(), 0.1, 7))
    truth = simulation.truth(np.arange(N))
    rot, tilt = np.deg2rad(truth.rot_deg), np.deg2rad(truth.tilt_deg)
    view = np.stack([np.cos(rot) * np.sin(tilt), np.sin(rot) * np.sin(tilt), np.cos(tilt)], axis=1)
    cosine = np.abs(view @ view.T)
    np.fill_diagonal(cosine, -1.0)
    return white_crop(simulation.images(np.arange(N)), 32, None), cosine


@pytest.fixture(scope="module")
def features(simulated):
    return prepare_features(simulated[0], SearchSettings())


def test_vectors_have_length_1_and_mirrors_are_signs(features):
    plain, flipped = candidate_vectors(features)
    assert plain.dtype == flipped.dtype == np.float32 and plain.shape[1] <= 200
    assert np.abs(np.linalg.norm(plain, axis=1) - 1).max() < 1e-5
    columns = (plain == flipped).all(axis=0)
    assert 0 < columns.sum() < plain.shape[1] and (plain[:, ~columns] == -flipped[:, ~columns]).all()


def test_rotated_images_have_the_same_products_and_mirrored_ones_the_mirrored(features):
    plain, flipped = candidate_vectors(features)
    psi = np.random.default_rng(41).uniform(-180, 180, N)
    a = rotated(features.coefficients, features.frequency, psi)
    turned, _ = candidate_vectors(replace(features, coefficients=a))
    assert np.abs(turned @ turned[0] - plain @ plain[0]).max() < 2e-3
    # Principal axes are those of both handednesses, so that a set of which half is mirrored has the same.
    a[::2] = mirrored(a[::2], features.frequency)
    half, _ = candidate_vectors(replace(features, coefficients=a))
    products = half @ half[0]
    wanted = np.where(np.arange(N) % 2 == 0, plain @ plain[0], flipped @ plain[0])
    assert np.abs(products - wanted).max() < 2e-3


def test_candidates_hold_the_nearest_views(features, simulated):
    nearest = np.argsort(-simulated[1], axis=1)[:, :K]
    rows = propose(*candidate_vectors(features), CANDIDATES)
    found = np.mean([np.isin(nearest[i], rows[i]).mean() for i in range(N)])
    assert found > 0.9  # by chance .13


def test_the_same_bytes_for_any_threads(features):
    one, four = (candidate_vectors(replace(features, threads=threads)) for threads in (1, 4))
    assert np.array_equal(one[0], four[0]) and np.array_equal(one[1], four[1])


def test_few_images_and_empty_ones_do_no_harm(features):
    few = replace(features, coefficients=features.coefficients[:5].copy())
    few.coefficients[2] = 0
    plain, flipped = candidate_vectors(few)
    assert np.isfinite(plain).all() and len(plain) == len(flipped) == 5
