"""Origins of images on graphs made by composing true poses."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.poses import Poses
from cryoalign.synchronization.edges import EdgeList, undirected
from cryoalign.synchronization.robust_shifts import robust_shifts
from cryoalign.synchronization.translation import synchronise_shifts


def true_poses(n: int, mirrors: bool, seed: int = 4) -> Poses:
    rng = np.random.default_rng(seed)
    d = rng.normal(0, 4, (n, 2))
    return Poses(rng.uniform(-180, 180, n), d[:, 0], d[:, 1], (rng.random(n) < 0.5) & mirrors)


def pose_graph(poses: Poses, degree: int, wrong: float, noise_px: float, seed: int = 6) -> tuple[EdgeList, np.ndarray]:
    """Edges P_i^-1 o P_j by composition, a share with a shift from nowhere; which are right is returned too."""
    rng = np.random.default_rng(seed)
    n = len(poses)
    i = np.repeat(np.arange(n), degree // 2)
    j = (i + rng.integers(1, n, len(i))) % n
    edge = poses.take(j).then(poses.take(i).inverse())
    bad = rng.random(len(i)) < wrong
    shift = np.stack([edge.dx, edge.dy], axis=1) + rng.normal(0, noise_px, (len(i), 2))
    shift[bad] = rng.uniform(-15, 15, (bad.sum(), 2))
    edges = undirected(n, i, j, edge.psi, edge.mirror, shift)
    exact = poses.take(edges.j).then(poses.take(edges.i).inverse())
    return edges, np.hypot(edges.shift_px[:, 0] - exact.dx, edges.shift_px[:, 1] - exact.dy) < 5 * noise_px + 1e-3


def against_truth(poses: Poses, origin: np.ndarray, component: np.ndarray | None = None) -> np.ndarray:
    """Distance of the origins from the true ones after the best common shift of each component, (n,)."""
    found = Poses(poses.psi, origin[:, 0], origin[:, 1], poses.mirror)
    gap = np.stack(found.apply_to_points(0, 0)) - np.stack(poses.apply_to_points(0, 0))
    component = np.ones(len(poses), int) if component is None else component
    for label in np.unique(component):
        gap[:, component == label] -= gap[:, component == label].mean(axis=1, keepdims=True)
    return np.hypot(*gap)


def residual_px(edges, poses, found):
    """Length of each edge's shift minus what the poses say, (E,)."""
    moved = Poses(poses.psi, *found.origin_px.T, poses.mirror)
    said = moved.take(edges.j).then(moved.take(edges.i).inverse())
    return np.hypot(*(edges.shift_px - np.stack([said.dx, said.dy], axis=1)).T)


@pytest.mark.parametrize("mirrors", [False, True])
def test_exact_edges_give_exact_origins(mirrors):
    poses = true_poses(150, mirrors)
    edges, _ = pose_graph(poses, 12, 0.0, 0.0)
    assert edges.mirror.any() == mirrors
    found = robust_shifts(edges, poses.psi, poses.mirror, np.ones(150))
    assert against_truth(poses, found.origin_px).max() < 1e-3
    assert residual_px(edges, poses, found).max() < 1e-3
    # Another handedness of the poses is another answer: the test sees the mirrors.
    other = robust_shifts(edges, poses.psi, ~poses.mirror, np.ones(150))
    assert against_truth(poses, other.origin_px).max() > 1


