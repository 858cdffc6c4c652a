"""``align --strategy synchronized``: poses, averages and classes without any reference."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryoalign.passes.align.part import AlignPart
from helpers.align import align, angle_difference, correlation, numbers, phantom_set, read_mrcs, results, run, table

BOX, PIXEL = 64, 3.0
SET = "simulate -q --views single --noise white --shift-sd 3 --snr 0.1 --seed 7"
FREE = ["--strategy", "synchronized", "--no-write-stack", "-j", 1]


def turned(angle, psi, d):
    """Return origins in a frame turned by an angle: R(psi + angle) d."""
    radians = np.deg2rad(psi + angle)
    c, s = np.cos(radians), np.sin(radians)
    return np.stack([c * d[:, 0] - s * d[:, 1], s * d[:, 0] + c * d[:, 1]], axis=1)


def errors(found, true):
    """Errors of angles in degrees up to one constant, and of shifts in pixels up to one common shift."""
    labels = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    (psi, x, y), (psi0, x0, y0) = (np.array(numbers(file, *labels)) for file in (found, true))
    gap = np.deg2rad(angle_difference(psi, psi0))
    constant = np.angle(np.exp(1j * gap).sum(), deg=True)
    constant += np.median(angle_difference(psi - psi0, constant))
    c = turned(0, psi, np.stack([x, y], axis=1) / PIXEL)
    c0 = turned(constant, psi0, np.stack([x0, y0], axis=1) / PIXEL)
    apart = c - c0 - np.median(c - c0, axis=0)
    return np.abs(angle_difference(psi - psi0, constant)), np.hypot(*apart.T)


@pytest.fixture(scope="module")
def one_view(tmp_path_factory):
    """200 particles of one view, SNR 0.1, shifts of 3 px; aligned without and with the clean reference."""
    folder = tmp_path_factory.mktemp("one")
    assert run(folder, *SET.split(), "-o", "sim", "-n", 200, "-j", 1).status == 0
    words = ["sim/particles.star", "--max-shift-px", 10]
    align(folder, *words, *FREE, "-o", "free")
    align(folder, *words, "--reference", "sim/references.mrcs", "-o", "clean", "--no-write-stack", "-j", 1)
    return folder


def test_poses_are_nearly_those_found_with_the_clean_reference(one_view):
    psi, shift = errors(one_view / "free/particles.star", one_view / "sim/truth.star")
    psi_clean, shift_clean = errors(one_view / "clean/particles.star", one_view / "sim/truth.star")
    assert psi.max() < 10
    assert psi.mean() < 1.15 * psi_clean.mean()
    assert shift.mean() < 1.15 * shift_clean.mean()


def test_the_sign_of_the_frame_is_relions(one_view):
    """The measure itself fails for angles of the wrong sign, so that the test above can."""
    text = (one_view / "sim/truth.star").read_text()
    wrong = one_view / "wrong.star"
    psi = numbers(one_view / "sim/truth.star", "rlnAnglePsi")[0]
    for value in table(one_view / "sim/truth.star")["rlnAnglePsi"]:
        text = text.replace(f"\t{value}\t", f"\t{-float(value):.6f}\t")
    wrong.write_text(text)
    np.testing.assert_allclose(numbers(wrong, "rlnAnglePsi")[0], -psi, atol=1e-5)
    assert errors(one_view / "free/particles.star", wrong)[0].mean() > 40


def test_halves_and_guard_are_those_of_every_alignment(one_view):
    record = json.loads((one_view / "free/run.json").read_text())
    assert record["parameters"]["strategy"] == "synchronized" and record["parameters"]["halves"] is True
    assert record["parameters"]["reference"] is None and record["exit_status"] == 0
    guard = record["counts"]["guard"]
    assert [verdict["against"] for verdict in guard] == ["averages of the other half"]
    assert guard[0]["verdict"] == "signal"
    averages = table(one_view / "free/averages.star", "averages")
    assert averages["cryoalignFrcKind"].tolist() == ["independent"]
    assert float(averages["rlnEstimatedResolution"][0]) < 15
    assert "Alignment without references" in (one_view / "free/report.html").read_text()


def test_the_average_is_the_particle(one_view):
    """The common frame is free to turn and shift, which the particles' own poses tell."""
    labels = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    psi, psi0 = (numbers(one_view / f, labels[0])[0] for f in ("free/particles.star", "sim/truth.star"))
    constant = np.angle(np.exp(1j * np.deg2rad(psi - psi0)).sum(), deg=True)
    from scipy.ndimage import rotate

    clean = read_mrcs(one_view / "sim/references.mrcs")[0]
    average = read_mrcs(one_view / "free/averages.mrcs")[0]
    best = 0.0
    for sign in (-1, 1):  # rotate's sense is its own
        image = np.fft.fft2(rotate(clean, sign * constant, reshape=False, order=3))
        peak = np.fft.ifft2(np.fft.fft2(average) * image.conj()).real
        at = np.unravel_index(np.argmax(peak), peak.shape)
        moved = np.roll(np.fft.ifft2(image).real, at, axis=(0, 1))
        best = max(best, correlation(moved, average, 25))
    assert best > 0.9


