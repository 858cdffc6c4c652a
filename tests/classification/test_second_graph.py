"""The second graph of weak data, against true views of simulated particles."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.algorithms import embed, nearest_views
from cryoalign.classification.all_pairs import all_neighbours
from cryoalign.classification.features import prepare_features
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.llr import pair_weights
from cryoalign.classification.second_graph import AMONG, second_pass
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.simulation.euler import euler_matrices
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom


def view_error_deg(frames, lists):
    """Return the mean angle between the views of listed pairs; a mirror image is the view from the other side."""
    cosine = np.sum(frames[:, None, 2] * frames[lists.index, 2], axis=-1) * np.where(lists.mirror, -1, 1)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


@pytest.fixture(scope="module")
def weak():
    """Return features, true frames and the first graph's nearest views of weak images."""
    simulation = Simulation(built_in_phantom(180.0, 8.0), Recipe(800, 32, 8.0, None, 0.0, None, white(), 0.3, 9))
    rows = np.arange(800)
    truth = simulation.truth(rows)
    features = prepare_features(simulation.images(rows), SearchSettings())
    weights = pair_weights("llr", features.frequency, features.eigenvalue)
    coefficients = features.coefficients
    raw = all_neighbours(weights.weighted(coefficients), features.frequency, 40, weights.own_terms(coefficients))
    settings = ClassificationSettings(k=10)
    cleaned = nearest_views(embed(edges_from_lists(raw), settings), features, settings, AMONG)
    return features, euler_matrices(truth.rot_deg, truth.tilt_deg, truth.poses.psi), raw, cleaned


def test_weak_images_find_nearer_views_in_the_second_graph(weak):
    features, frames, raw, cleaned = weak
    _, again = second_pass(features, cleaned, ClassificationSettings(k=10), 40, 50)
    first, second = view_error_deg(frames, cleaned.nearest(10)), view_error_deg(frames, again.nearest(10))
    assert again.index.shape == (800, 50)
    assert first < view_error_deg(frames, raw.nearest(10))
    assert second < first


def test_threads_change_no_byte_of_the_second_graph(weak):
    features, _, _, cleaned = weak
    one, two = (
        second_pass(features, cleaned, ClassificationSettings(k=10, threads=threads), 40, 50)[1] for threads in (1, 2)
    )
    assert one.index.tobytes() == two.index.tobytes()
    assert one.angle_deg.tobytes() == two.angle_deg.tobytes()
