"""Sums by cell: what they hold, and that nothing but the images changes a bit of them."""

from dataclasses import replace

import numpy as np
import pytest

from cryoalign.averaging.class_sums import ClassSums, SumSettings
from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.errors import InputError
from cryoalign.core.filters import match_geometry
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from helpers.blobs import random_blobs

BOX, PIXEL, N, CELLS = 48, 3.0, 70, 4


def some_ctf(n=N, seed=11, **changes):
    rng = np.random.default_rng(seed)
    defocus = rng.uniform(6000, 15000, n)
    values = {
        "voltage_kv": 300.0,
        "spherical_aberration_mm": 2.7,
        "amplitude_contrast": 0.1,
        "defocus_u_angstrom": defocus + 1500,
        "defocus_v_angstrom": defocus - 1500,
        "defocus_angle_deg": rng.uniform(0, 180, n),
    }
    return CtfParameters(**(values | changes))


def some_poses(n=N, seed=12):
    rng = np.random.default_rng(seed)
    return Poses(rng.uniform(-180, 180, n), *rng.normal(0, 2, (2, n)), rng.random(n) < 0.5)


def noise(n=N, box=BOX, seed=13):
    return np.random.default_rng(seed).standard_normal((n, box, box)).astype(np.float32)


def settings(**changes):
    box, pixel = changes.get("box", BOX), changes.get("pixel_size_angstrom", PIXEL)
    given = {
        "box": box,
        "pixel_size_angstrom": pixel,
        "out_box": box,
        "out_pixel_size_angstrom": pixel,
        "n_cells": CELLS,
        "scale": fixed_point_scale(1.0),
    }
    return SumSettings(**(given | changes))


def summed(images, poses, cells, ctf=None, weights=None, **changes):
    sums = ClassSums(settings(box=images.shape[-1], **changes))
    sums.add(images, poses, cells, ctf, weights)
    return sums


def filtered(images, values):
    return np.fft.irfft2(np.fft.rfft2(images) * values, s=images.shape[-2:])


def packed_bytes(sums):
    return {name: value.tobytes() for name, value in sums.pack("p_").items()}


def cells_of(n=N):
    return np.random.default_rng(14).integers(-1, CELLS, n)


@pytest.mark.parametrize("treatment", ["wiener", "flip", "plain"])
@pytest.mark.parametrize("box", [48, 49])
def test_batches_tiles_and_neighbours_change_no_bit(box, treatment):
    images, poses, cells, ctf = noise(box=box), some_poses(), cells_of(), some_ctf()
    weights = np.random.default_rng(15).random(N)
    expected = packed_bytes(summed(images, poses, cells, ctf, weights, treatment=treatment))
    for step in (1, 7, 64):
        order = np.random.default_rng(step).permutation(N)
        sums = ClassSums(settings(box=box, treatment=treatment))
        for start in range(0, N, step):
            rows = order[start : start + step]
            part = ClassSums(settings(box=box, treatment=treatment))
            part.add(images[rows], poses.take(rows), cells[rows], ctf.take(rows), weights[rows])
            sums.add_packed(part.pack("x"), "x")
        assert packed_bytes(sums) == expected


def test_some_cells_of_a_part_are_those_cells():
    images, poses, cells, ctf = noise(), some_poses(), cells_of(), some_ctf()
    whole = summed(images, poses, cells, ctf)
    n_cells = whole.settings.n_cells
    for first, stop in ((0, 1), (1, n_cells), (2, 3)):
        some = ClassSums(replace(whole.settings, n_cells=stop - first))
        some.add_packed(whole.pack("x"), "x", first)
        for name in ("totals", "ctf_power"):
            np.testing.assert_array_equal(getattr(some, name)(), getattr(whole, name)()[first:stop])
        np.testing.assert_array_equal(some.counts, whole.counts[first:stop])


