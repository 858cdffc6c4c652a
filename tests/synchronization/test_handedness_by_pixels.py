"""From true poses to edges to global poses, judged by the pixels of the images: signs, mirrors and shifts at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from benchlib.agreement import correlation
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.core.resample.resample import resample
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom
from cryoalign.synchronization.anchor import anchored
from cryoalign.synchronization.edges import EdgeList, every_edge
from cryoalign.synchronization.robust_shifts import robust_shifts
from cryoalign.synchronization.synchronise import synchronise

N, BOX = 40, 48


class Scene(NamedTuple):
    """Images, the poses that bring them into one frame, and edges of which a share is wrong."""

    images: np.ndarray
    truth: Poses
    edges: EdgeList
    right: np.ndarray


def scene(mirrors: bool, wrong: float = 0.3) -> Scene:
    recipe = Recipe(N, BOX, 4.0, np.array([[40.0, 65.0]]), 2.0, None, None, 1.0, 7)
    simulation = Simulation(built_in_phantom(110.0, 3.0), recipe)
    rows = np.arange(N)
    images, truth = simulation.clean(rows), simulation.truth(rows).poses
    flips = (rows % 3 == 1) & mirrors
    # A flipped image is flipped back first; then all is as it was.
    images[flips] = np.roll(images[flips][..., ::-1], 1, -1)
    truth = Poses(np.zeros(N), np.zeros(N), np.zeros(N), flips).then(truth)
    i, j = np.triu_indices(N, 1)
    edge = truth.take(j).then(truth.take(i).inverse())
    rng = np.random.default_rng(11)
    bad = rng.random(len(i)) < wrong
    count = int(bad.sum())
    angle, flip, shift = edge.psi.copy(), edge.mirror.copy(), np.stack([edge.dx, edge.dy], axis=1)
    angle[bad], shift[bad] = rng.uniform(-180, 180, count), rng.uniform(-6, 6, (count, 2))
    flip[bad] = (rng.random(count) < 0.5) & mirrors
    return Scene(images, truth, every_edge(N, i, j, angle, flip, shift), ~bad)


def likeness(images: np.ndarray, poses: Poses) -> float:
    """Mean correlation of the images, each after its pose, with their average inside a disc."""
    moved = resample(images, poses)
    y, x = np.indices((BOX, BOX)) - BOX // 2
    inside = moved[:, np.hypot(x, y) < BOX // 2 - 6]
    average = inside.mean(axis=0)
    return float(np.mean([np.corrcoef(image, average)[0, 1] for image in inside]))


def solved(edges: EdgeList) -> Poses:
    """Poses of all images from the edges alone."""
    found = anchored(synchronise(edges))
    shifts = robust_shifts(edges, found.psi_deg, found.mirror, found.component, found.inlier)
    return Poses(found.psi_deg, shifts.origin_px[:, 0], shifts.origin_px[:, 1], found.mirror)


@pytest.mark.parametrize("mirrors", [False, True])
def test_edges_bring_the_second_image_onto_the_first(mirrors):
    images, _, edges, right = scene(mirrors)
    rows = np.flatnonzero(right)[:60]
    assert edges.mirror[rows].any() == mirrors
    pose = Poses(edges.angle_deg[rows], edges.shift_px[rows, 0], edges.shift_px[rows, 1], edges.mirror[rows])
    moved = resample(images[edges.j[rows]], pose)
    y, x = np.indices((BOX, BOX)) - BOX // 2
    inside = np.hypot(x, y) < BOX // 2 - 8
    pairs = zip(moved, images[edges.i[rows]], strict=True)
    assert min(np.corrcoef(a[inside], b[inside])[0, 1] for a, b in pairs) > 0.98


@pytest.mark.parametrize("mirrors", [False, True])
def test_true_psi_comes_back_up_to_one_constant_and_all_images_line_up(mirrors):
    images, truth, edges, _ = scene(mirrors)
    poses = solved(edges)
    # One rotation, one handedness, one shift of the whole are free: what carries found to true is one pose for all.
    whole = poses.inverse().then(truth)
    assert np.all(whole.mirror == whole.mirror[0])
    assert np.abs(wrap_degrees(whole.psi - whole.psi[0])).max() < 1.0
    assert np.ptp(whole.dx) < 0.2 and np.ptp(whole.dy) < 0.2
    assert likeness(images, poses) > 0.97
    assert likeness(images, truth) > 0.97


@pytest.mark.parametrize("mirrors", [False, True])
def test_edges_of_the_wrong_sign_give_poses_that_line_nothing_up(mirrors):
    images, truth, edges, _ = scene(mirrors)
    wrong = EdgeList(N, edges.i, edges.j, -edges.angle_deg, edges.mirror, edges.shift_px, edges.weight)
    poses = solved(wrong)
    assert correlation(poses.psi, truth.psi, poses.mirror, truth.mirror) < 0.6
    gap = poses.psi - truth.psi
    assert np.abs(wrap_degrees(gap - gap[0])).max() > 45
    assert likeness(images, poses) < 0.8
