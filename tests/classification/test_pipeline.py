"""Neighbours and views of simulated particles against their true views, poses and centres."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from cryoalign.classification import pipeline, raw_neighbours
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pipeline import classify, find_neighbours
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.core.errors import InputError
from cryoalign.core.poses import wrap_degrees
from cryoalign.simulation.euler import euler_matrices
from cryoalign.simulation.noise import white
from cryoalign.simulation.particles import Recipe, Simulation
from cryoalign.simulation.phantom import built_in_phantom

BOX, PIXEL = 32, 8.0
MIRROR = np.diag([-1.0, 1.0, -1.0])


def particles(count, snr, shift_sd_px=0.0, seed=5):
    """Simulate particles as they are after preparation: noise of variance 1. Returns images, frames, shifts."""
    recipe = Recipe(count, BOX, PIXEL, None, shift_sd_px, None, white(), snr, seed)
    simulation = Simulation(built_in_phantom(180.0, 8.0), recipe)
    rows = np.arange(count)
    truth = simulation.truth(rows)
    frames = euler_matrices(truth.rot_deg, truth.tilt_deg, truth.poses.psi)
    return simulation.images(rows), frames, np.stack([truth.poses.dx, truth.poses.dy], axis=1)


def true_pairs(frames, lists):
    """Angle between the views of listed pairs, and the in-plane angle that brings j onto i, both in degrees."""
    n, k = lists.index.shape
    i, j = np.repeat(np.arange(n), k), lists.index.ravel()
    # A mirror image is the view from the other side.
    other = np.where(lists.mirror.ravel()[:, None, None], MIRROR @ frames[j], frames[j])
    between = frames[i] @ other.transpose(0, 2, 1)
    view = np.degrees(np.arccos(np.clip(between[:, 2, 2], -1, 1))).reshape(n, k)
    psi = np.degrees(np.arctan2(between[:, 1, 0] - between[:, 0, 1], between[:, 0, 0] + between[:, 1, 1]))
    return view, psi.reshape(n, k)


def attainable(frames, k):
    """Mean angle to the truly nearest views."""
    cosine = np.abs(frames[:, 2] @ frames[:, 2].T)
    np.fill_diagonal(cosine, 0)
    return float(np.degrees(np.arccos(np.minimum(-np.sort(-cosine, axis=1)[:, :k], 1))).mean())


def residual_px(frames, centre, truth):
    """Rms of what is left of the shifts when one displacement of the particle in space is taken off."""
    error, seen = (centre - truth).ravel(), frames[:, :2].reshape(-1, 3)
    rest = error - seen @ np.linalg.lstsq(seen, error, rcond=None)[0]
    return float(np.sqrt(2 * np.mean(rest**2)))


@pytest.fixture(scope="module")
def centred():
    return particles(600, 0.8)


@pytest.fixture(scope="module")
def classified(centred):
    return classify(centred[0], ClassificationSettings(k=10))


def test_the_nearest_views_are_found_with_their_poses(centred, classified):
    frames, lists = centred[1], classified.neighbours
    view, psi = true_pairs(frames, lists)
    assert view.mean() < 1.4 * attainable(frames, 10)
    assert np.median(np.abs(wrap_degrees(lists.angle_deg - psi))) < 2.5
    assert 0.44 < lists.mirror.mean() < 0.56
    assert (lists.index != np.arange(600)[:, None]).all()
    assert (np.diff(lists.score, axis=1) <= 0).all()
    assert (classified.distance >= 0).all()
    # What the graph says of the angle between two views, of pairs near and far.
    assert np.abs(np.median(classified.viewing_angle_deg - view)) < 6


def test_centred_particles_are_left_where_they_are(classified):
    assert classified.shift_sd_px == 0
    assert (classified.centre_px == 0).all()
    assert (classified.neighbours.shift_px == 0).all()
    assert classified.signal.signal
    assert classified.rounds == 1


@pytest.mark.parametrize("anew", [pipeline.ANEW, 0])
def test_centres_and_their_scale_are_found(anew, monkeypatch):
    images, frames, shift = particles(600, 0.8, shift_sd_px=1.0, seed=6)
    monkeypatch.setattr(pipeline, "ANEW", anew)
    searches = []
    screen = raw_neighbours.screen_pairs
    monkeypatch.setattr(raw_neighbours, "screen_pairs", lambda *a, **b: searches.append(1) or screen(*a, **b))
    result = classify(images, ClassificationSettings(k=10))
    # The pilot and the first round compare all pairs twice, later rounds once, or not at all where images are many.
    assert len(searches) == (3 + result.rounds if anew else 4)
    assert residual_px(frames, result.centre_px, shift) < 0.45
    assert 0.75 < result.shift_sd_px < 1.3
    assert result.rounds > 1
    view, _ = true_pairs(frames, result.neighbours)
    assert view.mean() < 1.8 * attainable(frames, 10)
    # The shift of an edge brings j's centre onto i's.
    lists, centre = result.neighbours, shift
    radians = np.deg2rad(lists.angle_deg)
    x = np.where(lists.mirror, -1, 1) * -centre[lists.index][..., 0] + lists.shift_px[..., 0]
    y = -centre[lists.index][..., 1] + lists.shift_px[..., 1]
    landed = np.stack([np.cos(radians) * x - np.sin(radians) * y, np.sin(radians) * x + np.cos(radians) * y], axis=-1)
    assert np.sqrt(np.mean(np.sum((landed + centre[:, None]) ** 2, axis=-1))) < 0.6


def test_searching_neighbours_alone_estimates_the_shifts_too(centred):
    images, frames, _ = centred
    lists, _, notes = find_neighbours(images, SearchSettings(k=10))
    view, _ = true_pairs(frames, lists)
    assert view.mean() < 1.6 * attainable(frames, 10)
    assert notes.shift_sd_px == 0
    moved, _, _ = particles(600, 0.8, shift_sd_px=1.0, seed=6)
    assert 0.5 < find_neighbours(moved, SearchSettings(k=10))[2].shift_sd_px < 1.5


def test_mirrored_particles_have_the_same_neighbours(centred, classified):
    images = centred[0]
    flipped = np.roll(images[:, :, ::-1], 1, axis=2)  # x about pixel L // 2
    other = classify(np.ascontiguousarray(flipped), ClassificationSettings(k=10)).neighbours
    lists = classified.neighbours
    same = [len(np.intersect1d(a, b)) for a, b in zip(lists.index, other.index, strict=True)]
    assert np.mean(same) > 9.98
    at = lists.index == other.index
    assert (lists.mirror[at] == other.mirror[at]).all()
    # Seen in a mirror, turns go the other way.
    assert np.abs(wrap_degrees(lists.angle_deg[at] + other.angle_deg[at])).max() < 0.5


def test_without_mirrors_none_is_found(centred):
    settings = ClassificationSettings(search=SearchSettings(mirror=False, shift_sd_px=0.0), k=5)
    lists = classify(centred[0][:300], settings).neighbours
    assert not lists.mirror.any()


def test_threads_change_no_byte(centred):
    images = centred[0][:300]
    results = [
        classify(images, ClassificationSettings(search=SearchSettings(threads=threads), k=8, threads=threads))
        for threads in (1, 2)
    ]
    for name in ("distance", "weight", "viewing_angle_deg", "centre_px", "embedding", "quality"):
        assert getattr(results[0], name).tobytes() == getattr(results[1], name).tobytes(), name
    for name in ("neighbours", "graph"):
        one, two = (getattr(result, name) for result in results)
        assert all(getattr(one, f.name).tobytes() == getattr(two, f.name).tobytes() for f in fields(NeighbourLists))


def test_a_graph_that_is_given_is_not_searched_again(centred, classified):
    result = classify(centred[0], ClassificationSettings(k=10), graph=classified.graph)
    assert "neighbours" not in result.timings
    assert result.graph is classified.graph
    view, _ = true_pairs(centred[1], result.neighbours)
    assert view.mean() < 1.4 * attainable(centred[1], 10)
    with pytest.raises(InputError, match="600 images"):
        classify(centred[0][:500], ClassificationSettings(k=10), graph=classified.graph)


def test_proposed_candidates_are_nearly_as_good_as_all_pairs(centred, classified):
    search = SearchSettings(candidates=100, shift_sd_px=0.0)
    view, _ = true_pairs(centred[1], classify(centred[0], ClassificationSettings(search=search, k=10)).neighbours)
    ours, _ = true_pairs(centred[1], classified.neighbours)
    assert view.mean() < 1.1 * ours.mean()


@pytest.mark.parametrize("candidates", [0, 250])
def test_a_first_centring_brings_better_pairs(candidates, monkeypatch):
    images, frames, _ = particles(1000, 0.8, shift_sd_px=1.5, seed=6)
    settings = SearchSettings(k=20, shift_sd_px=1.5, candidates=candidates)
    ours, _ = true_pairs(frames, find_neighbours(images, settings)[0])
    monkeypatch.setattr(raw_neighbours, "centre_by_round_mean", lambda stack, *_, **__: np.zeros((len(stack), 2)))
    without, _ = true_pairs(frames, find_neighbours(images, settings)[0])
    assert ours.mean() < 0.92 * without.mean()


def test_fewer_particles_than_neighbours_are_refused(centred):
    with pytest.raises(InputError, match="10 particles are too few for 10 neighbours"):
        classify(centred[0][:10], ClassificationSettings(k=10))
    with pytest.raises(InputError, match="50 neighbours"):
        find_neighbours(centred[0][:50], SearchSettings())


def test_identical_images_are_no_accident():
    image = np.random.default_rng(8).normal(size=(1, BOX, BOX)).astype(np.float32)
    result = classify(np.repeat(image, 80, axis=0), ClassificationSettings(k=5))
    assert ((result.neighbours.index >= 0) & (result.neighbours.index < 80)).all()
    assert np.isfinite(result.quality).all()
    assert np.isfinite(result.distance).all()
