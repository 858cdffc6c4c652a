"""``align --halves``: two halves that never meet, and a resolution that noise cannot reach."""

from __future__ import annotations

import json

import numpy as np
import pytest
import starfile

from cryoalign.passes.align.part import AlignPart
from helpers.align import align, correlation, disc, numbers, phantom_set, read_mrcs, results, run, table, write_mrcs
from helpers.undrawn import leave_out_drawing

BASIC = ["particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-write-stack"]
BOX, PIXEL = 64, 5.0
SHARED_RING = 10


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    """300 particles of one view with CTF, SNR 0.1, refined in halves with the defaults."""
    folder = tmp_path_factory.mktemp("halves")
    made = phantom_set(300, BOX, PIXEL, snr=0.1, seed=5, shift_sd=2.0, ctf=True).write(folder)
    align(folder, *BASIC, "--halves")
    return folder, made


def frc_of(folder, number=1):
    return starfile.read(folder / "out/frc.star", always_dict=True)[f"class_{number:06d}"]


def common_and_independent(folder):
    """FRC on the rings that the halves share a reference on, and on the others with their noise curve."""
    frc = frc_of(folder)
    shared = (frc["cryoalignFrcKind"] == "frc_common_reference").to_numpy()
    values, curve = frc["cryoalignFrc"].to_numpy(), frc["cryoalignNoiseCurve"].to_numpy()
    return values[shared], values[~shared], curve[~shared]


def test_files_say_what_is_independent(refined):
    folder, _ = refined
    particles = table(folder / "out/particles.star")
    subset = particles["rlnRandomSubset"].astype(int)
    assert set(subset) == {1, 2} and 0.4 < np.mean(subset == 1) < 0.6
    shared = particles["cryoalignSharedResolution"].astype(float)
    assert shared.nunique() == 1 and shared[0] == pytest.approx(BOX * PIXEL / SHARED_RING)
    frc = frc_of(folder)
    assert frc["cryoalignFrcKind"].tolist() == ["frc_common_reference"] * 11 + ["independent"] * 22
    averages = table(folder / "out/averages.star", "averages")
    assert averages["cryoalignFrcKind"].tolist() == ["independent"]
    assert json.loads((folder / "out/run.json").read_text())["parameters"]["halves"] is True


