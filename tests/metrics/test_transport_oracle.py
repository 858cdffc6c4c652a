"""Sliced Wasserstein against exact optimal transport of small images, by linear programming."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import kron, vstack

from cryoalign.core.poses import Poses
from cryoalign.metrics.measure import Preparation
from cryoalign.metrics.registry import measure

BOX = 32


def blobs(*centres: tuple[float, float]) -> np.ndarray:
    """Blobs of equal mass."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 1.3**2)) for a, b in centres).astype(np.float32)


def exact(first: np.ndarray, second: np.ndarray) -> float:
    """W_2 in pixels: the cheapest plan with these two images for its margins."""
    y, x = np.mgrid[:BOX, :BOX]
    places, masses = [], []
    for image in (first, second):
        kept = image > 0.02 * image.max()
        places.append(np.stack([x[kept], y[kept]], axis=1).astype(float))
        masses.append(image[kept].astype(float) / image[kept].sum())
    cost = ((places[0][:, None] - places[1]) ** 2).sum(axis=-1)
    a, b = cost.shape
    margins = vstack([kron(np.eye(a), np.ones((1, b))), kron(np.ones((1, a)), np.eye(b))])
    found = linprog(cost.ravel(), A_eq=margins.tocsr(), b_eq=np.concatenate(masses), method="highs")
    return float(np.sqrt(found.fun))


@pytest.mark.parametrize(
    ("second", "equal"),
    [
        ([(-1.0, 4.0), (7.0, 4.0)], True),  # moved as a whole: every line sees all of it
        ([(-6.0, 1.0), (4.0, -2.0)], False),
        ([(0.0, -6.0), (2.0, 5.0)], False),
    ],
)
def test_slices_never_see_more_than_there_is_to_move(second, equal):
    a, b = blobs((-4.0, 0.0), (4.0, 0.0)), blobs(*second)
    sliced = measure("sw").value(a, b, Poses.identity(1), Preparation(15.0))[0]
    # The mean of <v, (cos t, sin t)>^2 over all directions is |v|^2 / 2.
    bound = exact(a, b) / np.sqrt(2)
    if equal:
        assert sliced == pytest.approx(bound, rel=0.02)
    else:
        assert 0.6 * bound < sliced < 1.01 * bound
