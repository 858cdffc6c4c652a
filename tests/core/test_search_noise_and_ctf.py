"""What the search knows of CTF and noise: it pays, it is used per image, and it sets the band."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.search.search import Searcher, choose_full_rings, plan_search
from cryoalign.core.search.weigh import ctf_coefficients
from helpers.blobs import degrees_apart, random_blobs, random_poses, rms
from helpers.searching import errors, noisy, particle, search_all, settings, single, white


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """As in the workers of the jobs."""
    with threadpool_limits(1):
        yield


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
