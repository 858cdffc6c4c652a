"""The search as a whole: conventions, accuracy, mirrors, local searches, classes, errors, and the same bytes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from blobs import Blobs, degrees_apart, random_blobs, random_poses, rms
from threadpoolctl import threadpool_limits

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.search import Searcher, SearchSettings, choose_full_rings, mirror_images, plan_search
from cryoalign.core.weigh import ctf_coefficients


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """As in the workers of the jobs."""
    with threadpool_limits(1):
        yield


def white(box, variance=1.0):
    return np.full((1, box // 2 + 1), float(variance))


def settings(box, **changes):
    return replace(SearchSettings(0.08 * box, 0.36 * box), **changes)


def particle(box, seed=71):
    return random_blobs(np.random.default_rng(seed), 0.28 * box)


def single(images):
    return np.ascontiguousarray(images, dtype=np.float32)


def search_all(searcher, images, **columns):
    """Search any number of images tile by tile; return a dict of columns, poses unpacked."""
    results = []
    for first in range(0, len(images), 64):
        part = slice(first, first + 64)
        results.append(searcher.search(images[part], **{k: v[part] for k, v in columns.items()}))
    names = ("reference", "score", "margin", "psi_error_deg", "shift_error_px", "scale", "at_limit")
    found = {name: np.concatenate([getattr(r, name) for r in results]) for name in names}
    for name in ("psi", "dx", "dy", "mirror"):
        found[name] = np.concatenate([getattr(r.poses, name) for r in results])
    return found


def errors(found, psi, dx, dy):
    """Return psi errors in degrees and shift errors in pixels of both axes, signed."""
    return degrees_apart(found["psi"], psi), np.concatenate([found["dx"] - dx, found["dy"] - dy])


def noisy(rng, clean, snr):
    """Add white noise at an SNR (variance of the clean image over the noise's); return images and noise variance."""
    variance = clean.var(axis=(1, 2)).mean() / snr
    return single(clean + np.sqrt(variance) * rng.standard_normal(clean.shape)), variance


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

FLOOR_DEG = {64: 0.003, 65: 0.003, 128: 0.001}
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


# CTF and coloured noise


def coloured(rng, n, box, power):
    """Make noise with a power per ring (corners get the last ring's)."""
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(box, 1 / box), np.fft.rfftfreq(box, 1 / box), indexing="ij"))
    gain = np.sqrt(power[np.minimum(np.rint(k).astype(int), box // 2)])
    return np.fft.irfft2(np.fft.rfft2(rng.standard_normal((n, box, box))) * gain, s=(box, box))


def replace_ctf(ctf, **changes):
    return CtfParameters(**{name: getattr(ctf, name) for name in ctf.__dataclass_fields__} | changes)


def test_knowing_the_ctf_and_the_noise_pays():
    box, n, pixel = 64, 384, 3.0
    rng = np.random.default_rng(81)
    blobs = random_blobs(rng, 17.0, count=16, width=(1.2, 2.2))
    poses = random_poses(rng, n, 4.0)
    defocus = rng.uniform(10000, 22000, n)
    ctf = CtfParameters(300.0, 2.7, 0.1, defocus + 800, defocus - 800, rng.uniform(0, 180, n), bfactor_angstrom2=20.0)
    values = ctf_images(ctf, box, pixel).astype(np.float64)
    clean = np.fft.irfft2(np.fft.rfft2(np.fft.ifftshift(blobs.images(box, *poses), axes=(1, 2))) * values, s=(box, box))
    clean = np.fft.fftshift(clean, axes=(1, 2))
    shape = 1.0 / (1.0 + (np.arange(box // 2 + 1) / 5.0) ** 2) + 0.1
    variance = clean.var(axis=(1, 2)).mean() / 0.15
    ring = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(box, 1 / box)] * 2))).astype(int)
    power = shape * variance / shape[np.minimum(ring, box // 2)].mean()
    images = single(clean + coloured(rng, n, box, power))
    reference = single(blobs.images(box))
    ring_power = np.mean(values**2, axis=0)[0, : box // 2 + 1]
    searcher = Searcher(plan_search(reference, power[None], settings(box), ring_power))
    columns = ctf_coefficients(ctf, box, pixel)

    def outcome(images, searcher, **given):
        found = search_all(searcher, images, **given)
        turn, shift = errors(found, *poses)
        return rms(turn), rms(shift), found

    flipped = single(np.fft.irfft2(np.fft.rfft2(images) * np.sign(values), s=(box, box)))
    aware, aware_shift, found = outcome(images, searcher, coefficients=columns)
    flip, flip_shift, _ = outcome(flipped, searcher)
    ignored, ignored_shift, _ = outcome(images, searcher)
    white_noise, _, _ = outcome(
        images, Searcher(plan_search(reference, white(box, variance), settings(box), ring_power)), coefficients=columns
    )
    assert aware < 0.97 * flip < 0.97 * ignored
    assert aware_shift < flip_shift < ignored_shift
    assert aware < 0.97 * white_noise
    # The errors that it claims are those that it makes.
    assert 0.85 < np.std(errors(found, *poses)[0] / found["psi_error_deg"]) < 1.2
    # Flipped or multiplied data with their flags say what raw data say (but for pixels where C changes sign).
    premultiplied = single(np.fft.irfft2(np.fft.rfft2(images) * values, s=(box, box)))
    for flag, treated in (("phase_flipped", flipped), ("premultiplied", premultiplied)):
        flagged = replace_ctf(ctf, **{flag: True})
        again, again_shift, answers = outcome(treated, searcher, coefficients=ctf_coefficients(flagged, box, pixel))
        assert again < 1.03 * aware
        assert again_shift < 1.03 * aware_shift
        assert rms(degrees_apart(answers["psi"], found["psi"])) < 0.25 * aware


def test_each_image_is_weighed_by_its_own_noise_group():
    box = 64
    rng = np.random.default_rng(82)
    blobs = particle(box)
    poses = random_poses(rng, 32, 3.0)
    images = single(blobs.images(box, *poses) + 0.3 * rng.standard_normal((32, box, box)))
    noise = np.stack([np.full(33, 0.09), 0.09 * np.linspace(0.2, 30.0, 33)])
    reference = single(blobs.images(box))
    both = Searcher(plan_search(reference, noise, settings(box, full_rings=20)))
    group = np.arange(32) % 2
    mixed = search_all(both, images, group=group)
    for g in (0, 1):
        alone = search_all(Searcher(plan_search(reference, noise[g : g + 1], settings(box, full_rings=20))), images)
        for name in ("psi", "dx", "score", "psi_error_deg"):
            np.testing.assert_array_equal(mixed[name][group == g], alone[name][group == g])
    assert not np.array_equal(mixed["psi"], search_all(both, images)["psi"])


# Invariance


@pytest.fixture(scope="module")
def noisy_set():
    """A searcher with three references and a tile of noisy images."""
    box = 64
    rng = np.random.default_rng(83)
    models = [random_blobs(rng, 18.0) for _ in range(3)]
    poses = random_poses(rng, 64, 4.0)
    clean = np.concatenate([models[i % 3].images(box, *(p[i] for p in poses)) for i in range(64)])
    images, variance = noisy(rng, clean, 0.3)
    references = single(np.concatenate([m.images(box) for m in models]))
    return references, images, variance


def same_bytes(one, two, rows=slice(None), other_rows=None):
    other_rows = rows if other_rows is None else other_rows
    for name in one:
        assert one[name][rows].tobytes() == two[name][other_rows].tobytes(), name


@pytest.mark.parametrize("factor", [1e-3, 0.3, 250.0])
def test_the_unit_of_the_images_does_not_matter(noisy_set, factor):
    references, images, variance = noisy_set
    plan = plan_search(references, white(64, variance), settings(64))
    scaled = plan_search(references, white(64, variance * factor**2), settings(64))
    one = search_all(Searcher(plan), images)
    two = search_all(Searcher(scaled), single(images * np.float32(factor)))
    np.testing.assert_array_equal(one["reference"], two["reference"])
    np.testing.assert_allclose(degrees_apart(one["psi"], two["psi"]), 0.0, atol=1e-3)
    np.testing.assert_allclose(one["dx"], two["dx"], atol=1e-3)
    np.testing.assert_allclose(two["scale"], one["scale"] * factor, rtol=1e-4)
    np.testing.assert_allclose(two["psi_error_deg"], one["psi_error_deg"], rtol=1e-3)
    np.testing.assert_allclose(two["score"], one["score"], atol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_the_contrast_of_an_image_does_not_matter(noisy_set, factor):
    """With the noise taken to be the same, only how far a climb goes on changes: by a tenth of the error at most."""
    references, images, variance = noisy_set
    searcher = Searcher(plan_search(references, white(64, variance), settings(64)))
    one, two = search_all(searcher, images), search_all(searcher, single(images * np.float32(factor)))
    np.testing.assert_array_equal(one["reference"], two["reference"])
    assert (np.abs(degrees_apart(one["psi"], two["psi"])) < 0.1 * one["psi_error_deg"]).all()
    assert (np.hypot(one["dx"] - two["dx"], one["dy"] - two["dy"]) < 0.1 * one["shift_error_px"]).all()
    np.testing.assert_allclose(two["score"], one["score"], atol=1e-3)


def test_a_constant_added_to_the_images_does_not_matter(noisy_set):
    """Ring 0 is not searched; a level leaks into the first rings only by the transform's own error."""
    references, images, variance = noisy_set
    searcher = Searcher(plan_search(references, white(64, variance), settings(64)))
    one, two = search_all(searcher, images), search_all(searcher, images + np.float32(0.2))
    np.testing.assert_array_equal(one["reference"], two["reference"])
    assert np.median(np.abs(degrees_apart(one["psi"], two["psi"])) / one["psi_error_deg"]) < 0.05


def test_a_row_has_the_same_bytes_whatever_its_neighbours(noisy_set):
    references, images, variance = noisy_set
    searcher = Searcher(plan_search(references, white(64, variance), settings(64)))
    whole = search_all(searcher, images)
    rng = np.random.default_rng(84)
    others = images.copy()
    keep = np.sort(rng.permutation(64)[:20])
    rest = np.setdiff1d(np.arange(64), keep)
    others[rest] = rng.standard_normal((len(rest), 64, 64)) * 30
    same_bytes(search_all(searcher, others), whole, keep)
    # A shorter tile, and a tile with rows left out (which may hold anything).
    same_bytes(search_all(searcher, images[:37]), whole, slice(0, 37), slice(0, 37))
    valid = np.isin(np.arange(64), keep)
    others[rest[0]] = np.nan
    skipped = search_all(searcher, others, valid=valid)
    same_bytes(skipped, whole, keep)
    for name in ("score", "margin", "scale", "psi"):
        assert not skipped[name][rest].any()


def test_two_threads_get_the_same_bytes(noisy_set):
    references, images, variance = noisy_set
    plan = plan_search(references, white(64, variance), settings(64, mirror=True))
    sets = [images, single(images[::-1]), single(images * 0.5), single(np.roll(images, 2, axis=2))]
    alone = [search_all(Searcher(plan), s) for s in sets]

    def work(index):
        searcher = Searcher(plan)
        return [search_all(searcher, sets[index]) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for repeats, expected in zip(pool.map(work, range(4)), alone, strict=True):
            for found in repeats:
                same_bytes(found, expected)


# Odd inputs


def test_an_image_that_correlates_nowhere_gets_no_pose():
    """Negative contrast of a round particle: every cell is below zero."""
    box = 64
    ball = Blobs(np.zeros(1), np.zeros(1), np.array([6.0]), np.array([1.0]))
    searcher = Searcher(plan_search(single(ball.images(box)), white(box), settings(box, max_shift_px=1.0)))
    found = search_all(searcher, single(-ball.images(box)))
    assert found["score"][0] == 0.0
    assert found["margin"][0] == 0.0
    assert found["psi_error_deg"][0] == 180.0
    assert found["shift_error_px"][0] == box


def test_empty_images_and_empty_references_do_no_harm():
    box = 64
    blobs = particle(box)
    references = single(np.stack([np.zeros((box, box)), blobs.image(box)]))
    images = single(np.stack([np.zeros((box, box)), blobs.image(box, psi=33.0), np.full((box, box), 5.0)]))
    found = search_all(Searcher(plan_search(references, white(box), settings(box))), images)
    for name in found:
        assert np.isfinite(found[name]).all(), name
    assert found["reference"][1] == 1
    assert found["psi"][1] == pytest.approx(33.0, abs=0.01)
    assert found["score"][0] == 0.0


# The band


@pytest.mark.parametrize("box", [64, 65])
def test_noise_sets_the_band(box):
    reference = single(particle(box).images(box))
    quiet, rising = white(box), 10.0 ** np.linspace(-2, 4, box // 2 + 1)[None]
    free = choose_full_rings(reference, quiet)
    assert 8 <= choose_full_rings(reference, rising) < free <= (box - 1) // 2
    # The level of the noise is no matter, only its colour.
    assert choose_full_rings(reference, 1e6 * quiet) == free
    damped = np.exp(-np.arange(box // 2 + 1) / 3.0)
    assert choose_full_rings(reference, quiet, damped) < free


def test_the_band_holds_nearly_all_of_what_can_be_known():
    """The chosen band gives errors as small as the whole does."""
    box, n = 64, 192
    rng = np.random.default_rng(85)
    blobs = particle(box)
    poses = random_poses(rng, n, 4.0)
    images, variance = noisy(rng, blobs.images(box, *poses), 0.3)
    reference = single(blobs.images(box))
    plans = [plan_search(reference, white(box, variance), settings(box, full_rings=rings)) for rings in (None, 31)]
    assert plans[0].layout.n_rings < 25
    chosen, whole = (rms(errors(search_all(Searcher(p), images), *poses)[0]) for p in plans)
    assert chosen < 1.03 * whole
