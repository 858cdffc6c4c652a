"""Translation synchronisation on graphs made from true poses."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.synchronization.edges import EdgeList, undirected
from cryoalign.synchronization.translation import synchronise_shifts
from helpers.sphere_graphs import nearest_views, optimal_angle_deg, random_frames


def shifted_graph(n: int, noise_px: float) -> tuple[np.ndarray, np.ndarray, EdgeList]:
    """Edges between images that true origins ``d`` would centre, from the poses of both ends."""
    frames = random_frames(n, 3)
    index, mirror = nearest_views(frames, 25, mirrors=True)
    i, j, m = np.repeat(np.arange(n), 25), index.ravel(), mirror.ravel()
    rng = np.random.default_rng(8)
    d = rng.normal(0, 1.5, (n, 2))
    none = np.zeros(len(i))
    # From image j, as it stands: move it to its centre, turn it onto the view of i, then undo the move of i.
    centred = Poses(optimal_angle_deg(frames, i, j, m), none, none, m)
    edge = Poses(none, d[j, 0], d[j, 1]).then(centred).then(Poses(none, d[i, 0], d[i, 1]).inverse())
    shift = np.stack([edge.dx, edge.dy], axis=1) + rng.normal(0, noise_px, (len(i), 2))
    return frames, d, undirected(n, i, j, edge.psi, edge.mirror, shift)


def without_translation(frames: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Take one 3-D translation, seen from each view, out of a field of shifts."""
    axes = np.concatenate([frames[:, :, 0], frames[:, :, 1]])
    flat = residual.T.ravel()
    flat = flat - axes @ np.linalg.lstsq(axes, flat, rcond=None)[0]
    return flat.reshape(2, -1).T


def test_true_origins_are_recovered_up_to_one_translation():
    frames, d, edges = shifted_graph(800, 0.0)
    assert 0.4 < edges.mirror.mean() < 0.6
    found = synchronise_shifts(edges, mu=1e-5, tolerance=1e-7)
    left = without_translation(frames, found - d)
    assert np.sqrt(np.mean(left**2)) < 0.03
    # With the usual ridge and noise on the edges.
    frames, d, edges = shifted_graph(800, 0.5)
    left = without_translation(frames, synchronise_shifts(edges) - d)
    assert np.sqrt(np.mean(left**2)) < 0.2


def test_a_second_pass_between_moved_images_adds_nothing():
    _, _, edges = shifted_graph(400, 0.0)
    found = synchronise_shifts(edges, mu=1e-5, tolerance=1e-7).astype(np.float64)
    move = [Poses(np.zeros(len(edges)), found[rows, 0], found[rows, 1]) for rows in (edges.i, edges.j)]
    edge = Poses(edges.angle_deg, edges.shift_px[:, 0], edges.shift_px[:, 1], edges.mirror)
    moved = move[1].inverse().then(edge).then(move[0])
    # Neighbours differ in view, so their shifts cannot all vanish; what is left calls for no further move.
    again = undirected(400, edges.i, edges.j, moved.psi, moved.mirror, np.stack([moved.dx, moved.dy], axis=1))
    assert np.abs(synchronise_shifts(again, mu=1e-5, tolerance=1e-7)).max() < 0.02 * np.abs(found).max()


def test_images_without_trusted_edges_stay():
    _, _, edges = shifted_graph(300, 0.0)
    untrusted = (edges.i == 7) | (edges.j == 7)
    found = synchronise_shifts(edges.with_weight(np.where(untrusted, 0.0, edges.weight)))
    assert found[7] == pytest.approx([0, 0], abs=1e-6)
    assert np.abs(found[8]).max() > 0.01
    np.testing.assert_allclose(found, synchronise_shifts(edges.take(~untrusted)), atol=1e-3)
    assert np.all(synchronise_shifts(edges.with_weight(np.zeros(len(edges)))) == 0)
