"""Views on the sphere against the true viewing directions."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.classification.diffusion import diffuse
from cryoalign.classification.view_directions import view_directions
from helpers.sphere_graphs import random_frames, rewired_graph


@pytest.mark.parametrize("mirrors", [False, True])
def test_directions_match_the_true_views_up_to_a_rotation(mirrors):
    frames = random_frames(1500, 6)
    found = view_directions(diffuse(rewired_graph(frames, 40, 0.8, seed=6, mirrors=mirrors), 4, 40))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    truth = frames[:, :, 2]
    u, _, vh = np.linalg.svd(found.T.astype(np.float64) @ truth)
    error = np.degrees(np.arccos(np.clip(((found @ (u @ vh)) * truth).sum(axis=1), -1, 1)))
    assert np.median(error) < 7
    assert np.mean(error) < 9