def test_views_are_told_apart(tmp_path):
    made = phantom_set(180, BOX, PIXEL, snr=0.3, seed=11, views=3, ctf=True, coloured=True).write(tmp_path)
    align(tmp_path, "particles.star", *FREE, "--classes", 3, "--iterations", 2, "-o", "out")
    found = table(tmp_path / "out/particles.star")["rlnClassNumber"].astype(int).to_numpy()
    psi = numbers(tmp_path / "out/particles.star", "rlnAnglePsi")[0]
    assert len(found) == 180
    for c in (1, 2, 3):
        views = made.view[found == c]
        assert len(views) > 30 and (views == np.bincount(views).argmax()).mean() > 0.97
        gap = np.deg2rad(psi - made.poses.psi)[found == c]
        assert np.abs(np.exp(1j * gap).mean()) > 0.99


def test_noise_ends_with_status_3(tmp_path, no_report):
    words = "simulate -q -o sim -n 128 --box 32 --pixel-size 4 --views single --noise white --snr 1e-9 --seed 3"
    assert run(tmp_path, *words.split(), "-j", 1).status == 0
    done = align(tmp_path, "sim/particles.star", *FREE, "--iterations", 2, "-o", "out", status=3)
    assert any("no consistent signal found" in line for line in done.lines)
    assert len(table(tmp_path / "out/particles.star")) == 128


CUT = ["sim/particles.star", "--strategy", "synchronized", "--iterations", 2, "-o", "out", "--block-size", 64]


def test_same_bytes_over_threads_and_a_resume(small, monkeypatch, no_report):
    align(small, *CUT, "-j", 1)
    expected = results(small / "out")
    assert "aligned.mrcs" in expected and len(table(small / "out/particles.star")) == 70
    whole, calls = AlignPart.__call__, []

    def part(this, one):
        calls.append(one)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(this, one)

    with monkeypatch.context() as patch:
        patch.setattr(AlignPart, "__call__", part)
        align(small, *CUT, "--overwrite", "-j", 1, status=130)
    assert results(small / "out") == {}
    with monkeypatch.context() as patch:
        # What was found of frame and classes is kept.
        patch.setattr("cryoalign.alignment.common_frame.common_frame", lambda *_: pytest.fail("found again"))
        align(small, *CUT, "--resume", "-j", 2)
    assert results(small / "out") == expected
    align(small, *CUT[:-2], "--overwrite", "-j", 2)
    assert results(small / "out") == expected


def test_mirrored_particles_come_into_one_frame(tmp_path, no_report):
    made = phantom_set(120, 48, 4.0, snr=0.5, seed=4, mirror=True).write(tmp_path)
    align(tmp_path, "particles.star", *FREE, "--mirror", "--iterations", 2, "-o", "out")
    flip = table(tmp_path / "out/particles.star")["rlnIsFlip"].astype(int).to_numpy().astype(bool)
    agree = flip == made.poses.mirror
    assert max(agree.mean(), 1 - agree.mean()) > 0.97


def test_what_it_refuses(small):
    for words, said in (
        (["--reference", "sim/references.mrcs"], "makes its own references"),
        (["--part", "1/2"], "neighbours are found among all particles"),
        (["--local", "5"], "no input angle"),
        (["--iterations", "0"], "--iterations"),
    ):
        refused = run(small, "align", "sim/particles.star", "-o", "out", "--strategy", "synchronized", *words)
        assert refused.status == 2 and said in " ".join(refused.errors), refused.errors
    refused = run(small, "align", "sim/particles.star", "-o", "out")
    assert refused.status == 2 and "--reference is needed" in " ".join(refused.errors)
    refused = run(small, "align", "sim/particles.star", "-o", "out", "--reference", "x.mrc", "--classes", "2")
    assert refused.status == 2 and "--classes goes with --strategy synchronized" in " ".join(refused.errors)
    assert not (small / "out").exists()
