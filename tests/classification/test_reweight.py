"""Re-weighting on graphs with random errors: the public benchmark at a smaller size, and its calibration."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.affinity import best_affine
from cryoalign.classification.diffusion import diffuse
from cryoalign.classification.reweight import local_false_discovery_rate, reweight
from cryoalign.core.poses import wrap_degrees
from helpers.sphere_graphs import angle_between_deg, nearest_views, optimal_angle_deg, random_frames, rewired_graph


def quality(frames, embedding):
    """Mean angle over the 30 nearest, and the share of the true 30 among them."""
    found = best_affine(embedding, 30)
    i = np.arange(len(frames))[:, None]
    truth = nearest_views(frames, 30)[0]
    share = np.mean([np.isin(b, a).mean() for a, b in zip(found.index, truth, strict=True)])
    return angle_between_deg(frames, i, found.index).mean(), share


@pytest.fixture(scope="module")
def rewired():
    """Fifteen hundred views, 80 neighbours, 16 % of the edges good."""
    frames = random_frames(1500, 1)
    return frames, rewired_graph(frames, 80, 0.16, seed=1)


def test_reweighting_cleans_a_graph_with_random_errors(rewired):
    frames, edges = rewired
    plain = quality(frames, diffuse(edges, 4, 50, tolerance=1e-2))
    done, embedding = reweight(edges, 4, 50)
    weighted = quality(frames, embedding)
    assert weighted[0] < 0.75 * plain[0] and weighted[0] < 20
    assert weighted[1] > 0.45
    good = np.abs(wrap_degrees(edges.angle_deg - optimal_angle_deg(frames, edges.i, edges.j))) < 0.01
    assert (edges.weight == 1).all()
    assert done.weight[good].mean() > 0.9
    assert done.weight[~good].mean() < 0.2
    # Wrong edges agree a little by chance more often than the mirrored half allows for: the share is low.
    assert 1 - good.mean() - 0.2 < 1 - done.weight.mean() < 1 - good.mean() + 0.05


def test_rate_of_two_known_densities():
    rng = np.random.default_rng(2)
    value = np.concatenate([rng.normal(0, 1, 90_000), rng.normal(4, 0.7, 10_000)]).astype(np.float32)
    rate = local_false_discovery_rate(value)

    def density(x, mean, sd):
        return np.exp(-(((x - mean) / sd) ** 2) / 2) / sd

    null = 0.9 * density(value, 0, 1)
    exact = null / (null + 0.1 * density(value, 4, 0.7))
    assert np.abs(rate - exact)[value > 1].mean() < 0.05
    order = np.argsort(value)
    assert np.all(np.diff(rate[order]) <= 1e-12)
    assert np.all(rate[value < -0.5] == 1)


def test_equal_values_are_all_null():
    assert np.all(local_false_discovery_rate(np.ones(10, np.float32)) == 1)
