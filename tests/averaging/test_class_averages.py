"""Averages from sums: the filter, the halves, and what is said about them."""

import numpy as np
import pytest

from cryoalign.averaging.class_averages import finish_averages, finish_in_chunks, half_references
from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.averaging.frc import resolution_at, ring_products
from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region, soft_disc
from cryoalign.core.poses import Poses
from helpers.blobs import random_blobs

BOX, PIXEL, MASK = 64, 3.0, 46.0
OUTSIDE = background_region(BOX, MASK)


def some_ctf(n, seed):
    rng = np.random.default_rng(seed)
    defocus = rng.uniform(8000, 16000, n)
    return CtfParameters(300.0, 2.7, 0.1, defocus + 300, defocus - 300, rng.uniform(0, 180, n))


def molecule(seed):
    return random_blobs(np.random.default_rng(seed), 0.22 * BOX, 16, (0.9, 1.8))


class Sums:
    """Sums of both halves of some classes, all treatments, as (m, 2, ...) arrays."""

    def __init__(self, members, snr, *, with_ctf=True, seed=31, level=0.0, classes=None):
        classes = range(len(members)) if classes is None else classes
        self.clean = np.stack([molecule(100 + c).image(BOX) for c in classes])
        self.of = {}
        m = len(members)
        sums = {t: self._new(2 * m, t) for t in ("wiener", "flip", "plain")}
        for c, (kind, n) in enumerate(zip(classes, members, strict=True)):
            if n == 0:
                continue
            rng = np.random.default_rng([seed, kind])
            poses = Poses(rng.uniform(-180, 180, n), *rng.normal(0, 1.5, (2, n)))
            images = molecule(100 + kind).images(BOX, psi=poses.psi, dx=poses.dx, dy=poses.dy)
            ctf = some_ctf(n, [seed, kind]) if with_ctf else None
            if ctf is not None:
                images = np.fft.irfft2(np.fft.rfft2(images) * ctf_images(ctf, BOX, PIXEL), s=(BOX, BOX))
            deviation = images.std() / np.sqrt(snr) if snr else 0.0
            images = (images + level + deviation * rng.standard_normal(images.shape)).astype(np.float32)
            for treatment in sums:
                sums[treatment].add(images, poses, 2 * c + np.arange(n) % 2, ctf)
        for treatment, s in sums.items():
            self.of[treatment] = (
                s.totals().reshape(m, 2, BOX, BOX),
                s.ctf_power().reshape(m, 2, BOX, BOX // 2 + 1),
                s.counts.reshape(m, 2),
            )

    @staticmethod
    def _new(cells, treatment):
        scale = fixed_point_scale(1.0)
        return ClassSums(SumSettings(BOX, PIXEL, BOX, PIXEL, cells, scale, treatment))

    def finished(self, treatment="wiener", shared_ring=0, **options):
        return finish_averages(
            *self.of[treatment],
            mask_diameter_px=MASK,
            pixel_size_angstrom=PIXEL,
            treatment=treatment,
            shared_ring=shared_ring,
            **options,
        )


def correlations(images, clean):
    inside = soft_disc(BOX, MASK) > 0.5
    return np.array([np.corrcoef(a[inside], b[inside])[0, 1] for a, b in zip(images, clean, strict=True)])


def centred(images):
    return images - images[..., OUTSIDE].mean(axis=-1)[..., None, None]


def resolution_with(images, clean, threshold=0.5):
    mask = soft_disc(BOX, MASK)
    frc = ring_products(centred(images) * mask, centred(clean) * mask).correlation()
    return np.array([resolution_at(f, np.full(BOX // 2 + 1, threshold), 3, BOX, PIXEL) for f in frc])


@pytest.fixture(scope="module")
def noisy():
    return Sums([60, 120, 240, 80], 0.1)


def test_without_noise_it_is_the_clean_image():
    sums = Sums([200], 0)
    for ssnr, least in ((None, 0.998), (1e6, 0.998)):
        found = sums.finished(ssnr=ssnr)
        assert found.averages.dtype == np.float32
        assert correlations(found.averages, sums.clean)[0] > least
        # The scale is that of the particles too, not only the shape.
        assert (found.averages * sums.clean).sum() / (centred(sums.clean) ** 2).sum() == pytest.approx(1.0, abs=0.03)
        assert abs(found.averages).max() < 1.5 * sums.clean.max()
    assert found.frc[0].resolution_angstrom == pytest.approx(2 * PIXEL)
    assert found.quality[0] > 0.9
    assert correlations(Sums([200], 0, with_ctf=False).finished().averages, sums.clean)[0] > 0.9999


def test_the_filter_beats_plain_means_phase_flipping_and_no_filter(noisy):
    found = {t: noisy.finished(t).averages for t in ("wiener", "flip", "plain")}
    least_squares = noisy.finished(ssnr=1e9).averages
    wiener = correlations(found["wiener"], noisy.clean)
    assert (wiener > 0.93).all()
    for other, margin in ((found["flip"], 0.02), (found["plain"], 0.2), (least_squares, 0.002)):
        assert (wiener - correlations(other, noisy.clean) > margin).all()
    assert (resolution_with(found["plain"], noisy.clean) > 1.3 * resolution_with(found["wiener"], noisy.clean)).all()


def test_plain_and_flipped_averages_are_means(noisy):
    for treatment in ("plain", "flip"):
        totals, _, counts = noisy.of[treatment]
        found = noisy.finished(treatment)
        expected = totals.sum(axis=1) / counts.sum(axis=1)[:, None, None]
        np.testing.assert_allclose(found.averages, expected, atol=1e-6)
        for half in (0, 1):
            expected = totals[:, half] / counts[:, half, None, None]
            np.testing.assert_allclose(found.halves[half], expected, atol=1e-6)


def test_the_reported_resolution_is_that_of_the_average_against_the_clean_image(noisy):
    found = noisy.finished()
    true = resolution_with(found.averages, noisy.clean)
    reported = np.array([f.resolution_angstrom for f in found.frc])
    assert np.median(np.abs(reported / true - 1)) < 0.1
    assert (np.abs(reported / true - 1) < 0.3).all()
    for f in found.frc:
        assert 2 * PIXEL <= f.resolution_angstrom < f.resolution_half_angstrom < 60
    shared = noisy.finished(shared_ring=BOX // 2)
    assert {f.resolution_angstrom for f in shared.frc} == {999.0}
    np.testing.assert_array_equal(shared.averages, found.averages)


def test_the_signal_to_noise_ratio_is_the_one_put_in():
    # White noise and white signal: the ratio is known on every ring, and no CTF changes it.
    rng = np.random.default_rng(32)
    n, ratio = 400, 0.05
    mask = soft_disc(BOX, MASK).astype(float)
    signal = rng.standard_normal((BOX, BOX))
    totals = np.stack([n / 2 * signal + np.sqrt(n / 2 / ratio) * rng.standard_normal((BOX, BOX)) for _ in (0, 1)])
    power = np.full((1, 2, BOX, BOX // 2 + 1), n / 2)
    found = finish_averages(
        totals[None], power, np.full((1, 2), n // 2), mask_diameter_px=MASK, pixel_size_angstrom=PIXEL,
        treatment="wiener", shared_ring=0,
    )  # fmt: skip
    assert np.median(found.ssnr_per_image[0, 4:]) == pytest.approx(ratio, rel=0.1)
    assert np.median(found.frc[0].ssnr[4:]) == pytest.approx(n * ratio, rel=0.1)
    np.testing.assert_allclose(found.frc[0].frc[4:].mean(), n * ratio / (n * ratio + 2), atol=0.03)
    assert mask.mean() < 1


def test_small_classes_lean_on_the_others():
    members, classes = [6] * 12 + [300] * 3, [*range(12), 20, 21, 22]
    sums = Sums(members, 0.3, classes=classes)
    together = correlations(sums.finished().averages, sums.clean)[:12]
    alone = []
    for c in range(12):
        totals, power, counts = (v[c : c + 1] for v in sums.of["wiener"])
        one = finish_averages(
            totals, power, counts, mask_diameter_px=MASK, pixel_size_angstrom=PIXEL, treatment="wiener", shared_ring=0
        )
        alone.append(correlations(one.averages, sums.clean[c : c + 1])[0])
    assert together.mean() > np.mean(alone)
    assert together.min() > min(alone) - 0.01
    unfiltered = correlations(sums.finished(ssnr=1e9).averages, sums.clean)[:12]
    assert (together > unfiltered + 0.035).all()


def test_empty_classes_and_classes_of_one_half_are_harmless(noisy):
    sums = Sums([0, 60, 1], 0.3)
    found = sums.finished()
    np.testing.assert_array_equal(found.counts, [0, 60, 1])
    assert not found.averages[0].any()
    assert not found.halves[:, 0].any()
    assert found.frc[0] is None
    assert found.frc[2] is None
    assert found.averages[2].any()
    assert not found.halves[1, 2].any()
    assert found.quality[0] == found.quality[2] == 0
    for value in (found.averages, found.halves, found.quality, found.ssnr_per_image):
        assert np.isfinite(value).all()
    lonely = Sums([1], 0.3).finished()
    assert np.isfinite(lonely.averages).all()
    assert lonely.averages.any()


@pytest.mark.parametrize("treatment", ["wiener", "flip", "plain"])
def test_classes_at_once_change_no_bit(treatment):
    sums = Sums([30, 0, 11, 1, 24, 40, 6, 9, 13], 0.3)
    totals, power, counts = sums.of[treatment]
    whole = sums.finished(treatment)
    for at_once in (1, 4, 7, 100):
        found = finish_in_chunks(
            lambda first, stop: (totals[first:stop], power[first:stop]), counts, box=BOX, classes_at_once=at_once,
            mask_diameter_px=MASK, pixel_size_angstrom=PIXEL, treatment=treatment, shared_ring=0,
        )  # fmt: skip
        for name in ("averages", "halves", "counts", "ssnr_per_image", "quality"):
            assert getattr(found, name).tobytes() == getattr(whole, name).tobytes(), (name, at_once)
        for one, other in zip(found.frc, whole.frc, strict=True):
            assert (one is None) == (other is None)
            assert one is None or (one.frc.tobytes(), one.ssnr.tobytes()) == (other.frc.tobytes(), other.ssnr.tobytes())


def test_a_level_of_the_particles_does_not_reach_the_average(noisy):
    raised = Sums([60, 120, 240, 80], 0.1, level=50.0).finished()
    found = noisy.finished()
    np.testing.assert_allclose(raised.averages, found.averages, atol=0.02 * found.averages.std())
    assert np.abs(raised.averages[:, OUTSIDE].mean(axis=1)).max() < 1e-3
    np.testing.assert_allclose(raised.quality, found.quality, atol=0.01)


def test_quality_grows_with_signal_and_is_low_for_noise():
    good, fair, poor = (Sums([80], snr, with_ctf=False).finished().quality[0] for snr in (1.0, 0.1, 0.01))
    assert 1 >= good > fair + 0.1 > poor + 0.15
    rng = np.random.default_rng(33)
    power = np.full((30, 2, BOX, BOX // 2 + 1), 40.0)
    junk = finish_averages(
        rng.standard_normal((30, 2, BOX, BOX)), power, np.full((30, 2), 40), mask_diameter_px=MASK,
        pixel_size_angstrom=PIXEL, treatment="wiener", shared_ring=0,
    )  # fmt: skip
    assert junk.quality.max() < 0.1
    assert junk.quality.mean() < 0.03
    assert [f.resolution_angstrom for f in junk.frc].count(999.0) >= 28


def test_half_references_come_from_one_half_alone(noisy):
    totals, power, counts = noisy.of["wiener"]
    found = noisy.finished()
    references = half_references(totals, power, counts, found.ssnr_per_image, mask_diameter_px=MASK)
    assert references.shape == (2, 4, BOX, BOX)
    changed = totals.copy()
    changed[:, 1] = 0.0
    again = half_references(changed, power, counts, found.ssnr_per_image, mask_diameter_px=MASK)
    np.testing.assert_array_equal(again[0], references[0])
    assert not np.array_equal(again[1], references[1])
    full = correlations(found.averages, noisy.clean)
    for half in (0, 1):
        assert (correlations(references[half], noisy.clean) > correlations(found.halves[half], noisy.clean)).all()
        assert (correlations(references[half], noisy.clean) < full + 0.005).all()
    none = half_references(totals, power, np.zeros_like(counts), found.ssnr_per_image, mask_diameter_px=MASK)
    assert not none.any()


def test_a_mask_over_the_whole_box_is_refused(noisy):
    totals, power, counts = noisy.of["wiener"]
    with pytest.raises(InputError, match="leaves no background"):
        finish_averages(
            totals, power, counts, mask_diameter_px=2.0 * BOX, pixel_size_angstrom=PIXEL, treatment="wiener",
            shared_ring=0,
        )  # fmt: skip


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("with_ctf", [False, True])
def test_noise_alone_stays_under_its_curve_and_reports_no_resolution(coloured, with_ctf):
    runs, n, rng = 100, 10, np.random.default_rng(34)
    k = np.hypot(*np.meshgrid(np.fft.rfftfreq(BOX, PIXEL), np.fft.fftfreq(BOX, PIXEL)))
    amplitude = np.sqrt(1 + 15 / (1 + (k / 0.04) ** 3)) if coloured else np.ones_like(k)
    sums = Sums._new(2 * runs, "wiener")
    for run in range(runs):
        images = filtered_noise(rng, n, amplitude)
        poses = Poses(rng.uniform(-180, 180, n), *rng.normal(0, 2, (2, n)))
        sums.add(images, poses, 2 * run + np.arange(n) % 2, some_ctf(n, [35, run]) if with_ctf else None)
    found = finish_averages(
        sums.totals().reshape(runs, 2, BOX, BOX),
        sums.ctf_power().reshape(runs, 2, BOX, -1),
        sums.counts.reshape(runs, 2),
        mask_diameter_px=MASK,
        pixel_size_angstrom=PIXEL,
        treatment="wiener",
        shared_ring=0,
    )
    assert np.mean([(f.frc <= f.noise_curve)[1:].all() for f in found.frc]) >= 0.95
    assert np.mean([f.resolution_angstrom == 999.0 for f in found.frc]) >= 0.95


def filtered_noise(rng, n, amplitude):
    white = rng.standard_normal((n, BOX, BOX))
    return np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(BOX, BOX)).astype(np.float32)
