"""Stated standard errors against the errors made: the standard deviation of (found - true) / stated is 1."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.filters import apply_ring_gain, bandpass
from cryoalign.core.masks import soft_disc
from cryoalign.core.search.bank import build_bank
from cryoalign.core.search.polar import plan_rings
from cryoalign.core.search.pose_errors import error_tables, reference_noise_power
from cryoalign.core.search.search import Searcher, mirror_images, plan_search
from cryoalign.core.search.weigh import ctf_coefficients
from helpers.blobs import random_blobs, random_poses
from helpers.searching import errors, noisy, search_all, settings, single, white

LOW, HIGH = 0.9 / 1.15, 1.1 * 1.15
BOX, N, MASK = 64, 512, 46.0


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """As in the workers of the jobs."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def view():
    """A particle, poses and clean images."""
    rng = np.random.default_rng(91)
    blobs = random_blobs(rng, 17.0, count=16, width=(1.2, 2.2))
    poses = random_poses(rng, N, 4.0)
    return blobs, poses, blobs.images(BOX, *poses)


def spreads(found, poses, *, centred=False):
    """Standard deviations of the pulls in psi and shift, of the images near the true angle."""
    psi, shift = errors(found, *poses)
    near = np.abs(psi) < 15
    x, y = (part[near] for part in np.split(shift, 2))
    psi = psi[near]
    if centred:
        # A noisy reference is off as a whole: one angle and one place in its own frame.
        c, s = np.cos(np.deg2rad(poses[0][near])), np.sin(np.deg2rad(poses[0][near]))
        x, y = c * x - s * y, s * x + c * y
        psi, x, y = psi - psi.mean(), x - x.mean(), y - y.mean()
    assert near.mean() > 0.99
    stated = found["shift_error_px"][near]
    return np.std(psi / found["psi_error_deg"][near]), np.std(np.concatenate([x / stated, y / stated]))


def check(found, poses, **options):
    for spread in spreads(found, poses, **options):
        assert LOW < spread < HIGH


def masked(references):
    return single(references * soft_disc(BOX, MASK))