def test_the_resolution_is_that_of_the_clean_projection(refined):
    folder, made = refined
    average = read_mrcs(folder / "out/averages.mrcs")[0]
    inside = disc(BOX, 25)
    one, other = (np.fft.fft2(image * inside) for image in (average, made.references[0]))
    k = np.fft.fftfreq(BOX) * BOX
    ring = np.rint(np.hypot(k[:, None], k[None, :])).astype(int).ravel()
    cross, a, b = (
        np.bincount(ring, values.ravel())
        for values in ((one * other.conj()).real, np.abs(one) ** 2, np.abs(other) ** 2)
    )
    clean = np.convolve(cross / np.sqrt(a * b), np.ones(3) / 3, mode="same")[: BOX // 2]
    below = np.flatnonzero(clean[3:] < 0.5)
    truth = BOX * PIXEL / (3 + below[0]) if len(below) else 2 * PIXEL
    said = float(table(folder / "out/averages.star", "averages")["rlnEstimatedResolution"][0])
    assert abs(said / truth - 1) < 0.15 * 1.15


def test_it_aligns_nearly_as_well_as_to_the_clean_reference(refined):
    folder, made = refined
    error, shift = made.errors(folder / "out/particles.star")
    align(folder, *BASIC[:3], "-o", "clean", "--no-write-stack")
    best, best_shift = made.errors(folder / "clean/particles.star")
    assert error < 1.25 * best and shift < 1.25 * best_shift


def test_halves_are_on_by_default_with_rounds_and_can_be_refused(refined, no_report):
    folder, _ = refined
    align(folder, *BASIC[:3], "-o", "two", "--no-write-stack", "--iterations", 2)
    assert "rlnRandomSubset" in table(folder / "two/particles.star")
    align(folder, *BASIC[:3], "-o", "none", "--no-write-stack", "--iterations", 2, "--no-halves")
    assert "rlnRandomSubset" not in table(folder / "none/particles.star")
    assert set(table(folder / "none/averages.star", "averages")["cryoalignFrcKind"]) == {"frc_common_reference"}


def test_the_halves_of_the_file_are_kept(tmp_path, no_report):
    made = phantom_set(130, BOX, PIXEL, snr=0.3, seed=6)
    subset = 1 + np.random.default_rng(1).integers(2, size=130)
    made.write(tmp_path, rlnRandomSubset=subset)
    align(tmp_path, *BASIC, "--halves", "--iterations", 2)
    assert table(tmp_path / "out/particles.star")["rlnRandomSubset"].astype(int).tolist() == subset.tolist()


def test_segments_of_a_tube_stay_together(tmp_path, no_report):
    made = phantom_set(130, BOX, PIXEL, snr=0.3, seed=6)
    tube = np.arange(130) // 10 + 1
    made.write(tmp_path, rlnHelicalTubeID=tube, rlnMicrographName="m.mrc")
    align(tmp_path, *BASIC, "--halves", "--iterations", 2)
    subset = table(tmp_path / "out/particles.star")["rlnRandomSubset"].astype(int).to_numpy()
    assert all(len(set(subset[tube == t])) == 1 for t in set(tube)) and len(set(subset)) == 2


def test_same_bytes_for_any_threads_and_blocks(tmp_path):
    phantom_set(200, BOX, PIXEL, snr=0.1, seed=7, views=2, ctf=True).write(tmp_path)
    words = [*BASIC[:5], "--halves", "--iterations", 3]
    for name, more in (("a", "-j 1 --block-size 512"), ("b", "-j 2 --block-size 64")):
        align(tmp_path, *words, *more.split())
        (tmp_path / "out").rename(tmp_path / name)
    assert results(tmp_path / "a") == results(tmp_path / "b")


def test_a_resumed_run_gives_the_same_bytes(tmp_path, monkeypatch, no_report):
    phantom_set(200, BOX, PIXEL, snr=0.1, seed=7).write(tmp_path)
    words = [*BASIC[:5], "--halves", "--iterations", 3, "--block-size", 64]
    align(tmp_path, *words)
    (tmp_path / "out").rename(tmp_path / "whole")
    calls, work = [], AlignPart.__call__

    def interrupted(self, part):
        calls.append(part)
        if len(calls) == 6:  # in the second of three rounds of four parts
            raise KeyboardInterrupt
        return work(self, part)

    monkeypatch.setattr(AlignPart, "__call__", interrupted)
    assert run(tmp_path, "align", "-q", "-j", 1, *words).status == 130
    monkeypatch.undo()
    leave_out_drawing(monkeypatch, "align")
    align(tmp_path, *words, "--resume")
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_noise_reaches_no_resolution_where_halves_refine_apart(tmp_path, no_report):
    """The trap: halves of noise that were aligned to one reference agree; refined apart they agree on its band only."""
    made = phantom_set(300, BOX, PIXEL, snr=0.1, seed=8).write(tmp_path)
    over = common = 0
    for seed in range(4):
        noise = np.random.default_rng(seed).standard_normal(made.images.shape).astype(np.float32)
        write_mrcs(tmp_path / "particles.mrcs", noise, PIXEL)
        align(tmp_path, *BASIC, "--halves", "--overwrite", status=3)
        _, independent, curve = common_and_independent(tmp_path)
        over += bool((independent > curve).any())
        assert float(table(tmp_path / "out/averages.star", "averages")["rlnEstimatedResolution"][0]) == 999
        align(tmp_path, *BASIC, "--overwrite", status=3)
        frc = frc_of(tmp_path)["cryoalignFrc"].to_numpy()
        common += bool((frc[11:21] > 0.143).mean() > 0.5)
    assert over <= 1 and common >= 3


def test_detail_of_the_reference_does_not_come_back_from_noise(tmp_path, no_report):
    made = phantom_set(300, BOX, PIXEL, snr=0.1, seed=8).write(tmp_path)
    noise = np.random.default_rng(1).standard_normal(made.images.shape).astype(np.float32)
    write_mrcs(tmp_path / "particles.mrcs", noise, PIXEL)
    k = np.hypot(np.fft.fftfreq(BOX)[:, None], np.fft.rfftfreq(BOX)[None, :]) * BOX

    def detail(image):
        return np.fft.irfft2(np.fft.rfft2(image) * (k > SHARED_RING), s=image.shape)

    found = []
    for more in ([], ["--halves"]):
        align(tmp_path, *BASIC, *more, "--overwrite", "--allow-no-signal")
        halves = sum(read_mrcs(tmp_path / f"out/averages_half{h}.mrcs")[0] for h in (1, 2))
        found.append(correlation(detail(halves), detail(made.references[0]), 25))
    assert found[0] > 0.3 and abs(found[1]) < 0.15


def test_several_classes_refine_apart_too(tmp_path, no_report):
    made = phantom_set(400, BOX, PIXEL, snr=0.2, seed=9, views=3, shift_sd=2.0).write(tmp_path)
    align(tmp_path, *BASIC, "--halves")
    classes = table(tmp_path / "out/particles.star")["rlnClassNumber"].astype(int)
    assert np.mean(classes == made.view + 1) > 0.97
    resolution = table(tmp_path / "out/averages.star", "averages")["rlnEstimatedResolution"].astype(float)
    assert (resolution < BOX * PIXEL / SHARED_RING).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--halves --iterations 1", "at least two rounds"),
        ("--initial-lowpass 40", "--halves"),
        ("--halves --initial-lowpass -3", "positive"),
        ("--halves --part 1/2", "--iterations above 1"),
    ],
)
def test_what_contradicts_itself(tmp_path, words, said):
    phantom_set(4, BOX, PIXEL, snr=1, seed=1).write(tmp_path)
    ran = run(tmp_path, "align", *BASIC, *words.split())
    assert ran.status == 2 and said in " ".join(ran.lines) and not (tmp_path / "out").exists()


def test_an_initial_lowpass_moves_the_shared_band(tmp_path, no_report):
    phantom_set(130, BOX, PIXEL, snr=0.3, seed=6).write(tmp_path)
    align(tmp_path, *BASIC, "--halves", "--iterations", 2, "--initial-lowpass", 26)
    assert (frc_of(tmp_path)["cryoalignFrcKind"] == "frc_common_reference").sum() == 12 + 2 + 1
    (shared,) = numbers(tmp_path / "out/particles.star", "cryoalignSharedResolution")
    assert shared[0] == pytest.approx(BOX * PIXEL / 14, rel=1e-6)
