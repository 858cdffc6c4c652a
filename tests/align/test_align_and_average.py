"""``average`` makes from the files of an ``align`` run what the run made itself, to the byte."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import align, phantom_set, read_mrcs, run, write_mrcs

FILES = ("averages.mrcs", "averages_half1.mrcs", "averages_half2.mrcs", "frc.star")


def same_averages(folder, *align_words, average_words=()):
    align(folder, "particles.star", "--reference", "ref.mrcs", "-o", "out", "--no-write-stack", *align_words)
    ran = run(folder, "average", "-q", "-j", 1, "out/particles.star", "-o", "again", *average_words)
    assert ran.status == 0, ran.lines
    for name in FILES:
        first, second = (folder / where / name for where in ("out", "again"))
        assert first.read_bytes() == second.read_bytes(), name


@pytest.mark.parametrize("ctf", [False, True], ids=["plain", "ctf"])
@pytest.mark.parametrize("box", [48, 49])
def test_same_averages(tmp_path, no_report, ctf, box):
    phantom_set(150, box, 4.0, snr=0.3, seed=2, views=2, ctf=ctf).write(tmp_path)
    same_averages(tmp_path)


def test_same_averages_of_mirrored_particles(tmp_path, no_report):
    phantom_set(150, 48, 4.0, snr=0.5, seed=3, ctf=True, mirror=True).write(tmp_path)
    same_averages(tmp_path, "--mirror")


def test_same_averages_of_halves_and_what_is_independent(tmp_path, no_report):
    phantom_set(200, 64, 5.0, snr=0.2, seed=4).write(tmp_path)
    same_averages(tmp_path, "--halves", "--iterations", 3)
    assert "independent" in (tmp_path / "again/frc.star").read_text()


def test_same_averages_with_other_options(tmp_path, no_report):
    phantom_set(150, 48, 4.0, snr=0.5, seed=5, ctf=True).write(tmp_path)
    words = ["--interpolation", "linear", "--no-normalize", "--mask-diameter", 140]
    same_averages(tmp_path, *words, average_words=words)


def test_same_averages_without_the_images_that_were_bad(tmp_path, no_report):
    made = phantom_set(150, 48, 4.0, snr=0.5, seed=6).write(tmp_path)
    images = made.images.copy()
    images[3], images[77] = 1.0, 0.0
    write_mrcs(tmp_path / "particles.mrcs", images, 4.0)
    same_averages(tmp_path, "--on-bad-image", "skip")
    assert np.isfinite(read_mrcs(tmp_path / "again/averages.mrcs")).all()