@pytest.mark.parametrize("mirrors", [False, True])
def test_four_edges_in_ten_from_nowhere_do_no_harm(mirrors):
    poses = true_poses(400, mirrors)
    noise = 0.5
    edges, good = pose_graph(poses, 30, 0.4, noise)
    assert 0.3 < np.mean(~good) < 0.5
    found = robust_shifts(edges, poses.psi, poses.mirror, np.ones(400))
    error = against_truth(poses, found.origin_px)
    # Each image has 18 good edges of one shift each, and the ends of its edges err as well.
    expected = noise * np.sqrt(2 / 18)
    assert np.sqrt(np.mean(error**2)) < 1.35 * expected
    assert error.max() < 5 * expected
    assert found.scale_px == pytest.approx(noise, rel=0.1)
    assert found.weight[good].mean() > 0.5
    assert np.mean(found.weight[~good]) < 0.05
    assert np.median(residual_px(edges, poses, found)[~good]) > 5
    if not mirrors:
        # What all edges say together, without weights, is far worse.
        plain = synchronise_shifts(edges, mu=1e-6)
        assert np.sqrt(np.mean(against_truth(poses, plain) ** 2)) > 4 * expected


def test_what_is_free_puts_the_median_centre_at_zero_in_each_component():
    first, second = true_poses(120, True, 1), true_poses(80, True, 2)
    poses = Poses.concatenate([first, second])
    here, _ = pose_graph(first, 14, 0.2, 0.3)
    there, _ = pose_graph(second, 14, 0.2, 0.3, 9)
    edges = undirected(
        201,
        np.r_[here.i, there.i + 120],
        np.r_[here.j, there.j + 120],
        np.r_[here.angle_deg, there.angle_deg],
        np.r_[here.mirror, there.mirror],
        np.concatenate([here.shift_px, there.shift_px]),
    )
    poses = Poses.concatenate([poses, Poses([33.0], [5.0], [-2.0])])
    component = np.r_[np.full(120, 1), np.full(80, 2), 3]
    found = robust_shifts(edges, poses.psi, poses.mirror, component)
    error = against_truth(poses, found.origin_px, component)
    assert np.sqrt(np.mean(error[:200] ** 2)) < 0.25
    assert np.all(found.origin_px[200] == 0)
    centre = np.stack(Poses(poses.psi, *found.origin_px.T, poses.mirror).apply_to_points(0, 0), axis=1)
    for label in (1, 2):
        part = centre[component == label]
        unit = part / np.linalg.norm(part, axis=1, keepdims=True)
        # The geometric median is where the unit vectors to all points balance.
        assert np.linalg.norm(unit.mean(axis=0)) < 0.02
    # A common shift of the truth changes no edge, so it changes nothing.
    moved = first.then(Poses(np.zeros(120), np.full(120, 7.0), np.full(120, -3.0)))
    again, _ = pose_graph(moved, 14, 0.2, 0.3)
    both = [robust_shifts(e, p.psi, p.mirror, np.ones(120)).origin_px for e, p in ((here, first), (again, moved))]
    np.testing.assert_allclose(both[0], both[1], atol=0.02)


def test_edges_judged_wrong_by_their_angle_or_mirror_have_no_say():
    poses = true_poses(100, False)
    edges, good = pose_graph(poses, 16, 0.6, 0.2)
    informed = robust_shifts(edges, poses.psi, poses.mirror, np.ones(100), inlier=good)
    assert np.sqrt(np.mean(against_truth(poses, informed.origin_px) ** 2)) < 0.2
    assert np.all(informed.weight[~good] == 0)
    flipped = EdgeList(edges.n, edges.i, edges.j, edges.angle_deg, edges.mirror ^ ~good, edges.shift_px, edges.weight)
    by_mirror = robust_shifts(flipped, poses.psi, poses.mirror, np.ones(100))
    np.testing.assert_allclose(by_mirror.origin_px, informed.origin_px, atol=1e-6)


def test_no_trusted_edge_gives_zeros():
    poses = true_poses(10, False)
    edges, _ = pose_graph(poses, 4, 0.0, 0.0)
    found = robust_shifts(edges, poses.psi, poses.mirror, np.ones(10), inlier=np.zeros(len(edges)))
    assert np.all(found.origin_px == 0) and found.scale_px == 0
    empty = robust_shifts(edges.take(np.zeros(len(edges), bool)), poses.psi, poses.mirror, np.ones(10))
    assert np.all(empty.origin_px == 0) and len(empty.weight) == 0
