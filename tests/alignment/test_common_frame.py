"""Poses and classes of images that a formula made, found without a reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import starfile

from cryoalign.alignment.common_frame import FrameSettings, class_means, classes_in_frame, common_frame
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.io.graph_file import read_graph
from helpers.align import run, write_mrcs
from helpers.blobs import Blobs

BOX, N = 32, 90
SETTINGS = FrameSettings(k=30, mirror=False, shift_sd_px=1.0, radius_px=13.0, rings=8)
ONE = Blobs(
    np.array([-4.0, 3.0, 1.0]), np.array([1.0, 4.0, -5.0]), np.array([2.0, 1.6, 1.8]), np.array([3.0, 2.0, 4.0])
)
OTHER = Blobs(
    np.array([0.0, 5.0, -1.0]), np.array([5.0, -2.0, 0.0]), np.array([1.7, 2.2, 1.5]), np.array([4.0, 2.5, 3])
)


@pytest.fixture(scope="module")
def made():
    """Images of two particles, 60 of one and 30 of the other, with noise of variance 1; their poses and which is it."""
    rng = np.random.default_rng(8)
    psi, d = rng.uniform(-180, 180, N), rng.normal(0, 1, (N, 2))
    which = (np.arange(N) % 3 == 2).astype(int)
    images = np.stack([(ONE, OTHER)[w].images(BOX, psi[i], *d[i])[0] for i, w in enumerate(which)])
    return (images + rng.standard_normal(images.shape)).astype(np.float32), psi, d, which


@pytest.fixture(scope="module")
def frame(made):
    return common_frame(made[0][made[3] == 0], replace(SETTINGS, k=25))


def spread(gap):
    """Root mean square of angles in degrees about their circular mean."""
    middle = np.angle(np.exp(1j * np.deg2rad(gap)).sum(), deg=True)
    return float(np.sqrt(np.mean(wrap_degrees(gap - middle) ** 2)))


def test_angles_and_shifts_up_to_one_frame(made, frame):
    psi, d = made[1][made[3] == 0], made[2][made[3] == 0]
    assert frame.signal.signal and frame.synchronization.component.max() == 1
    assert spread(frame.poses.psi - psi) < 2
    assert spread(frame.poses.psi + psi) > 40  # the wrong sign
    # Of one frame, shifts R(psi) d are those of the truth turned by the constant, and moved by one common shift.
    constant = np.angle(np.exp(1j * np.deg2rad(frame.poses.psi - psi)).sum(), deg=True)
    found = np.exp(1j * np.deg2rad(frame.poses.psi)) * (frame.poses.dx + 1j * frame.poses.dy)
    true = np.exp(1j * np.deg2rad(psi + constant)) * (d[:, 0] + 1j * d[:, 1])
    assert np.sqrt(np.mean(np.abs(found - true - np.median((found - true).real)) ** 2)) < 0.6


def test_rid_distance_and_sync_find_the_frame_that_a_start_has(made, frame, tmp_path):
    """``rid-distance | sync`` by the commands, against the start of ``align --strategy synchronized``."""
    images, psi = made[0][made[3] == 0], made[1][made[3] == 0]
    write_mrcs(tmp_path / "particles.mrcs", images, 4.0)
    alone = ("--angpix", 4, "-k", 25, "--no-mirror", "--no-ctf", "-q")
    assert run(tmp_path, "rid-distance", "particles.mrcs", *alone, "-o", "graph").status == 0
    assert run(tmp_path, "sync", "graph/graph.npz", "-o", "synced", "-q").status == 0
    graph = read_graph(tmp_path / "graph/graph.npz")
    first = np.r_[True, np.diff(graph.i) != 0]
    assert graph.weight is not None and (graph.weight[first] == 1).all() and graph.weight.min() < 0.5
    synced = starfile.read(tmp_path / "synced/angles.star")["rlnAnglePsi"].astype(float).to_numpy()
    assert spread(synced - psi) < 2.5
    assert spread(synced - frame.poses.psi) < 2.5


def test_threads_change_nothing(made, frame):
    again = common_frame(made[0][made[3] == 0], replace(SETTINGS, k=25, threads=2))
    for name in ("psi", "dx", "dy"):
        assert getattr(again.poses, name).tobytes() == getattr(frame.poses, name).tobytes()


def test_two_particles_are_told_apart_in_their_frame(made):
    images, _, _, which = made
    found = common_frame(images, SETTINGS)
    label = classes_in_frame(images, found, 2, SETTINGS)
    assert np.bincount(label).tolist() == sorted(np.bincount(label).tolist(), reverse=True)
    assert (label == which).mean() > 0.97
    assert (classes_in_frame(images, found, 1, SETTINGS) == 0).all()


def test_means_are_those_of_the_members(made):
    _, psi, d, which = made
    images = np.stack([(ONE, OTHER)[w].images(BOX, psi[i], *d[i])[0] for i, w in enumerate(which)]).astype(np.float32)
    means = class_means(images, Poses(psi, d[:, 0], d[:, 1], np.zeros(N, bool)), which.astype(np.int64), 3)
    for c, particle in enumerate((ONE, OTHER)):
        np.testing.assert_allclose(means[c][4:-4, 4:-4], particle.images(BOX)[0][4:-4, 4:-4], atol=0.02)
    assert not means[2].any()


def test_components_get_classes_by_their_size(made, frame):
    images = made[0][made[3] == 0]
    n = len(images)
    component = np.where(np.arange(n) < 40, 1, 2)
    two = replace(frame, synchronization=replace(frame.synchronization, component=component))
    label = classes_in_frame(images, two, 3, SETTINGS)
    assert label.max() == 2
    assert len(set(label[:40])) == 2 and len(set(label[40:])) == 1 and not set(label[:40]) & set(label[40:])
    assert len(set(classes_in_frame(images, two, 1, SETTINGS))) == 2  # no component is without a class