def test_what_is_left_out_changes_nothing_whatever_it_holds():
    images, poses, cells, ctf = noise(), some_poses(), cells_of(), some_ctf()
    expected = packed_bytes(summed(images, poses, cells, ctf))
    images[cells < 0] = np.nan
    assert packed_bytes(summed(images, poses, cells, ctf)) == expected
    nothing = summed(images[:2], poses.take([0, 1]), np.array([-1, -1]), ctf.take([0, 1]))
    assert not nothing.counts.any()
    assert len(nothing.pack()["cells"]) == 0


@pytest.mark.parametrize("interpolation", ["fourier", "linear"])
@pytest.mark.parametrize("treatment", ["wiener", "flip", "plain"])
def test_totals_are_sums_of_the_treated_images(treatment, interpolation):
    images, poses, cells, ctf = noise(), some_poses(), cells_of(), some_ctf()
    sums = summed(images, poses, cells, ctf, treatment=treatment, interpolation=interpolation)
    values = ctf_images(ctf, BOX, PIXEL).astype(np.float64)
    gain = {"wiener": values, "flip": np.sign(values), "plain": np.ones_like(values)}[treatment]
    treated = filtered(images, gain).astype(np.float32)
    aligned = resample(treated, poses, interpolation=interpolation).astype(np.float64)
    for c in range(CELLS):
        np.testing.assert_allclose(sums.totals()[c], aligned[cells == c].sum(axis=0), atol=2e-4)
        assert sums.counts[c] == (cells == c).sum() > 5
    if treatment != "wiener":
        np.testing.assert_array_equal(sums.ctf_power(), sums.counts[:, None, None] * np.ones((BOX, BOX // 2 + 1)))


@pytest.mark.parametrize("mirror", [False, True])
def test_the_power_is_that_of_the_ctf_turned_with_the_pixels(mirror):
    # By the formulas of the CTF and of the pose: k goes to R(psi) F^m k.
    ctf, psi = some_ctf(1, defocus_u_angstrom=14000.0, defocus_v_angstrom=8000.0, defocus_angle_deg=25.0), 40.0
    sums = summed(noise(1), Poses(psi, 1.5, -2.0, [mirror]), np.array([1]), ctf)
    power = sums.ctf_power()[1]
    ky, kx = np.meshgrid(np.fft.fftfreq(BOX, PIXEL), np.fft.rfftfreq(BOX, PIXEL), indexing="ij")
    angle = np.arctan2(ky, kx) - np.deg2rad(psi)
    if mirror:
        angle = np.pi - angle
    k2, wavelength = kx**2 + ky**2, 12.2643247 / np.sqrt(3e5 * (1 + 0.978466e-6 * 3e5))
    defocus = 11000.0 + 3000.0 * np.cos(2 * (angle - np.deg2rad(25.0)))
    chi = np.pi * wavelength * defocus * k2 - 0.5 * np.pi * 2.7e7 * wavelength**3 * k2**2 + np.arcsin(0.1)
    np.testing.assert_allclose(power, np.sin(chi) ** 2, atol=1e-4)
    assert not sums.ctf_power()[[0, 2, 3]].any()


def test_one_denominator_for_each_pixel_restores_what_one_for_a_ring_cannot():
    blobs = random_blobs(np.random.default_rng(16), 0.25 * BOX, 14, (1.2, 2.0))
    clean = blobs.image(BOX)
    rng = np.random.default_rng(17)
    ctf = some_ctf(N, 18)
    poses = Poses(np.zeros(N), np.zeros(N), np.zeros(N), rng.random(N) < 0.5)
    copies = filtered(blobs.images(BOX, mirror=poses.mirror), ctf_images(ctf, BOX, PIXEL)).astype(np.float32)
    sums = summed(copies, poses, np.zeros(N, int), ctf, scale=fixed_point_scale(float(copies.std())))
    spectrum, power = np.fft.rfft2(sums.totals()[0]), sums.ctf_power()[0]
    ring = np.rint(np.hypot(*np.meshgrid(np.fft.rfftfreq(BOX, 1 / BOX), np.fft.fftfreq(BOX, 1 / BOX)))).astype(int)
    by_ring = (np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel()))[ring]

    def agreement(denominator):
        restored = np.fft.irfft2(spectrum / (denominator + 1e-6), s=(BOX, BOX))
        return np.corrcoef(restored.ravel(), clean.ravel())[0, 1]

    assert agreement(power) > 0.99999
    assert agreement(by_ring) < 0.99


def test_astigmatic_images_at_any_pose_average_to_the_clean_one():
    blobs = random_blobs(np.random.default_rng(19), 0.2 * BOX, 14, (1.2, 2.0))
    poses, ctf = some_poses(200), some_ctf(200, defocus_u_angstrom=6500.0, defocus_v_angstrom=3500.0)
    raw = blobs.images(BOX, psi=poses.psi, dx=poses.dx, dy=poses.dy, mirror=poses.mirror)
    copies = filtered(raw, ctf_images(ctf, BOX, PIXEL)).astype(np.float32)
    sums = summed(copies, poses, np.zeros(200, int), ctf, scale=fixed_point_scale(float(copies.std())))
    restored = np.fft.irfft2(np.fft.rfft2(sums.totals()[0]) / (sums.ctf_power()[0] + 1e-3), s=(BOX, BOX))
    assert np.corrcoef(restored.ravel(), blobs.image(BOX).ravel())[0, 1] > 0.9995


def test_flags_of_the_data_are_obeyed():
    ctf = some_ctf(3, phase_flipped=[False, True, False], premultiplied=[False, False, True])
    box = 49  # on the highest frequency of an even box an astigmatic CTF is not real in the image
    values = ctf_images(ctf, box, PIXEL)
    raw = noise(3, box)
    data = raw.copy()
    data[1] = filtered(raw[1:2], np.sign(values[1:2]))[0]
    data[2] = filtered(raw[2:3], values[2:3])[0]
    cells, poses = np.array([0, 1, 2]), some_poses(3)
    expected, found = summed(raw, poses, cells, some_ctf(3)), summed(data, poses, cells, ctf)
    np.testing.assert_allclose(found.totals(), expected.totals(), atol=1e-4)
    np.testing.assert_array_equal(found.ctf_power(), expected.ctf_power())
    flipped = summed(data, poses, cells, ctf, treatment="flip").totals()
    np.testing.assert_allclose(
        flipped[:2], summed(raw, poses, cells, some_ctf(3), treatment="flip").totals()[:2], atol=1e-4
    )
    np.testing.assert_allclose(flipped[2], summed(data, poses, cells, treatment="plain").totals()[2], atol=1e-4)


def test_weights_scale_image_and_power_alike():
    images, poses, ctf = noise(3), some_poses(3), some_ctf(3)
    cells, weights = np.array([0, 1, 1]), np.array([0.25, 2.0, 0.0])
    plain, weighted = summed(images, poses, cells, ctf), summed(images, poses, cells, ctf, weights)
    np.testing.assert_allclose(weighted.totals()[0], 0.25 * plain.totals()[0], atol=1e-6)
    np.testing.assert_allclose(weighted.ctf_power()[0], 0.25 * plain.ctf_power()[0], atol=1e-8)
    np.testing.assert_array_equal(weighted.counts, [1, 2, 0, 0])
    only = summed(images[1:2], poses.take([1]), np.array([1]), ctf.take([1]))
    np.testing.assert_allclose(weighted.ctf_power()[1], 2.0 * only.ctf_power()[1], atol=1e-8)
    flat = summed(images, poses, cells, weights=weights)
    np.testing.assert_allclose(flat.ctf_power()[:, 3, 4], [0.25, 2.0, 0, 0])


def test_images_without_and_with_ctf_may_be_mixed():
    images, poses, ctf, cells = noise(4), some_poses(4), some_ctf(4), np.array([0, 0, 1, 2])
    sums = ClassSums(settings())
    sums.add(images[:1], poses.take([0]), cells[:1])
    assert "power" not in sums.pack()
    sums.add(images[1:], poses.take([1, 2, 3]), cells[1:], ctf.take([1, 2, 3]))
    only = summed(images[1:], poses.take([1, 2, 3]), cells[1:], ctf.take([1, 2, 3]))
    np.testing.assert_allclose(sums.ctf_power()[0], 1.0 + only.ctf_power()[0])
    np.testing.assert_array_equal(sums.ctf_power()[1:], only.ctf_power()[1:])


def test_no_sum_of_power_is_kept_where_there_is_no_ctf():
    sums = summed(noise(5), some_poses(5), np.zeros(5, int))
    assert "power" not in sums.pack()
    assert (sums.ctf_power()[0] == 5).all()


@pytest.mark.parametrize(("out_box", "out_pixel"), [(48, 4.5), (32, 4.5), (72, 2.0), (72, 3.0)])
def test_totals_and_power_come_at_the_output_geometry(out_box, out_pixel):
    images, poses, ctf = noise(5), some_poses(5), some_ctf(5)
    cells = np.zeros(5, int)
    here = summed(images, poses, cells, ctf)
    there = summed(images, poses, cells, ctf, out_box=out_box, out_pixel_size_angstrom=out_pixel)
    expected = match_geometry(here.totals()[:1].astype(np.float32), PIXEL, out_box, out_pixel)
    np.testing.assert_allclose(there.totals()[0], expected[0], atol=1e-4)
    # At the same frequency the power is the same, and there is none beyond what the images hold.
    frequency = np.fft.rfftfreq(out_box, out_pixel)
    held = frequency < 0.5 / PIXEL
    row = np.interp(frequency[held], np.fft.rfftfreq(BOX, PIXEL), here.ctf_power()[0, 0])
    np.testing.assert_allclose(there.ctf_power()[0, 0, held], row, atol=0.6)
    assert (there.ctf_power()[0, 0, ~held] == 0).all()


def test_the_first_peak_may_be_left_intact():
    images, poses, ctf = noise(2), Poses.identity(2), some_ctf(2)
    sums = summed(images, poses, np.zeros(2, int), ctf, intact_first_peak=True)
    assert sums.ctf_power()[0, 0, 0] == pytest.approx(2.0)
    assert sums.totals()[0].sum() == pytest.approx(images.sum(), abs=1e-2)


def test_what_does_not_fit_is_refused():
    images, poses, cells = noise(3), some_poses(3), np.array([0, 1, 2])
    with pytest.raises(ValueError, match="treatment must be one of"):
        ClassSums(settings(treatment="none"))
    with pytest.raises(ValueError, match="there are 4 cells, not 5"):
        summed(images, poses, cells + 2)
    with pytest.raises(ValueError, match="3 images, 3 poses and 2 cells"):
        summed(images, poses, cells[:2])
    for wrong in ([1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0]):
        with pytest.raises(ValueError, match="weights must be"):
            summed(images, poses, cells, weights=wrong)
    with pytest.raises(InputError, match="scale is not from"):
        summed(images, poses, cells, some_ctf(3, scale=1.2e4))
    with pytest.raises(InputError, match="million times"):
        summed(images * 1e8, poses, cells)


def test_settings_do_not_change_under_ones_feet():
    one = settings()
    assert replace(one, treatment="flip").treatment == "flip"
    with pytest.raises(AttributeError):
        one.box = 3


@pytest.mark.parametrize("treatment", ["wiener", "plain"])
def test_images_added_more_than_once_leave_the_same_bytes(treatment):
    image_of = np.sort(np.random.default_rng(15).integers(0, 9, N))
    images, ctf, poses, cells = noise(9), some_ctf(9), some_poses(), cells_of()
    weights = np.random.default_rng(16).uniform(0.1, 2, N)
    wanted = summed(images[image_of], poses, cells, ctf.take(image_of), weights, treatment=treatment)
    found = ClassSums(settings(treatment=treatment))
    found.add(images, poses, cells, ctf, weights, image_of)
    assert packed_bytes(found) == packed_bytes(wanted)
