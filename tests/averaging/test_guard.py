"""The guard against model bias tells particles from noise and from other molecules, and knows when it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.alignment.to_references import mask_references
from cryoalign.averaging.ctf_sums import POWER_SCALE
from cryoalign.averaging.guard import held_out_products, judge, judge_classes, judge_cross_fitted, judged_references
from cryoalign.core.ctf import ctf_images
from cryoalign.core.filters import apply_ring_gain
from helpers.guard import BOX, COLOURED, MASK, WHITE, defoci, look, noise, particles, view

SNR = 0.05


def reference(snr: float = SNR, **options) -> np.ndarray:
    return np.float32(np.sqrt(snr)) * view(**options)


def test_products_are_what_the_formula_says():
    rng = np.random.default_rng(1)
    aligned, references = rng.normal(size=(2, 5, 16, 16)).astype(np.float32)
    index = np.array([4, 0, 0, 2, 4])
    power = rng.uniform(0.5, 2.0, (5, 9))
    u, _ = held_out_products(aligned, references, index, np.full((5, 9), int(POWER_SCALE)), power, 5)
    frequency = np.fft.fftfreq(16, 1 / 16)
    ring = np.floor(np.hypot(frequency[:, None], frequency[None, :]) + 0.5).astype(int)
    for i in range(5):
        f, g = np.fft.fft2(aligned[i]), np.fft.fft2(references[index[i]])
        inside = (ring >= 5) & (ring <= 7)
        expected = ((f * g.conj()).real[inside] / power[i][ring[inside]]).sum() / 16**2
        assert u[i] == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_a_reference_far_above_the_noise_has_the_energy_of_its_own_product():
    masked = mask_references(view(), MASK)
    power = np.full((1, BOX // 2 + 1), 1e-6)
    ones = np.full((1, BOX // 2 + 1), int(POWER_SCALE))
    u, energy = held_out_products(masked, masked, np.zeros(1, int), ones, power, 11)
    assert energy[0] == pytest.approx(u[0], rel=1e-3)
    _, half = held_out_products(masked, masked, np.zeros(1, int), ones // 2, power, 11)
    assert half[0] == pytest.approx(energy[0] / 2, rel=1e-3)
    weak = held_out_products(masked, masked, np.zeros(1, int), ones, 30.0 * np.ones_like(power), 11)
    assert weak[1][0] < 0.9 * weak[0][0]  # errors of pose smear what can be seen


def test_what_is_judged_holds_nothing_of_the_rings_that_were_aligned():
    rng = np.random.default_rng(2)
    references = rng.normal(size=(2, BOX, BOX)).astype(np.float32)
    coarse = apply_ring_gain(rng.normal(size=(2, BOX, BOX)), (np.arange(BOX // 2 + 1) <= 10).astype(float))
    judged = judged_references(references, MASK)
    assert judged_references(references + 100 * coarse, MASK) == pytest.approx(judged, abs=1e-3)
    assert not np.allclose(mask_references(coarse, MASK), 0, atol=0.1)
    assert (judged[:, :4, :4] == 0).all()
    ones = np.full((2, BOX // 2 + 1), int(POWER_SCALE))
    masked = mask_references(references, MASK)
    u, energy = held_out_products(masked, masked, np.arange(2), ones, 1e-6 * np.ones_like(ones), 11, None, judged)
    assert energy == pytest.approx(u, rel=1e-3)


def test_no_ring_above_the_band_means_no_product():
    u, energy = held_out_products(view(), view(), np.zeros(1, int), np.ones((1, 33), np.int64), np.ones((1, 33)), 32)
    assert (u[0], energy[0]) == (0.0, 0.0)
    assert judge(np.zeros(50), np.zeros(50), np.ones(50)).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("power", "ctf"), [(WHITE, False), (COLOURED, False), (WHITE, True)], ids=["white", "coloured", "ctf"]
)
def test_z_of_noise_is_a_standard_normal_number(power, ctf):
    runs, n = 40, 128
    u, energy, scale, _ = look(noise(runs * n, 3, power), reference(), power, defoci(runs * n, 4) if ctf else None)
    z = [judge(*(c[i * n : (i + 1) * n] for c in (u, energy, scale))).z for i in range(runs)]
    assert 0.75 < np.std(z) < 1.27  # 3 standard errors of 40 runs
    assert abs(np.mean(z)) < 0.5
    assert judge(u, energy, scale).verdict == "no signal"
    assert all(judge(*(c[i : i + 512] for c in (u, energy, scale))).warned for i in range(0, runs * n, 512))


@pytest.mark.parametrize("ctf", [False, True], ids=["no ctf", "ctf"])
def test_particles_are_recognised_and_their_share_is_right(ctf):
    n = 512
    images, defocus = particles(n, 5), defoci(n, 6) if ctf else None
    if defocus is not None:
        gain = ctf_images(defocus, BOX, 4.0)
        images = np.fft.irfft2(np.fft.rfft2(images) * gain, s=(BOX, BOX)).astype(np.float32)
    strength = np.float32(np.sqrt(SNR) / images.std())
    images = strength * images
    for share in (1.0, 0.5, 0.2):
        mixed = noise(n, 7)
        mixed[: round(share * n)] += images[: round(share * n)]
        columns = look(mixed, strength * view(), WHITE, defocus)[:3]
        found = judge(*columns)
        assert found.verdict == "signal"
        assert found.share == pytest.approx(share, abs=0.07 + 2 * found.share_error)
        assert found.z == pytest.approx(found.share / found.share_error)


def test_particles_of_another_molecule_are_warned_of():
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-15, 15, (2, 60))
    axis = np.arange(BOX) - BOX // 2
    blobs = np.exp(-0.5 * ((axis - x[:, None]) / 1.2) ** 2), np.exp(-0.5 * ((axis - y[:, None]) / 1.2) ** 2)
    other = np.einsum("ay,ax->yx", *blobs)[None]
    other = np.float32(np.sqrt(SNR) / other.std()) * other.astype(np.float32)
    found = judge(*look(np.float32(np.sqrt(SNR)) * particles(512, 8) + noise(512, 9), other)[:3])
    assert found.warned
    assert abs(found.share) < 0.15


def test_the_intensity_of_the_reference_changes_neither_z_nor_what_is_signal():
    signal = np.float32(np.sqrt(SNR)) * particles(256, 10) + noise(256, 11)
    nothing = noise(512, 12)
    right = [judge(*look(images, reference())[:3]) for images in (signal, nothing)]
    for factor in (0.1, 10.0):
        wrong = [judge(*look(images, factor * reference())[:3]) for images in (signal, nothing)]
        assert wrong[0].verdict == right[0].verdict == "signal"
        # Images far stronger than their reference may be noise, or particles too weak to be aligned by it.
        assert wrong[1].verdict == ("no signal" if factor > 1 else "cannot tell")
        assert wrong[1].z == pytest.approx(right[1].z, abs=1e-3)
        assert wrong[0].z == pytest.approx(right[0].z, rel=1e-3)
        assert wrong[0].intensity == pytest.approx(right[0].intensity / factor, rel=1e-3)


def test_it_cannot_tell_without_detail_or_with_few_images():
    smooth = apply_ring_gain(reference(), (np.arange(BOX // 2 + 1) <= 7).astype(float))
    assert judge(*look(noise(512, 13), smooth)[:3]).verdict == "cannot tell"
    u, energy, scale, _ = look(noise(512, 14), reference())
    assert {judge(u[i : i + 8], energy[i : i + 8], scale[i : i + 8]).verdict for i in range(0, 512, 8)} == {
        "cannot tell"
    }


def test_few_particles_are_never_called_noise():
    u, energy, scale, _ = look(np.float32(np.sqrt(0.02)) * particles(600, 15) + noise(600, 16), reference(0.02))
    for n in (5, 10, 30, 100):
        verdicts = [judge(*(c[i : i + n] for c in (u, energy, scale))) for i in range(0, 600 - n, n)]
        assert not any(v.warned for v in verdicts)


def test_few_numbers_are_judged_by_students_distribution():
    u = np.array([1.0, 1.2, 1.4])
    assert judge(u, np.ones(3), np.ones(3)).z > 10
    assert judge(u, np.ones(3), np.ones(3)).verdict != "signal"
    assert judge(np.tile(u, 10), np.ones(30), np.ones(30)).verdict == "signal"
    assert judge(u[:1], np.ones(1), np.ones(1)).verdict == judge(u[:0], u[:0], u[:0]).verdict == "cannot tell"


def test_each_class_has_a_verdict_of_its_own():
    rng = np.random.default_rng(17)
    reference_index = np.repeat([0, 1, 3], 400)
    u = rng.normal(size=1200)
    u[:400] += 1.0
    first, second, empty, last = judge_classes(u, np.ones(1200), np.ones(1200), reference_index, 4)
    assert (first.verdict, second.verdict, empty.verdict, last.verdict) == (
        "signal", "no signal", "cannot tell", "no signal",
    )  # fmt: skip
    assert (first.n, empty.n) == (400, 0)
    halves = np.arange(1200) % 2
    crossed = judge_classes(u, np.ones(1200), np.ones(1200), reference_index, 4, halves)
    assert [v.verdict for v in crossed] == [v.verdict for v in (first, second, empty, last)]


def test_two_directions_make_one_z():
    rng = np.random.default_rng(18)
    z = []
    for _ in range(400):
        z.append(judge_cross_fitted(rng.normal(size=200), np.ones(200), np.ones(200), np.arange(200) % 2).z)
    assert 0.85 < np.std(z) < 1.15
    alone = judge_cross_fitted(rng.normal(1.0, size=100), np.ones(100), np.ones(100), np.zeros(100, int))
    assert alone.z > 5
