"""The published algorithms side by side: each finds views of particles, and re-weighting mends rewired graphs."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.affinity import best_affine
from cryoalign.classification.algorithms import embed
from cryoalign.classification.pipeline import classify
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom
from helpers.sphere_graphs import angle_between_deg, fibonacci_frames, rewired_graph

K = 8


@pytest.fixture(scope="module")
def particles():
    """400 centred particles of 32 px in all views, and their viewing directions."""
    simulation = Simulation(built_in_phantom(180.0, 8.0), Recipe(400, 32, 8.0, None, 0.0, None, white(), 1.0, 7))
    truth = simulation.truth(np.arange(400))
    tilt, rot = np.deg2rad(truth.tilt_deg), np.deg2rad(truth.rot_deg)
    views = np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)
    return simulation.images(np.arange(400)), views


def error_deg(lists, views) -> float:
    """Mean angle between the views of listed pairs, a mirrored one being seen from the other side."""
    i, s = np.nonzero(lists.index >= 0)
    cosine = np.sum(views[i] * views[lists.index[i, s]], axis=1) * np.where(lists.mirror[i, s], -1, 1)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


@pytest.mark.parametrize(("algorithm", "most"), [("mfvdm", 13), ("mfca", 19), ("vdm", 13), ("kmeans", 22)])
def test_every_algorithm_finds_near_views(particles, algorithm, most):
    images, views = particles
    settings = ClassificationSettings(search=SearchSettings(shift_sd_px=0.0), k=K, algorithm=algorithm)
    found = classify(images, settings)
    # Any other views are 57 degrees apart, the truly nearest 9.
    assert error_deg(found.neighbours, views) < most
    assert found.signal.signal


def test_clusters_bound_the_lists_of_kmeans(particles):
    images, _ = particles
    search = SearchSettings(shift_sd_px=0.0)
    found = classify(images, ClassificationSettings(search=search, k=K, algorithm="kmeans", clusters=100))
    size = (found.neighbours.index >= 0).sum(axis=1)
    assert size.min() < K and 1.5 < size.mean() < 6
    assert (found.weight[found.neighbours.index < 0] == 0).all()
    # Mates of a cluster are mutual: the smaller of two lists cannot miss what the other has, but for the cut at K.
    pairs = {(i, j) for i, row in enumerate(found.neighbours.index.tolist()) for j in row if j >= 0}
    short = [i for i in range(400) if size[i] < K]
    assert all((j, i) in pairs for i, j in pairs if i in short and size[j] < K)


def test_reweighting_mends_a_rewired_graph():
    frames = fibonacci_frames(800, 3)
    edges = rewired_graph(frames, 40, 0.25, 4)

    def error(reweight: bool) -> float:
        found = best_affine(embed(edges, ClassificationSettings(reweight=reweight, k_max=4)), 20)
        i = np.repeat(np.arange(800), 20)
        return float(angle_between_deg(frames, i, found.index.ravel()).mean())

    plain, mended = error(False), error(True)
    assert mended < 0.97 * plain, (plain, mended)


@pytest.mark.parametrize(("algorithm", "sizes"), [("mfca", (3, 5, 7)), ("vdm", (80,)), ("mfvdm", (80, 80, 80))])
def test_each_algorithm_has_its_eigenvectors(algorithm, sizes):
    edges = rewired_graph(fibonacci_frames(400, 1), 20, 0.8, 2)
    found = embed(edges, ClassificationSettings(algorithm=algorithm, k_max=3))
    assert tuple(vectors.shape[1] for vectors in found.vector) == sizes
