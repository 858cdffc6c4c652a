"""What each option of ``align`` does to the result, on particles whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.ctf import ctf_images
from helpers.align import (
    PhantomSet,
    align,
    angle_difference,
    call,
    correlation,
    disc,
    flipped,
    needs,
    numbers,
    optics,
    phantom_set,
    read_mrcs,
    results,
    rms,
    star,
    table,
    write_mrcs,
)

pytestmark = pytest.mark.usefixtures("no_report")

BASIC = ("particles.star", "--reference", "ref.mrcs", "-o", "out")
POSE = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")


def plain(**changes: object) -> PhantomSet:
    """100 particles of 48 px without CTF."""
    options = {"snr": 0.5, "seed": 3} | changes
    return phantom_set(options.pop("n", 100), 48, 4.0, **options)


def warnings_of(folder: Path) -> str:
    """All warnings of a run as one text."""
    return " | ".join(json.loads((folder / "out/run.json").read_text())["warnings"])


# ---- what is searched ----------------------------------------------------------------------------------------------


@needs("relion_stack_create")
def test_mirror_finds_mirrored_particles_and_serves_relion(tmp_path):
    made = plain(mirror=True, n=140).write(tmp_path)
    align(tmp_path, *BASIC, "--mirror")
    flip = table(tmp_path / "out/particles.star")["rlnIsFlip"].astype(int).to_numpy()
    right = flip == made.poses.mirror
    assert right.mean() > 0.98 and 0.3 < flip.mean() < 0.7
    psi_rms, shift_rms = made.errors(tmp_path / "out/particles.star", right)
    assert psi_rms < 1.5 and shift_rms < 0.35
    assert "rlnIsFlip" in warnings_of(tmp_path) and "flipped.star" in warnings_of(tmp_path)
    # flipped.star is what RELION can use without knowing of mirrors: raw images, mirrored ones flipped.
    raw = read_mrcs(tmp_path / "out/flipped.mrcs")
    np.testing.assert_array_equal(raw, np.where(flip[:, None, None] == 1, flipped(made.images), made.images))
    assert "rlnIsFlip" not in table(tmp_path / "out/flipped.star")
    call(tmp_path, "relion_stack_create", "--i", "out/flipped.star", "--o", "applied", "--apply_transformation")
    average, reference = read_mrcs(tmp_path / "applied.mrcs").mean(axis=0), made.references[0]
    flipped_right = correlation(average, reference, 19)
    assert flipped_right > 0.97
    assert correlation(average, read_mrcs(tmp_path / "out/averages.mrcs")[0], 19) > 0.99
    # Without the flips RELION would not get there.
    call(tmp_path, "relion_stack_create", "--i", "out/particles.star", "--o", "unflipped", "--apply_transformation")
    assert correlation(read_mrcs(tmp_path / "unflipped.mrcs").mean(axis=0), reference, 19) < flipped_right - 0.02


def test_without_mirror_no_flip_is_written(tmp_path):
    plain().write(tmp_path)
    align(tmp_path, *BASIC)
    assert "rlnIsFlip" not in table(tmp_path / "out/particles.star")
    assert not list((tmp_path / "out").glob("flipped*"))


@pytest.mark.parametrize("label", ["rlnAnglePsiPrior", "rlnAnglePsi"])
def test_local_stays_near_the_prior_and_finds_the_pose(tmp_path, label):
    made = plain()
    prior = made.poses.psi + np.random.default_rng(1).uniform(-8, 8, 100)
    made.write(tmp_path, **{label: np.round(prior, 4)})
    align(tmp_path, *BASIC, "--local", 10)
    psi, *_ = numbers(tmp_path / "out/particles.star", *POSE)
    assert np.abs(angle_difference(psi, prior)).max() <= 10.01
    psi_rms, shift_rms = made.errors(tmp_path / "out/particles.star")
    assert psi_rms < 1.5 and shift_rms < 0.35
    if label == "rlnAnglePsiPrior":
        kept = table(tmp_path / "out/particles.star")[label].astype(float)
        np.testing.assert_allclose(kept, prior, atol=1e-4)


def test_local_cannot_leave_its_window(tmp_path):
    made = plain()
    made.write(tmp_path, rlnAnglePsiPrior=np.round(made.poses.psi + 40, 4))
    align(tmp_path, *BASIC, "--local", 10, "--allow-no-signal")
    psi, *_ = numbers(tmp_path / "out/particles.star", *POSE)
    assert np.abs(angle_difference(psi, made.poses.psi + 40)).max() <= 10.01


def test_a_prior_column_wins_over_the_last_angle(tmp_path):
    made = plain()
    made.write(tmp_path, rlnAnglePsi=0, rlnAnglePsiPrior=np.round(made.poses.psi, 4))
    align(tmp_path, *BASIC, "--local", 10)
    assert made.errors(tmp_path / "out/particles.star")[0] < 1.5


def test_local_flip_also_looks_the_other_way(tmp_path):
    made = plain()
    turned = np.arange(100) % 2 * 180.0
    made.write(tmp_path, rlnAnglePsiPrior=np.round(made.poses.psi + turned + 3, 4))
    align(tmp_path, *BASIC, "--local", 10)
    assert made.errors(tmp_path / "out/particles.star")[0] > 90
    align(tmp_path, *BASIC, "--local", 10, "--local-flip", "--overwrite")
    psi_rms, shift_rms = made.errors(tmp_path / "out/particles.star")
    assert psi_rms < 1.5 and shift_rms < 0.35


def test_the_search_is_centred_on_the_input_origin(tmp_path):
    made = plain(shift_sd=0.5)
    # Nine pixels farther out than the search reaches round 0; the input knows most of the way.
    far = np.roll(made.images, 9, axis=-1)
    moved = PhantomSet(far, made.clean, made.references, made.poses, made.view, None, made.pixel)
    moved.write(tmp_path, rlnOriginXAngst=-8 * 4.0, rlnOriginYAngst=0)
    align(tmp_path, *BASIC, "--max-shift-px", 4)
    _, x, y = numbers(tmp_path / "out/particles.star", *POSE)
    assert rms(x / 4 - (made.poses.dx - 9)) < 0.3 and rms(y / 4 - made.poses.dy) < 0.3
    assert np.hypot(x / 4 + 8, y / 4).max() <= 4.5


def test_max_shift_bounds_shifts_in_either_unit(tmp_path):
    made = plain(shift_sd=2.0).write(tmp_path)
    align(tmp_path, *BASIC, "--max-shift-px", 1)
    _, x, y = numbers(tmp_path / "out/particles.star", *POSE)
    reach = np.hypot(x, y) / made.pixel
    assert 0.5 < reach.max() <= 1.6
    flags = table(tmp_path / "out/particles.star")["cryoalignFlag"].astype(int)
    assert (flags[reach > 1.0] & 1).mean() > 0.9  # told apart by the bit "at the limit"
    first = results(tmp_path / "out")
    align(tmp_path, *BASIC, "--max-shift", 4, "--overwrite")
    assert results(tmp_path / "out") == first


def test_no_shift_at_all(tmp_path):
    made = plain(shift_sd=0.0).write(tmp_path)
    align(tmp_path, *BASIC, "--max-shift-px", 0)
    psi_rms, shift_rms = made.errors(tmp_path / "out/particles.star")
    assert psi_rms < 1.5 and shift_rms < 0.5


def test_references_are_told_apart_and_numbers_keep_their_gaps(tmp_path):
    made = plain(views=2)
    stranger = np.random.default_rng(1).normal(size=(1, 48, 48)).astype(np.float32)
    made.write(tmp_path)
    write_mrcs(tmp_path / "ref.mrcs", np.concatenate([made.references[:1], stranger, made.references[1:]]), 4.0)
    align(tmp_path, *BASIC)
    classes = table(tmp_path / "out/particles.star")["rlnClassNumber"].astype(int)
    assert np.mean(classes == 1 + 2 * made.view) > 0.98
    averages = table(tmp_path / "out/averages.star", "averages")
    if not (classes == 2).any():
        assert averages["rlnClassNumber"].tolist() == ["1", "3"] and len(read_mrcs(tmp_path / "out/averages.mrcs")) == 2
    images = read_mrcs(tmp_path / "out/averages.mrcs")
    assert correlation(images[0], made.references[0], 19) > 0.95
    assert correlation(images[-1], made.references[1], 19) > 0.95


def test_iterations_sharpen_a_poor_reference(tmp_path):
    made = plain(n=200, snr=0.3).write(tmp_path)
    noise = np.random.default_rng(7).normal(size=made.references.shape)
    poor = made.references + 0.5 * made.references.std() * noise
    write_mrcs(tmp_path / "ref.mrcs", poor.astype(np.float32), 4.0)
    found = []
    for rounds in (1, 3):
        align(tmp_path, *BASIC, "--iterations", rounds, "--no-halves", "--overwrite")
        found.append(correlation(read_mrcs(tmp_path / "out/averages.mrcs")[0], made.references[0], 19))
    assert found[1] >= found[0] - 0.002 and found[1] > 0.97
    assert "without independent halves" in warnings_of(tmp_path)
    align(tmp_path, *BASIC, "--iterations", 3, "--overwrite")
    assert correlation(read_mrcs(tmp_path / "out/averages.mrcs")[0], made.references[0], 19) > 0.97
    assert "without independent halves" not in warnings_of(tmp_path)


def test_iterations_with_ctf_and_several_classes(demo):
    folder, made = demo
    align(folder, *BASIC, "--iterations", 3)
    classes = table(folder / "out/particles.star")["rlnClassNumber"].astype(int)
    assert np.mean(classes == made.view + 1) > 0.97
    psi, *_ = numbers(folder / "out/particles.star", *POSE)
    for view in range(2):
        error = angle_difference(psi, made.poses.psi)[made.view == view]
        assert rms(error - np.median(error)) < 3.0  # a class may turn as a whole, little


def test_fast_is_nearly_as_good(demo):
    folder, made = demo
    align(folder, *BASIC, "--fast")
    psi_rms, shift_rms = made.errors(folder / "out/particles.star")
    assert psi_rms < 2.0 and shift_rms < 0.5


# ---- how images are weighed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "word"), [("--no-ctf", "CTF not corrected"), ("--no-whiten", "whitening off")])
def test_ctf_and_whitening_help(demo, option, word):
    folder, made = demo
    errors = []
    for words in ((), (option,)):
        align(folder, *BASIC, *words, "--overwrite")
        errors.append(made.errors(folder / "out/particles.star"))
    assert word in (folder / "out/run.log").read_text()
    assert errors[1][0] > 1.02 * errors[0][0] and errors[1][1] > errors[0][1]


def test_ctf_is_said_to_be_missing(tmp_path):
    plain().write(tmp_path)
    align(tmp_path, *BASIC)
    assert "CTF is not corrected" in warnings_of(tmp_path)


@pytest.mark.parametrize("words", ["--lowpass 24", "--highpass 60", "--lowpass 14 --highpass 120"])
def test_a_narrower_band_changes_the_poses_a_little(tmp_path, words):
    made = plain().write(tmp_path)
    poses, stated = [], []
    for more in ("", words):
        align(tmp_path, *BASIC, *more.split(), "--overwrite")
        found = numbers(tmp_path / "out/particles.star", *POSE, "cryoalignPsiError")
        poses.append(found[0])
        stated.append(np.median(found[3]))
    assert 0.05 < rms(angle_difference(poses[0], poses[1])) < 6
    assert made.errors(tmp_path / "out/particles.star")[0] < 4
    if words == "--lowpass 24":
        assert stated[1] > 1.1 * stated[0]


def test_a_lowpass_hides_what_lies_beyond(tmp_path):
    """A strong pattern of 10 A in particles and references would fix every angle at 0."""
    made = plain(shift_sd=0.0, snr=1.0)
    x = np.arange(48)
    grating = (4 * np.sin(2 * np.pi * 4.0 * x / 10.0)[None, :] * np.ones((48, 1))).astype(np.float32)
    spoiled = PhantomSet(
        made.images + grating, made.clean, made.references + grating, made.poses, made.view, None, made.pixel
    )
    spoiled.write(tmp_path)
    align(tmp_path, *BASIC, "--no-whiten", "--allow-no-signal")
    assert made.errors(tmp_path / "out/particles.star")[0] > 60
    align(tmp_path, *BASIC, "--no-whiten", "--lowpass", 20, "--overwrite")
    assert made.errors(tmp_path / "out/particles.star")[0] < 6


def test_invert_undoes_dark_particles(demo):
    folder, made = demo
    align(folder, *BASIC)
    bright = results(folder / "out")
    (folder / "particles.mrcs").unlink()
    write_mrcs(folder / "particles.mrcs", -made.images, made.pixel)
    align(folder, *BASIC, "--overwrite")
    assert "--invert" in warnings_of(folder)
    align(folder, *BASIC, "--overwrite", "--invert")
    assert "--invert" not in warnings_of(folder)
    assert results(folder / "out") == bright


def test_a_noisy_reference_is_warned_of(demo):
    folder, made = demo
    align(folder, *BASIC)
    assert "carry noise" not in warnings_of(folder)
    noise = np.random.default_rng(8).standard_normal(made.references.shape) * made.references.std() * 0.6
    write_mrcs(folder / "noisy.mrcs", (made.references + noise).astype(np.float32), made.pixel)
    words = ("particles.star", "--reference", "noisy.mrcs", "-o", "out", "--overwrite")
    align(folder, *words)
    assert "the references carry noise" in warnings_of(folder)
    align(folder, *words, "--lowpass", "20")
    assert "carry noise" not in warnings_of(folder)


def test_reference_of_another_box_and_pixel_size(tmp_path):
    made = plain().write(tmp_path)
    half = np.fft.fftshift(np.fft.fft2(made.references))[:, 12:36, 12:36]
    small = np.fft.ifft2(np.fft.ifftshift(half)).real.astype(np.float32) / 4
    # The centre pixel stays the centre pixel when Fourier space is cropped: 48 // 2 / 2 = 24 // 2.
    write_mrcs(tmp_path / "small.mrcs", small, 8.0)
    words = ("particles.star", "--reference", "small.mrcs", "-o", "out", "--resize-reference")
    align(tmp_path, *words)
    psi_rms, shift_rms = made.errors(tmp_path / "out/particles.star")
    assert psi_rms < 2 and shift_rms < 0.4
    assert read_mrcs(tmp_path / "out/aligned.mrcs").shape[1:] == (48, 48)


def test_phase_flipped_data_are_not_flipped_again(demo):
    folder, made = demo
    align(folder, *BASIC)
    before = made.errors(folder / "out/particles.star")
    images = np.fft.irfft2(np.fft.rfft2(made.images) * np.sign(ctf_images(made.ctf, 64, 3.0)), s=(64, 64))
    for name in ("particles.mrcs", "particles.star"):
        (folder / name).unlink()
    write_mrcs(folder / "particles.mrcs", images.astype(np.float32), 3.0)
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(len(images))]
    particles = {"rlnImageName": names, "rlnOpticsGroup": 1, **made.columns}
    errors = []
    for said in (1, 0):
        star(folder / "particles.star", optics=optics(64, 3.0, rlnCtfDataArePhaseFlipped=said), particles=particles)
        align(folder, *BASIC, "--overwrite")
        errors.append(made.errors(folder / "out/particles.star"))
    assert errors[0][0] < 1.1 * before[0] and errors[0][1] < 1.1 * before[1]
    assert errors[1][0] > 2 * errors[0][0]  # flipped twice


# ---- what is written -----------------------------------------------------------------------------------------------


def test_limit_and_no_stack(demo):
    folder, _ = demo
    align(folder, *BASIC, "--limit", 100, "--no-write-stack")
    assert len(table(folder / "out/particles.star")) == 100
    assert not list((folder / "out").glob("aligned*"))
    nodes = (folder / "out/RELION_OUTPUT_NODES.star").read_text()
    assert "particles.star" in nodes and "aligned" not in nodes
    assert len(read_mrcs(folder / "out/averages.mrcs")) == 2


def test_poses_do_not_depend_on_how_pixels_are_resampled(demo):
    folder, _ = demo
    align(folder, *BASIC)
    poses = (folder / "out/particles.star").read_bytes()
    reference = read_mrcs(folder / "out/averages.mrcs")
    for interpolation in ("nearest", "linear", "cubic", "quintic"):
        align(folder, *BASIC, "--interpolation", interpolation, "--overwrite")
        assert (folder / "out/particles.star").read_bytes() == poses
        other = read_mrcs(folder / "out/averages.mrcs")
        assert not np.array_equal(other, reference)
        assert correlation(other[0], reference[0], 25) > (0.9 if interpolation == "nearest" else 0.97)


@pytest.mark.parametrize("edge", ["wrap", "mirror", "zero", "mean"])
def test_edges(tmp_path, edge):
    made = plain()
    lifted = PhantomSet(made.images + 50, made.clean, made.references, made.poses, made.view, None, made.pixel)
    lifted.write(tmp_path)
    align(tmp_path, *BASIC, "--edge", edge)
    corner = read_mrcs(tmp_path / "out/aligned.mrcs")[:, 0, 0]
    turned = np.abs(np.abs(angle_difference(2 * made.poses.psi, 0)) / 2 - 45) < 30  # corners from outside the image
    inside = corner[turned & (np.abs(made.poses.psi) % 90 > 20) & (np.abs(made.poses.psi) % 90 < 70)]
    assert len(inside) > 20
    if edge == "zero":
        assert np.abs(inside).max() < 15
    else:
        assert np.abs(inside - 50).max() < 10
    if edge == "mean":
        assert inside.std() < 0.5
    assert made.errors(tmp_path / "out/particles.star")[0] < 1.5


def test_linear_implies_relions_edges(tmp_path):
    plain().write(tmp_path)
    align(tmp_path, *BASIC, "--interpolation", "linear")
    first = (tmp_path / "out/aligned.mrcs").read_bytes()
    align(tmp_path, *BASIC, "--interpolation", "linear", "--edge", "zero", "--overwrite")
    assert (tmp_path / "out/aligned.mrcs").read_bytes() == first
    align(tmp_path, *BASIC, "--interpolation", "linear", "--edge", "wrap", "--overwrite")
    assert (tmp_path / "out/aligned.mrcs").read_bytes() != first


@needs("relion_stack_create")
def test_linear_is_relions_stack(demo):
    folder, _ = demo
    align(folder, *BASIC, "--interpolation", "linear")
    call(folder, "relion_stack_create", "--i", "out/particles.star", "--o", "applied", "--apply_transformation")
    ours, theirs = read_mrcs(folder / "out/aligned.mrcs"), read_mrcs(folder / "applied.mrcs")
    # Poses pass through six decimals in the file.
    assert np.abs(ours - theirs).max() < 1e-4 * theirs.std()


def test_normalize_stack_brings_backgrounds_to_0_and_1(tmp_path):
    made = plain()
    rng = np.random.default_rng(2)
    gain, level = rng.uniform(2, 5, (100, 1, 1)), rng.uniform(-40, 40, (100, 1, 1))
    ramp = rng.uniform(-0.1, 0.1, (100, 1, 1)) * np.arange(48)
    odd = PhantomSet(
        (gain * made.images + level + ramp).astype(np.float32), made.clean, made.references, made.poses, made.view,
        None, made.pixel,
    )  # fmt: skip
    odd.write(tmp_path)
    align(tmp_path, *BASIC, "--normalize-stack")
    background = read_mrcs(tmp_path / "out/aligned.mrcs")[:, ~disc(48, 0.42 * 48)]
    assert np.abs(background.mean(axis=1)).max() < 0.15
    assert 0.85 < background.std(axis=1).mean() < 1.05
    align(tmp_path, *BASIC, "--overwrite")
    assert read_mrcs(tmp_path / "out/aligned.mrcs")[:, ~disc(48, 0.42 * 48)].std(axis=1).min() > 1.5
