"""``align --metric``: poses by every measure, what is written of them, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers.align import align, angle_difference, numbers, phantom_set, read_mrcs, results, run, table, write_mrcs

# Largest error of an angle in degrees and median error of an origin in px, of 40 particles at SNR 1.
TOLERANCE = {
    "euclidean": (2, 0.2), "ncc": (2, 0.2), "ssd": (2, 0.2), "normalised-ssd": (2, 0.2),
    "absolute-difference": (3, 0.3), "correntropy": (3, 0.3), "mutual-information": (3, 0.3), "wavelet-emd": (4, 0.3),
    "sw": (9, 0.25), "sw1": (9, 0.25), "rfsw": (5, 0.25), "auto": (5, 0.25),
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with 40 particles of 40 px in two views, with CTF and SNR 1; and their truth."""
    folder = tmp_path_factory.mktemp("measures")
    return folder, phantom_set(40, 40, 4.0, snr=1.0, seed=21, views=2, ctf=True, shift_sd=1.0).write(folder)


def by(folder, out: str, metric: str, *words: object, status: int = 0):
    """Align by a measure."""
    basic = ("particles.star", "--reference", "ref.mrcs", "-o", out, "--no-write-stack", "--overwrite")
    return align(folder, *basic, "--metric", metric, *words, status=status)


@pytest.mark.parametrize("metric", sorted(TOLERANCE))
def test_every_measure_finds_view_and_pose(made, metric):
    if metric == "wavelet-emd":
        pytest.importorskip("pywt")
    folder, truth = made
    ran = by(folder, metric, metric)
    angle, shift = TOLERANCE[metric]
    star = folder / metric / "particles.star"
    psi, x, y, view, score, value = numbers(
        star, "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnClassNumber", "cryoalignScore",
        "cryoalignMetricValue",
    )  # fmt: skip
    assert np.array_equal(view - 1, truth.view)
    assert np.abs(angle_difference(psi, truth.poses.psi)).max() < angle
    assert np.median(np.hypot(x / 4.0 - truth.poses.dx, y / 4.0 - truth.poses.dy)) < shift
    # What the clean image has in common with one that has as much noise inside the mask, and less at its best.
    assert 0.5 < np.median(score) < 0.95 and np.ptp(value) > 0
    assert not {"cryoalignPsiError", "cryoalignShiftError"} & set(table(star))
    assert not any(line.startswith("Warning: --metric") for line in ran.lines)


def test_same_bytes_for_threads_and_parts_in_rounds_with_mirrors(made):
    folder, _ = made
    words = ("--mirror", "--iterations", 2)
    by(folder, "same", "rfsw", *words)
    one = results(folder / "same")
    run(folder, "align", "-q", "-j", 3, "particles.star", "--reference", "ref.mrcs", "-o", "same", "--no-write-stack",
        "--overwrite", "--metric", "rfsw", "--block-size", 64, *words)  # fmt: skip
    assert results(folder / "same") == one
    assert "cryoalignSharedResolution" in table(folder / "same/particles.star")


def test_round_the_input_pose_and_with_flips(made):
    folder, truth = made
    by(folder, "first", "weighted")
    assert "cryoalignMetricValue" not in table(folder / "first/particles.star")
    align(folder, "first/particles.star", "--reference", "ref.mrcs", "-o", "again", "--metric", "euclidean",
          "--no-write-stack", "--overwrite", "--local", 8, "--local-flip", "--max-shift-px", 1)  # fmt: skip
    angle, shift = truth.errors(folder / "again/particles.star")
    assert angle < 1.5 and shift < 0.3
    # Errors of the first run say nothing of these poses.
    assert "cryoalignPsiError" not in table(folder / "again/particles.star")
    flags = numbers(folder / "again/particles.star", "cryoalignFlag")[0]
    assert not (flags.astype(int) & 1).any()


def test_mutual_information_aligns_to_inverted_contrast(made):
    folder, truth = made
    write_mrcs(folder / "dark.mrcs", -read_mrcs(folder / "ref.mrcs"), 4.0)
    basic = ("particles.star", "--reference", "dark.mrcs", "-o", "dark", "--overwrite", "--no-write-stack")
    align(folder, *basic, "--metric", "mutual-information")
    angle, _ = truth.errors(folder / "dark/particles.star")
    assert angle < 2
    score, flag = numbers(folder / "dark/particles.star", "cryoalignScore", "cryoalignFlag")
    assert (score < -0.4).all() and not (flag.astype(int) & 4).any()
    judged = json.loads((folder / "dark/run.json").read_text())["counts"]["guard"][0]
    assert judged["against"] == "given references with inverted contrast" and judged["z"] > 5
    ran = align(folder, *basic, "--no-guard")
    assert any("--invert" in line for line in ran.lines)
    assert truth.errors(folder / "dark/particles.star")[0] > 30


def test_no_signal_by_the_given_references_is_a_warning_where_any_contrast_goes(tmp_path):
    # Particles that are off their centres, and may not be shifted: coarse detail fits, fine detail does not.
    phantom_set(100, 40, 4.0, snr=1.0, seed=21, views=3, ctf=True, shift_sd=2.0).write(tmp_path)
    ran = by(tmp_path, "mi", "mutual-information", "--max-shift-px", 0)
    assert any("--halves asks the particles themselves" in line for line in ran.lines)
    by(tmp_path, "weighted", "weighted", "--max-shift-px", 0, status=3)


def test_intensity_of_references_does_not_matter(made):
    folder, truth = made
    write_mrcs(folder / "strong.mrcs", 40 * read_mrcs(folder / "ref.mrcs"), 4.0)
    align(folder, "particles.star", "--reference", "strong.mrcs", "-o", "strong", "--overwrite", "--no-write-stack",
          "--metric", "correntropy")  # fmt: skip
    assert truth.errors(folder / "strong/particles.star")[0] < 1.5


def test_a_warning_where_noise_is_too_strong(tmp_path):
    phantom_set(20, 32, 5.0, snr=0.1, seed=3).write(tmp_path)
    ran = by(tmp_path, "noisy", "rfsw", "--no-guard")
    assert any("--metric rfsw on noisy particles (SNR 0." in line for line in ran.lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "rfsw", "--fast"), "--fast goes with the search of --metric weighted"),
        (("--metric", "nothing"), "'nothing' is not one of"),
        (("--metric", "rfsw-ncc"), "rfsw-ncc only ranks images, for rid-distance: it does not align them"),
        (("--metric", "sw", "--local", 5, "--mirror"), "--local and --mirror exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(made, words, said):
    folder, _ = made
    ran = run(folder, "align", "particles.star", "--reference", "ref.mrcs", "-o", "refused", *words)
    assert ran.status == 2 and sum(said in line for line in ran.lines) == 1
    assert not (folder / "refused").exists()
