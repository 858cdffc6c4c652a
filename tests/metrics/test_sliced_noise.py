"""Deformed, noisy and hand-written images by sliced Wasserstein distances, beside the Euclidean one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoalign.core.filters import apply_ring_gain
from cryoalign.metrics.automatic import choice, sliced_weight
from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.pair_search import lowest
from cryoalign.metrics.sliced.angle_curve import curves, harmonics
from cryoalign.metrics.sliced.polar_euclidean import euclidean_columns
from cryoalign.metrics.sliced.sinogram import LineTransform, line_gain, line_layout
from cryoalign.metrics.sliced.wiener_split import (
    LineReader,
    known_of_stack,
    masked_images,
    masked_noise_power,
    stack_power,
    wiener_gain,
)
from helpers.blobs import Blobs, random_blobs, random_poses
from helpers.mnist_digits import apart, padded, posed, read_digits, sets

ROTATIONS = SearchLimits()


def polar_harmonics(images, known):
    """Mask, filter and expand images where they are, for Euclidean curves over the angle."""
    layout = line_layout(images.shape[-1])
    transform, gain = LineTransform(layout), np.float32(1.0)
    if known.noise_spectrum is not None:
        wiener = wiener_gain(known.stack_spectrum, masked_noise_power(known, layout.box))
        gain = line_gain(layout, 0.0, wiener)
    return harmonics([euclidean_columns(transform(m) * gain, layout) for m in masked_images(images, known)])


def euclidean_angles(reference, images, background):
    curve = curves(polar_harmonics(reference[None], background), polar_harmonics(images, background))
    return lowest(curve, ROTATIONS, np.arange(len(images)))[0][0]


def angles(name, reference, images, known, limits=ROTATIONS):
    kind = measure(name)
    clean = Preparation(known.mask_radius_px)
    return kind.search(kind.prepare(reference[None], clean), kind.prepare(images, known), limits).poses.psi


def share(name, data, known, limits=ROTATIONS):
    """Percent of images within 25 degrees."""
    right = []
    for reference, images, psi, *_ in data:
        found = euclidean_angles(reference, images, known) if name == "polar" else None
        found = angles(name, reference, images, known, limits) if found is None else found
        right.append(apart(found, psi) <= 25)
    return 100 * np.concatenate(right).mean()


def noisy(data, snr, radius, seed=100):
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(np.concatenate([d[1] for d in data]).var(axis=(1, 2)).mean() / snr)
    noised = [
        (d[0], (d[1] + sigma * rng.normal(size=d[1].shape)).astype(np.float32), *d[2:]) for d in data
    ]  # fmt: skip
    box = data[0][0].shape[-1]
    known = Preparation(radius, np.full(box // 2 + 1, sigma**2))
    return noised, replace(known_of_stack(np.concatenate([d[1] for d in noised]), known), snr=None)


@pytest.fixture(scope="module")
def digits(real_data):
    return sets(real_data / "mnist", 60, 0)


def test_jittered_blobs_are_turned_back():
    """Twenty molecules of eight blobs, ten copies each; every blob moved by 5 px along each axis."""
    rng = np.random.default_rng(1)
    data = []
    for _ in range(20):
        r, a = 18 * np.sqrt(rng.random(8)), 2 * np.pi * rng.random(8)
        x, y, width, height = r * np.cos(a), r * np.sin(a), np.full(8, 1.5), rng.uniform(0.5, 1.5, 8)
        psi = rng.uniform(-180, 180, 10)
        moved = [
            Blobs(x + 5 * rng.normal(size=8), y + 5 * rng.normal(size=8), width, height).image(65, psi=p) for p in psi
        ]
        data.append((Blobs(x, y, width, height).image(65).astype(np.float32), np.array(moved, np.float32), psi))
    known = Preparation(32.0)
    assert share("rfsw", data, known) >= 74
    assert share("polar", data, known) <= 55


def test_head_and_tail_stay_where_they_are():
    """Two blobs that move apart: the geometric answer is 11 degrees off, the Euclidean one upside down."""
    width, height = np.array([4.0, 3.0]), np.ones(2)
    reference = Blobs(np.array([14.0, -14.0]), np.zeros(2), width, height).image(96).astype(np.float32)
    moved = Blobs(np.array([24.0, -12.0]), np.array([4.0, -3.0]), width, height).image(96, psi=75.0)
    known, images = Preparation(48.0), np.asarray(moved, np.float32)[None]
    for name in ("sw", "rfsw"):
        assert apart(angles(name, reference, images, known), 75.0)[0] <= 15
    assert apart(euclidean_angles(reference, images, known), 75.0)[0] >= 150


def test_digits_are_turned_back(digits):
    known = Preparation(32.0)
    best, plain, polar = (share(name, digits, known) for name in ("rfsw", "sw", "polar"))
    assert best >= 82
    assert best >= plain + 4 and best >= polar + 4


def test_shifted_digits_are_turned_back_in_closed_form(real_data):
    data, known = sets(real_data / "mnist", 60, 0, 6.0), Preparation(32.0)
    assert share("rfsw", data, known, SearchLimits(9.0)) >= 81
    assert share("rfsw", data, known, SearchLimits(9.0, translation="none")) <= 50


def test_copies_are_put_back_onto_themselves(real_data):
    """Ten images of each digit: all within a degree and .15 px."""
    pixels, labels = read_digits(real_data / "mnist")
    rng, kind = np.random.default_rng(3), measure("rfsw")
    for digit in (2, 3, 4, 5, 6, 7, 9):
        originals = padded(pixels[labels == digit][:10])
        psi, (dx, dy) = rng.uniform(-180, 180, 10), rng.uniform(-6, 6, (2, 10))
        a = kind.prepare(originals.astype(np.float32), Preparation(32.0))
        b = kind.prepare(posed(originals, psi, dx, dy), Preparation(32.0))
        found, own = kind.table(a, b, SearchLimits(9.0)), np.arange(10)
        assert apart(found.psi[own, own], psi).max() <= 1.0
        assert np.hypot(found.dx[own, own] - dx, found.dy[own, own] - dy).max() <= 0.15


def test_a_high_pass_before_the_plain_distance_does_not_help(digits):
    """The negative control: it is the split of filtered projections that helps, not the filter alone."""
    known, ring = Preparation(32.0), np.arange(33)
    plain, best = share("sw", digits, known), share("rfsw", digits, known)
    as_lines = {}
    for cut in (3, 6):
        gain = np.clip((ring - cut) / 2 + 0.5, 0, 1)
        filtered = [(apply_ring_gain(d[0][None], gain)[0], apply_ring_gain(d[1], gain), d[2]) for d in digits]
        density = [(np.maximum(reference, 0), np.maximum(images, 0), psi) for reference, images, psi in filtered]
        control = share("sw", density, known)
        assert control <= plain + 1 and control <= best - 4
        as_lines[cut] = share("sw", filtered, known)
    # Clipped after the projection, as filtered lines are, the right cut helps, and no other.
    assert plain + 3 <= as_lines[3] <= best + 1
    assert as_lines[6] <= plain - 5


@pytest.mark.parametrize(("snr", "name", "least", "over"), [(1.0, "rfsw", 80, 2), (0.1, "auto", 74, -2)])
def test_noise_is_filtered_before_the_split(digits, snr, name, least, over):
    data, known = noisy(digits, snr, 16)
    found = share(name, data, known)
    assert found >= least
    assert found >= share("euclidean", data, known) + over
    unaware = share("rfsw", data, Preparation(32.0))
    assert unaware <= found - 8


def test_very_noisy_images_go_by_euclidean_distance_nearly_alone(digits):
    data, known = noisy(digits, 0.03, 16)
    assert share("auto", data, known) >= 70
    assert share("rfsw", data, known) <= 60


def test_the_noise_says_which_measure(digits):
    assert [choice(snr, False) for snr in (np.inf, 0.3, 0.01)] == ["rfsw", "fusion", "euclidean"]
    assert [choice(snr, True) for snr in (np.inf, 1.0, 0.3)] == ["rfsw", "rfsw", "euclidean"]
    assert sliced_weight(0.3) > sliced_weight(0.05) > 0
    for snr in (1.0, 0.1):
        data, known = noisy(digits, snr, 20)
        assert LineReader(data[0][1], known).snr == pytest.approx(snr, rel=0.15)
    assert LineReader(data[0][1], Preparation(20)).snr == np.inf
    assert LineReader(data[0][1], replace(known, snr=7.0)).snr == 7.0
    # Never by the images that happen to be prepared together.
    with pytest.raises(ValueError, match="spectrum of their stack"):
        LineReader(data[0][1], replace(known, stack_spectrum=None))


def test_auto_is_the_measure_it_chose(digits):
    reference, images, *_ = digits[0]
    data, known = noisy(digits, 0.2, 16)
    automatic, sliced, limits = measure("auto"), measure("rfsw"), SearchLimits(mirror=True)
    clean = Preparation(16)
    a = automatic.prepare(reference[None], clean)
    found = automatic.search(a, automatic.prepare(images, clean), limits)
    other = sliced.search(sliced.prepare(reference[None], clean), sliced.prepare(images, clean), limits)
    np.testing.assert_array_equal(found.poses.psi, other.poses.psi)
    # Fused: the curve has its lowest point where the search found it, and the value agrees.
    b = automatic.prepare(data[0][1][:4], known)
    fused = automatic.search(a, b, limits)
    alone = automatic.search(a, automatic.prepare(data[0][1][2:3], known), limits)
    assert alone.poses.psi[0] == fused.poses.psi[2] and alone.score[0] == fused.score[2]
    at = fused.poses.take([2])
    curve = automatic.curve(a, automatic.prepare(data[0][1][2:3], known), np.arange(-180.0, 180.0), at)
    assert curve.min() == pytest.approx(fused.score[2], abs=0.005)
    assert apart(np.argmin(curve) - 180.0, at.psi[0]) <= 1.0
    value = automatic.value(reference, data[0][1][2], at, known)
    assert value[0] == pytest.approx(fused.score[2], abs=0.005)


def test_masks_and_gains():
    rng = np.random.default_rng(0)
    images = (3.0 + rng.normal(size=(40, 64, 64))).astype(np.float32)
    known = Preparation(20.0, np.ones(33))
    masked = masked_images(images, known)
    assert np.abs(masked[:, 0]).max() == 0 and abs(masked.mean()) < 0.01
    # Nothing but noise: its spectrum inside the mask is the one that is told, and all rings close.
    noise = masked_noise_power(known, 64)
    np.testing.assert_allclose(stack_power(images, known)[3:], noise[3:], rtol=0.25)
    assert (wiener_gain(noise, noise) <= 1e-3 + 1e-9).all()
    np.testing.assert_allclose(wiener_gain(np.full(5, 4.0), np.full(5, 1.0)), 0.75)


@pytest.mark.parametrize("name", ["sw", "sw1", "rfsw"])
@pytest.mark.parametrize("mirror", [False, True])
def test_shifts_of_noisy_copies_are_mended(name, mirror):
    """At SNR 1 the closed form is .4 px off, the peak of the correlation near it .13."""
    rng, box, n = np.random.default_rng(2), 64, 30
    blobs = random_blobs(rng, 18)
    psi, dx, dy = random_poses(rng, n, box / 12)
    clean = blobs.images(box, psi, dx, dy, mirror)
    variance = clean.var(axis=(1, 2)).mean()
    images = (clean + np.sqrt(variance) * rng.normal(size=clean.shape)).astype(np.float32)
    radius, kind, limits = 0.38 * box, measure(name), SearchLimits(box / 12, mirror=mirror)
    known = known_of_stack(images, Preparation(radius, np.full(box // 2 + 1, variance)))
    reference = kind.prepare(blobs.image(box).astype(np.float32)[None], Preparation(radius))
    off = {}
    for snr in (known.snr, 100.0):  # told that there is next to no noise, it stays with the closed form
        features = kind.prepare(images, replace(known, snr=snr))
        found = kind.search(reference, features, limits)
        assert (found.poses.mirror == mirror).all()
        off[snr] = np.median(np.hypot(found.poses.dx - dx, found.poses.dy - dy))
        table = kind.table(reference, features, limits)
        np.testing.assert_array_equal(table.dx[0], found.poses.dx)
    assert off[known.snr] < 0.2 and off[known.snr] < 0.5 * off[100.0]
    alone = kind.search(reference, kind.prepare(images[4:5], known), limits)
    again = kind.search(reference, kind.prepare(images, known), limits)
    assert alone.poses.dx[0] == again.poses.dx[4] and alone.poses.dy[0] == again.poses.dy[4]


@pytest.mark.parametrize(
    ("snr", "count", "better", "worse"), [(1.0, 40, "rfsw", "euclidean"), (0.1, 20, "euclidean", "rfsw")]
)
def test_noisy_digits_that_are_shifted_too_go_by_the_better_measure(real_data, snr, count, better, worse):
    data, known = noisy(sets(real_data / "mnist", count, 0, 6.0), snr, 16)
    found = {name: share(name, data, known, SearchLimits(9.0)) for name in ("auto", better, worse)}
    assert found["auto"] == found[better] > found[worse] + 1
