"""References made to fit, and alignment of tiles to them."""

import numpy as np
import pytest

from cryoalign.alignment.to_references import (
    ReferenceAligner,
    TileInputs,
    mask_references,
    origin_change,
)
from cryoalign.core.poses import Poses
from cryoalign.core.search.search import SearchSettings, plan_search
from helpers.blobs import degrees_apart, random_blobs, random_poses, rms

BOX = 64


def single(images):
    return np.ascontiguousarray(images, dtype=np.float32)


def distance(box):
    offset = np.arange(box) - box // 2
    return np.hypot(offset[:, None], offset[None, :])


# Masks


@pytest.mark.parametrize("box", [64, 65])
def test_masking_takes_the_level_off_and_leaves_the_inside(box):
    particles = random_blobs(np.random.default_rng(111), 12.0).images(box)
    references = single(np.concatenate([particles + 7.5, 2 * particles - 30.0]))
    masked = mask_references(references, 50.0)
    inside, outside = distance(box) < 24, distance(box) > 31
    np.testing.assert_allclose(masked[0][inside], particles[0][inside], atol=2e-3)
    np.testing.assert_allclose(masked[1][inside], 2 * particles[0][inside], atol=4e-3)
    assert not masked[:, outside].any()
    assert masked.dtype == np.float32


def test_a_filter_goes_before_the_mask():
    rng = np.random.default_rng(112)
    references = single(rng.standard_normal((1, BOX, BOX)))
    masked = mask_references(references, 40.0, pixel_size_angstrom=2.0, lowpass_angstrom=10.0)
    assert not masked[0][distance(BOX) > 26].any()
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(BOX, 2.0), np.fft.fftfreq(BOX, 2.0)))
    power = np.abs(np.fft.fft2(masked[0])) ** 2
    assert power[k > 0.15].mean() < 0.01 * power[(k > 0.02) & (k < 0.08)].mean()
    assert not np.allclose(masked, mask_references(references, 40.0), atol=0.1)
    high = mask_references(references, 40.0, pixel_size_angstrom=2.0, highpass_angstrom=20.0)
    power = np.abs(np.fft.fft2(high[0])) ** 2
    assert power[k < 0.02].mean() < 0.1 * power[k > 0.1].mean()


# Alignment


@pytest.fixture(scope="module")
def aligner():
    blobs = random_blobs(np.random.default_rng(115), 18.0)
    plan = plan_search(single(blobs.images(BOX)), np.full((1, BOX // 2 + 1), 1.0), SearchSettings(5.0, 23.0))
    return ReferenceAligner(plan), blobs


def inputs(n, **changes):
    values = {
        "valid": np.ones(n, bool),
        "group": np.zeros(n, np.int64),
        "coefficients": None,
        "intact_first_peak": False,
        "origin": np.zeros((n, 2)),
    }
    return TileInputs(**(values | changes))


def test_local_search_with_flip_also_finds_the_opposite_direction(aligner):
    aligner, blobs = aligner
    rng = np.random.default_rng(116)
    psi, dx, dy = random_poses(rng, 64, 4.0)
    images = single(blobs.images(BOX, psi, dx, dy))
    opposite = rng.random(64) < 0.5
    prior = psi + rng.uniform(-6, 6, 64) + np.where(opposite, 180.0, 0.0)
    both = aligner.align(images, inputs(64, psi_prior=prior, local_deg=10.0, local_flip=True))
    assert rms(degrees_apart(both.poses.psi, psi)) < 0.01
    assert rms(both.poses.dx - dx) < 0.01
    assert (both.score > 0.999).all()
    one = aligner.align(images, inputs(64, psi_prior=prior, local_deg=10.0))
    assert np.abs(degrees_apart(one.poses.psi, prior)).max() <= 10.0 + 1e-6
    assert rms(degrees_apart(one.poses.psi, psi)[~opposite]) < 0.01
    assert (np.abs(degrees_apart(one.poses.psi, psi)[opposite]) > 160).all()
    # What the loser scored counts against the winner's margin.
    np.testing.assert_array_less(both.margin[opposite], (both.score - one.score)[opposite] + 1e-9)
    # The field of every answer is the winner's.
    flipped = aligner.align(images, inputs(64, psi_prior=prior + 180.0, local_deg=10.0))
    for name in ("score", "psi_error_deg", "shift_error_px", "scale", "at_limit"):
        expected = np.where(flipped.score > one.score, getattr(flipped, name), getattr(one, name))
        np.testing.assert_array_equal(getattr(both, name), expected)


def test_without_a_prior_the_whole_circle_is_searched(aligner):
    aligner, blobs = aligner
    psi, dx, dy = random_poses(np.random.default_rng(117), 20, 4.0)
    found = aligner.align(single(blobs.images(BOX, psi, dx, dy)), inputs(20))
    assert rms(degrees_apart(found.poses.psi, psi)) < 0.01


def test_what_is_known_of_a_tile_reaches_the_search(aligner):
    aligner, blobs = aligner
    psi, dx, dy = random_poses(np.random.default_rng(118), 8, 4.0)
    origin = np.tile([[7.0, -6.0]], (8, 1))
    images = single(blobs.images(BOX, psi, dx + 7.0, dy - 6.0))
    valid = np.arange(8) != 3
    found = aligner.align(images, inputs(8, origin=origin, valid=valid))
    moved = origin_change(found.poses, origin)
    np.testing.assert_allclose(moved[valid], np.stack([dx, dy], axis=1)[valid], atol=0.01)
    assert found.score[3] == 0.0


def test_origin_change_is_the_difference():
    poses = Poses([10.0, 20.0], [3.0, -1.0], [2.0, 5.0])
    np.testing.assert_allclose(origin_change(poses, np.array([[1.0, 1.0], [0.0, 7.0]])), [[2, 1], [-1, -2]])