def noise_of(rng, power):
    """Noise with a power per ring, (N, BOX, BOX); corners get the last ring's."""
    ring = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(BOX, 1 / BOX)] * 2))).astype(int)
    gain = np.sqrt(power[np.minimum(ring, BOX // 2)])
    return np.fft.ifft2(np.fft.fft2(rng.standard_normal((N, BOX, BOX))) * gain).real


@pytest.mark.parametrize("snr", [0.5, 0.1, 0.05])
def test_white_noise(view, snr):
    blobs, poses, clean = view
    images, variance = noisy(np.random.default_rng(92), clean, snr)
    searcher = Searcher(plan_search(masked(blobs.images(BOX)), white(BOX, variance), settings(BOX)))
    check(search_all(searcher, images), poses)


@pytest.fixture(scope="module")
def with_ctf(view):
    """Images with CTF and coloured noise at SNR .1, its power, the coefficients and the reference."""
    blobs, _, clean = view
    rng, pixel = np.random.default_rng(93), 3.0
    defocus = rng.uniform(10000, 22000, N)
    ctf = CtfParameters(300.0, 2.7, 0.1, defocus + 800, defocus - 800, rng.uniform(0, 180, N))
    values = ctf_images(ctf, BOX, pixel).astype(np.float64)
    seen = np.fft.irfft2(np.fft.rfft2(np.fft.ifftshift(clean, axes=(1, 2))) * values, s=(BOX, BOX))
    seen = np.fft.fftshift(seen, axes=(1, 2))
    power = 1.0 / (1.0 + (np.arange(BOX // 2 + 1) / 5.0) ** 2) + 0.1
    power *= seen.var(axis=(1, 2)).mean() / 0.1 / noise_of(np.random.default_rng(1), power).var()
    return single(seen + noise_of(rng, power)), power, ctf_coefficients(ctf, BOX, pixel), masked(blobs.images(BOX))


def test_ctf_and_coloured_noise(view, with_ctf):
    images, power, coefficients, reference = with_ctf
    searcher = Searcher(plan_search(reference, power[None], settings(BOX)))
    check(search_all(searcher, images, coefficients=coefficients), view[1])


def test_a_ctf_that_is_not_corrected(view, with_ctf):
    """What the search is not told still shows in the curvature."""
    images, power, _, reference = with_ctf
    # At 3 A/px the phases of the first rings agree: most particles are found without the CTF.
    found = search_all(Searcher(plan_search(reference, power[None], settings(BOX, full_rings=12))), images)
    psi, _ = errors(found, *view[1])
    assert 0.7 < np.std((psi / found["psi_error_deg"])[np.abs(psi) < 15]) < 1.4


def test_noise_that_is_known_but_not_whitened(view, with_ctf):
    images, power, coefficients, reference = with_ctf
    flat = np.full_like(power, power[1:].mean())[None]
    plain, told = (
        spreads(search_all(Searcher(plan), images, coefficients=coefficients), view[1])
        for plan in (
            plan_search(reference, flat, settings(BOX)),
            plan_search(reference, flat, settings(BOX), true_noise_power=power[None]),
        )
    )
    assert min(told) > LOW
    assert max(told) < HIGH
    assert max(plain) > 1.15 * max(told)


def test_the_intensity_of_a_reference_is_no_matter(view):
    blobs, _, clean = view
    images, variance = noisy(np.random.default_rng(92), clean, 0.1)
    reference = masked(blobs.images(BOX))
    one, five = (
        search_all(Searcher(plan_search(gain * reference, white(BOX, variance), settings(BOX))), images)
        for gain in (1.0, 5.0)
    )
    np.testing.assert_allclose(five["psi_error_deg"], one["psi_error_deg"], rtol=1e-3)
    np.testing.assert_allclose(five["shift_error_px"], one["shift_error_px"], rtol=1e-3)


def test_a_low_pass_filter(view):
    blobs, poses, clean = view
    images, variance = noisy(np.random.default_rng(94), clean, 0.1)
    low = apply_ring_gain(single(blobs.images(BOX)), bandpass(BOX, 1.0, 8.0, None))
    check(search_all(Searcher(plan_search(masked(low), white(BOX, variance), settings(BOX))), images), poses)


@pytest.mark.parametrize("members", [50, 300])
def test_references_with_noise_of_their_own(view, members):
    blobs, poses, clean = view
    rng = np.random.default_rng(95)
    images, variance = noisy(rng, clean, 0.1)
    whole = single(blobs.images(BOX) + np.sqrt(variance / members) * rng.standard_normal((1, BOX, BOX)))
    outside = reference_noise_power(whole, MASK)
    blind, told = (
        search_all(Searcher(plan_search(masked(whole), white(BOX, variance), settings(BOX), **known)), images)
        for known in ({}, {"reference_noise": outside})
    )
    check(told, poses, centred=True)
    assert max(spreads(blind, poses, centred=True)) > (1.4 if members == 50 else 1.02) * max(
        spreads(told, poses, centred=True)
    )
    # Errors are all that it changes.
    for name in ("psi", "dx", "dy", "score", "margin"):
        np.testing.assert_array_equal(blind[name], told[name])


def test_mirrored_images(view):
    blobs, poses, clean = view
    images, variance = noisy(np.random.default_rng(96), clean, 0.1)
    images[::2] = mirror_images(images[::2])
    plan = plan_search(masked(blobs.images(BOX)), white(BOX, variance), settings(BOX, mirror=True))
    found = search_all(Searcher(plan), images)
    assert np.mean(found["mirror"] == (np.arange(N) % 2 == 0)) == 1.0
    check(found, poses)


def test_slopes_of_a_reference_against_finite_differences():
    """Turn and shift the formula a little; the power of the difference, ring by ring."""
    blobs, layout, e = random_blobs(np.random.default_rng(97), 17.0), plan_rings(BOX, 20), 1e-4
    kx, ky = layout.points()

    def at(angle, x, y):
        c, s = np.cos(angle), np.sin(angle)
        turned = blobs.transform(BOX, c * kx + s * ky, c * ky - s * kx)
        return turned * np.exp(-2j * np.pi / BOX * (kx * x + ky * y))

    steps = e * np.eye(3)
    slopes = np.stack([(at(*step) - at(*-step)) / (2 * e) for step in steps])
    weight = np.repeat(layout.ring_weight, layout.ring_samples)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    products = np.stack([weight * np.real(slopes[u].conj() * slopes[v]) for u, v in pairs])
    expected = np.add.reduceat(products, layout.ring_start[:-1], axis=1)
    found = error_tables(build_bank(blobs.images(BOX), layout), 20.0, None)
    # Cross terms are small beside the product of their factors, which is what errors count against.
    size = np.sqrt(expected[[0, 3, 5]].sum(axis=1))
    scale = np.array([size[u] * size[v] for u, v in pairs])
    assert np.abs((found.slope[0] - expected) / scale[:, None]).max() < 1e-3
    assert np.abs(expected[1:3] / scale[1:3, None]).max() > 1e-2


def test_a_reference_without_background_carries_no_noise():
    reference = masked(random_blobs(np.random.default_rng(98), 17.0).images(BOX))
    np.testing.assert_array_equal(reference_noise_power(reference, MASK + 12), 0.0)
