"""Graphs of views on the sphere whose exact structure is known, for tests: made from rotations alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from cryoalign.synchronization.edges import EdgeList, undirected


def random_frames(n: int, seed: int) -> NDArray[np.float64]:
    """Draw uniform rotations (n, 3, 3): the columns are the image's x, its y and the viewing direction in 3-D."""
    return Rotation.random(n, rng=np.random.default_rng(seed)).as_matrix()


def fibonacci_frames(n: int, seed: int) -> NDArray[np.float64]:
    """Spread n views evenly, with random in-plane angles; frames as in `random_frames`."""
    z = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    psi = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    euler = np.stack([azimuth, np.arccos(z), psi], axis=1)
    return Rotation.from_euler("ZYZ", euler).as_matrix()


def optimal_angle_deg(frames: NDArray, i: NDArray, j: NDArray, mirror: NDArray | bool = False) -> NDArray:
    """Return psi of the rotation nearest to the part of frame j's plane that frame i's plane sees."""
    m = np.einsum("nca,ncb->nab", frames[i][:, :, :2], frames[j][:, :, :2])
    m[..., 0] *= np.where(mirror, -1, 1)[..., None]
    return np.degrees(np.arctan2(m[:, 1, 0] - m[:, 0, 1], m[:, 0, 0] + m[:, 1, 1]))


def cap_graph(frames: NDArray, radius_deg: float) -> EdgeList:
    """Join all views nearer than a radius, with exact angles."""
    views = frames[:, :, 2]
    pairs = KDTree(views).query_pairs(2 * np.sin(np.deg2rad(radius_deg) / 2), output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    return undirected(len(frames), i, j, optimal_angle_deg(frames, i, j))


def rewired_graph(frames: NDArray, k: int, p: float, seed: int, mirrors: bool = False) -> EdgeList:
    """Join each view with its k nearest; keep an edge with probability p, else lead it to a random node, angle random.

    With ``mirrors``, the nearest of all views and their mirrors; rewired edges are mirrored at random.
    """
    n = len(frames)
    rng = np.random.default_rng(seed)
    index, flips = nearest_views(frames, k, mirrors)
    i = np.repeat(np.arange(n), k)
    # A pair in both lists is one edge.
    clean = undirected(n, i, index.ravel(), np.zeros(n * k), flips.ravel())
    i, j, flips = clean.i.astype(np.int64), clean.j.astype(np.int64), clean.mirror
    angle = optimal_angle_deg(frames, i, j, flips)
    count = len(clean)
    bad = rng.uniform(size=count) >= p
    j = np.where(bad, rng.integers(0, n, count), j)
    angle = np.where(bad, rng.uniform(-180, 180, count), angle)
    flips = np.where(bad, rng.uniform(size=count) < 0.5, flips) if mirrors else flips
    return undirected(n, i, j, angle, flips)


def nearest_views(frames: NDArray, k: int, mirrors: bool = False) -> tuple[NDArray, NDArray]:
    """Find the k nearest views of each, (n, k) rows and whether the mirrored view is meant."""
    views = frames[:, :, 2]
    n = len(views)
    tree = KDTree(np.concatenate([views, -views]) if mirrors else views)
    found = tree.query(views, k + 2)[1]
    # A view is its own nearest, and nothing else has its row.
    kept = np.stack([row[row != at][:k] for at, row in enumerate(found)])
    return kept % n, kept >= n


def angle_between_deg(frames: NDArray, i: NDArray, j: NDArray, mirror: NDArray | bool = False) -> NDArray:
    """Return the angle between two views, the second mirrored or not."""
    cosine = np.einsum("...c,...c", frames[i][..., 2], frames[j][..., 2]) * np.where(mirror, -1, 1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
