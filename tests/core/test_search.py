"""The search as a whole: conventions, accuracy, mirrors, windows and limits, several references, claimed errors."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.search.search import Searcher, mirror_images, plan_search
from helpers.blobs import Blobs, degrees_apart, random_blobs, random_poses, rms
from helpers.searching import errors, noisy, particle, search_all, settings, single, white


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """As in the workers of the jobs."""
    with threadpool_limits(1):
        yield


def cramer_rao(blobs, box, poses, variance):
    """Smallest possible standard deviations of psi (deg) and of a shift coordinate (px) in white noise."""
    bounds = []
    for psi, dx, dy in zip(*poses, strict=True):
        moves = ((np.rad2deg(1e-3), 0, 0), (0, 1e-3, 0), (0, 0, 1e-3))
        low, high = (
            blobs.images(box, *(np.array([p + sign * m[i] for m in moves]) for i, p in enumerate((psi, dx, dy))))
            for sign in (-1, 1)
        )
        slope = ((high - low) / 2e-3).reshape(3, -1)
        covariance = np.linalg.inv(slope @ slope.T / variance)
        bounds.append((covariance[0, 0], (covariance[1, 1] + covariance[2, 2]) / 2))
    psi, shift = np.sqrt(np.mean(bounds, axis=0))
    return np.rad2deg(psi), shift


# Conventions and accuracy without noise

FLOOR_DEG = {64: 0.002, 65: 0.002, 128: 0.001}
"""RMS of psi without noise, which the turning tables set; a three-hundredth of the error at SNR 0.1."""


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("box", [64, 65, 128])
def test_clean_particles_are_recovered(box, fast):
    rng = np.random.default_rng(box)
    blobs = particle(box)
    poses = random_poses(rng, 64, 0.075 * box)
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box), settings(box, fast=fast)))
    found = search_all(searcher, single(blobs.images(box, *poses)))
    psi, shift = errors(found, *poses)
    assert rms(psi) < FLOOR_DEG[box]
    assert rms(shift) < 0.0005
    assert (found["score"] > 0.9999).all()
    assert (found["margin"] > 0.02).all()
    np.testing.assert_allclose(found["scale"], 1.0, atol=1e-3)
    assert not found["at_limit"].any()
    assert not found["mirror"].any()


def test_one_particle_by_hand():
    """A dot to the right of the centre that shows up below it was turned by psi = -90 (x goes to y for psi > 0)."""
    box = 64
    dots = Blobs(np.array([0.0, 14.0]), np.zeros(2), np.array([3.0, 2.0]), np.array([2.0, 1.0]))
    drawn = Blobs(np.array([3.0, 3.0]), np.array([-1.0, 13.0]), dots.width, dots.height)
    searcher = Searcher(plan_search(single(dots.images(box)), white(box), settings(box)))
    found = search_all(searcher, single(drawn.images(box)))
    # aligned = R(psi)(q + d): d = (-3, 1) first, then psi = -90 carries (0, 14) to (14, 0).
    assert found["psi"][0] == pytest.approx(-90, abs=0.1)
    np.testing.assert_allclose([found["dx"][0], found["dy"][0]], [-3, 1], atol=0.01)


@pytest.mark.parametrize("n", [1, 5, 64])
def test_any_number_of_images_up_to_a_tile(n):
    box, blobs = 64, particle(64)
    poses = random_poses(np.random.default_rng(72), n, 4.0)
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box), settings(box)))
    searcher.search(single(np.random.default_rng(1).standard_normal((64, box, box))))  # nothing stays in the buffers
    psi, shift = errors(search_all(searcher, single(blobs.images(box, *poses))), *poses)
    assert np.abs(psi).max() < 0.02
    assert np.abs(shift).max() < 0.01


def test_more_than_a_tile_is_refused():
    searcher = Searcher(plan_search(single(particle(32).images(32)), white(32), settings(32)))
    with pytest.raises(ValueError, match="at most 64 images, not 65"):
        searcher.search(np.zeros((65, 32, 32), np.float32))


# Noise


@pytest.mark.parametrize(("box", "n"), [(64, 384), (65, 128), (128, 128)])
@pytest.mark.parametrize("snr", [0.5, 0.1, 0.05])
def test_noisy_accuracy_is_near_the_cramer_rao_bound(box, n, snr):
    rng = np.random.default_rng(1000 * box + int(100 * snr))
    blobs = particle(box)
    poses = random_poses(rng, n, 0.06 * box)
    images, variance = noisy(rng, blobs.images(box, *poses), snr)
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box, variance), settings(box)))
    psi, shift = errors(search_all(searcher, images), *poses)
    bound_psi, bound_shift = cramer_rao(blobs, box, [p[:8] for p in poses], variance)
    assert rms(psi) < 1.15 * bound_psi
    assert rms(shift) < 1.15 * bound_shift
    # And no better than possible, or the noise was not there.
    assert rms(psi) > 0.8 * bound_psi


def test_standard_errors_are_calibrated():
    box, n = 64, 320
    rng = np.random.default_rng(74)
    blobs = particle(box)
    poses = random_poses(rng, n, 4.0)
    images, variance = noisy(rng, blobs.images(box, *poses), 0.1)
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box, variance), settings(box)))
    found = search_all(searcher, images)
    psi, shift = errors(found, *poses)
    assert 0.85 < np.std(psi / found["psi_error_deg"]) < 1.2
    assert 0.85 < np.std(shift / np.tile(found["shift_error_px"], 2)) < 1.2
    assert abs(np.mean(psi / found["psi_error_deg"])) < 4 / np.sqrt(n)


# Mirrors


@pytest.mark.parametrize("box", [64, 65])
def test_mirrored_particles_are_recovered(box):
    rng = np.random.default_rng(75 + box)
    blobs = particle(box)
    poses = random_poses(rng, 64, 0.075 * box)
    mirror = rng.random(64) < 0.5
    images = single(blobs.images(box, *poses, mirror))
    reference = single(blobs.images(box))
    found = search_all(Searcher(plan_search(reference, white(box), settings(box, mirror=True))), images)
    np.testing.assert_array_equal(found["mirror"], mirror)
    psi, shift = errors(found, *poses)
    assert rms(psi) < FLOOR_DEG[box]
    assert rms(shift) < 0.0005
    assert (found["reference"] == 0).all()
    # Without the search for mirrors the mirrored ones fit badly.
    plain = search_all(Searcher(plan_search(reference, white(box), settings(box))), images)
    assert plain["score"][mirror].max() < 0.95 < plain["score"][~mirror].min()
    assert not plain["mirror"].any()


@pytest.mark.parametrize("box", [64, 65])
def test_mirroring_keeps_the_centre(box):
    blobs = particle(box)
    expected = blobs.images(box, mirror=True)
    np.testing.assert_allclose(mirror_images(single(blobs.images(box))), expected, atol=1e-5)


# Starting points and windows


def test_search_round_a_known_origin():
    box, n = 64, 64
    rng = np.random.default_rng(76)
    blobs = particle(box)
    psi, ex, ey = random_poses(rng, n, 3.5)
    origin = rng.uniform(-9, 9, (n, 2))
    images = single(blobs.images(box, psi, origin[:, 0] + ex, origin[:, 1] + ey))
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box), settings(box, max_shift_px=4.0)))
    found = search_all(searcher, images, origin=origin)
    turn, shift = errors(found, psi, origin[:, 0] + ex, origin[:, 1] + ey)
    assert rms(turn) < FLOOR_DEG[box]
    assert rms(shift) < 0.0005
    lost = search_all(searcher, images)
    assert np.hypot(lost["dx"], lost["dy"]).max() <= 4.0 + 1e-6


def test_local_search_finds_the_peak_in_its_window():
    box, n = 64, 64
    rng = np.random.default_rng(77)
    blobs = particle(box)
    poses = random_poses(rng, n, 4.0)
    poses[0][:4] = [179.5, -179.5, 0.1, -0.1]
    prior = poses[0] + rng.uniform(-8, 8, n)
    window = prior[:, None] + [-10.0, 10.0]
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box), settings(box)))
    found = search_all(searcher, single(blobs.images(box, *poses)), psi_window=window)
    psi, shift = errors(found, *poses)
    assert rms(psi) < FLOOR_DEG[box]
    assert rms(shift) < 0.0005
    assert not found["at_limit"].any()


def test_local_search_stays_in_its_window_and_says_so():
    box, n = 64, 64
    rng = np.random.default_rng(78)
    blobs = particle(box)
    poses = random_poses(rng, n, 4.0)
    off = np.where(np.arange(n) % 2 == 0, 1.0, -1.0) * rng.uniform(8, 60, n)
    middle = poses[0] + off
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box), settings(box)))
    images, _ = noisy(rng, blobs.images(box, *poses), 0.5)
    found = search_all(searcher, images, psi_window=middle[:, None] + [-5.0, 5.0])
    assert np.abs(degrees_apart(found["psi"], middle)).max() <= 5.0 + 1e-6
    # The peak lies beyond; where the slope leads out of the window the answer is its near border, and flagged.
    near = np.abs(off) < 15
    border = degrees_apart(found["psi"], middle)[near]
    np.testing.assert_allclose(border, -5.0 * np.sign(off[near]), atol=1e-6)
    assert found["at_limit"][near].all()


def test_shifts_beyond_the_limit_are_brought_back_and_flagged():
    box = 64
    blobs = particle(box)
    dx = np.array([3.0, 3.9, 4.4, 5.0, 0.0, -3.5])
    dy = np.array([0.0, 0.0, 0.0, 0.0, -4.8, 3.5])
    beyond = np.hypot(dx, dy) > 4.0
    images = single(blobs.images(box, 20.0, dx, dy))
    searcher = Searcher(plan_search(single(blobs.images(box)), white(box), settings(box, max_shift_px=4.0)))
    found = search_all(searcher, images)
    np.testing.assert_array_equal(found["at_limit"], beyond)
    length = np.hypot(found["dx"], found["dy"])
    np.testing.assert_allclose(length[beyond], 4.0, atol=1e-6)
    np.testing.assert_allclose(length[~beyond], np.hypot(dx, dy)[~beyond], atol=0.01)


# Several references


def test_particles_find_their_reference():
    box, classes = 64, 8
    rng = np.random.default_rng(79)
    models = [random_blobs(rng, 18.0) for _ in range(classes)]
    truth = np.arange(320) % classes
    poses = random_poses(rng, len(truth), 4.0)
    clean = np.concatenate([models[t].images(box, *(p[i] for p in poses)) for i, t in enumerate(truth)])
    images, variance = noisy(rng, clean, 0.1)
    references = single(np.concatenate([m.images(box) for m in models]))
    # References of unequal contrast compete fairly.
    references *= np.linspace(0.5, 2.0, classes, dtype=np.float32)[:, None, None]
    found = search_all(Searcher(plan_search(references, white(box, variance), settings(box))), images)
    assert (found["reference"] == truth).mean() >= 0.99
    assert rms(errors(found, *poses)[0]) < 3.0
    np.testing.assert_allclose(np.median(found["scale"] * np.linspace(0.5, 2, classes)[truth]), 1.0, atol=0.05)


def similar_models(rng, count):
    """Draw a random walk of one particle's blobs: neighbours are much alike, as views of one molecule are."""
    blobs = random_blobs(rng, 17.0, count=14)
    models = []
    for _ in range(count):
        models.append(blobs)
        step = rng.normal(0, 0.9, (2, 14))
        x, y = blobs.x + step[0], blobs.y + step[1]
        inwards = np.minimum(1.0, 19.0 / np.hypot(x, y))
        blobs = Blobs(x * inwards, y * inwards, blobs.width, blobs.height)
    return models


def test_the_cascade_agrees_with_an_exhaustive_search_over_similar_references():
    box, count = 48, 100
    rng = np.random.default_rng(80)
    models = similar_models(rng, count)
    references = single(np.concatenate([m.images(box) for m in models]))
    near = np.corrcoef(references.reshape(count, -1))
    assert np.diagonal(near, 1).mean() > 0.9
    truth = rng.integers(count, size=512)
    poses = random_poses(rng, len(truth), 3.0)
    clean = np.concatenate([models[t].images(box, *(p[i] for p in poses)) for i, t in enumerate(truth)])
    images, variance = noisy(rng, clean, 0.15)
    found, exhaustive = (
        search_all(Searcher(plan_search(references, white(box, variance), s)), images)
        for s in (settings(box), settings(box, exhaustive=True))
    )
    agree = found["reference"] == exhaustive["reference"]
    # Or nearly so: of two references with the same score either is right.
    agree |= np.abs(found["score"] - exhaustive["score"]) < 1e-4 * exhaustive["score"]
    assert agree.mean() >= 0.999
    assert (found["reference"] == truth).mean() > 0.5
    # It is a yardstick: nothing that it finds is below what the cascade finds.
    assert (exhaustive["score"] >= found["score"] - 1e-3).all()
