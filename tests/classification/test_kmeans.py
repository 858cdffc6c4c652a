"""k-means against clusters that are known."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.kmeans import kmeans
from cryoalign.core.errors import InputError


def test_well_separated_clusters_are_found():
    rng = np.random.default_rng(0)
    centre = 10 * rng.standard_normal((12, 5))
    truth = rng.integers(0, 12, 900)
    points = (centre[truth] + rng.standard_normal((900, 5))).astype(np.float32)
    found = kmeans(points, 12, seed=1)
    pairs = {(int(a), int(b)) for a, b in zip(truth, found.label, strict=True)}
    assert len(pairs) == 12
    members = [points[found.label == c].mean(axis=0) for c in range(12)]
    np.testing.assert_allclose(found.centre, members, atol=1e-4)
    np.testing.assert_allclose(found.distance, np.linalg.norm(points - found.centre[found.label], axis=1), rtol=1e-3)
    again = kmeans(points, 12, seed=1)
    assert np.array_equal(found.label, again.label) and np.array_equal(found.centre, again.centre)


def test_equal_points_and_too_many_clusters():
    found = kmeans(np.ones((6, 3), np.float32), 3)
    assert np.all(found.distance == 0)
    with pytest.raises(InputError, match="7 clusters of 6 images"):
        kmeans(np.ones((6, 3), np.float32), 7)
