"""``average --apply-mag-matrix``: averages of distorted particles, with poses in RELION's terms."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import correlation, numbers, read_mrcs, results, run, star, table
from helpers.average import average, averages
from helpers.distorted import PIXEL, stretched
from helpers.distorted_particles import FLAG, IGNORED, MATRIX, distorted

WORDS = ("particles.star", "-o", "out")


@pytest.mark.parametrize(("box", "ctf"), [(64, True), (65, False)])
def test_the_average_is_nearer_to_the_truth(tmp_path, box, ctf):
    # Over all angles an average is only blurred by a distortion: by much of a fine detail, by little of a coarse one.
    truth = distorted(tmp_path, n=100, box=box, ctf=ctf, snr=20.0, poses=True, groups=(stretched(6, 30),))
    wanted, found = truth.blobs.image(box), {}
    for words in ((), (FLAG,)):
        ran = average(tmp_path, *WORDS, "--overwrite", *words)
        assert any(IGNORED in line and FLAG in line for line in ran.lines) == (not words)
        found[words] = 1 - correlation(averages(tmp_path)[0], wanted, 24)
    assert found[FLAG,] < 0.3 * found[()]
    assert found[FLAG,] < 1e-3


def test_centring_moves_the_origins_of_stored_images(tmp_path):
    """A point s of the average that comes to the centre moves origins by -M^T R(-psi) s, F M^T F if mirrored."""
    matrix = stretched(10, 45)
    truth = distorted(tmp_path, n=60, snr=4.0, poses=True, mirrors=True, groups=(matrix,))
    star_file = tmp_path / "particles.star"
    x, y = numbers(star_file, "rlnOriginXAngst", "rlnOriginYAngst")
    average(tmp_path, *WORDS, FLAG, "--recenter")
    after = np.stack(numbers(tmp_path / "out/particles.star", "rlnOriginXAngst", "rlnOriginYAngst"))
    said = table(tmp_path / "out/averages.star", _only_block(tmp_path / "out/averages.star"))
    s = -said[["cryoalignMovedXAngst", "cryoalignMovedYAngst"]].astype(float).to_numpy()[0]
    assert np.hypot(*s) > 0.3 * PIXEL
    a = np.deg2rad(-truth.psi)
    turned = np.stack([np.cos(a) * s[0] - np.sin(a) * s[1], np.sin(a) * s[0] + np.cos(a) * s[1]])
    flip = np.where(truth.mirror, -1.0, 1.0)
    moved = np.stack(
        [matrix[0, 0] * turned[0] + flip * matrix[1, 0] * turned[1],
         flip * matrix[0, 1] * turned[0] + matrix[1, 1] * turned[1]]
    )  # fmt: skip
    np.testing.assert_allclose(after, np.stack([x, y]) - moved, atol=1e-4)
    first = averages(tmp_path)[0]
    average(tmp_path, "out/particles.star", "-o", "again", FLAG)
    again = read_mrcs(tmp_path / "again/averages.mrcs")[0]
    np.testing.assert_allclose(again, first, atol=1e-5 * np.abs(first).max())


def test_members_have_origins_of_stored_images(tmp_path):
    distorted(tmp_path, n=70, poses=True, mirrors=True, snr=2.0)
    average(tmp_path, *WORDS, FLAG)
    expected = averages(tmp_path).tobytes()
    particles = table(tmp_path / "particles.star").to_dict("list")
    members = {label: cells for label, cells in particles.items() if label != "rlnOpticsGroup"}
    star(tmp_path / "members.star", members=members)
    average(tmp_path, *WORDS, FLAG, "--overwrite", "--members", "members.star")
    assert averages(tmp_path).tobytes() == expected
    average(tmp_path, *WORDS, FLAG, "--overwrite", "--members", "members.star", "--recenter")
    average(tmp_path, *WORDS, FLAG, "--overwrite", "--recenter")
    by_table = numbers(tmp_path / "out/particles.star", "rlnOriginXAngst")
    average(tmp_path, *WORDS, FLAG, "--overwrite", "--members", "members.star", "--recenter")
    written = table(tmp_path / "out/members.star", "members")["rlnOriginXAngst"].astype(float)
    np.testing.assert_allclose(written, by_table[0], atol=2e-6)


def test_the_same_bytes_for_any_threads_and_blocks_and_for_a_job_array(tmp_path, monkeypatch):
    monkeypatch.setattr("cryoalign.passes.average.plan._MEMORY_SHARE", 4096)  # sums take very little of --memory
    distorted(tmp_path, n=150, box=32, poses=True, groups=(MATRIX, np.eye(2), stretched(2, 100)))
    found = []
    for words in (("-j", 1), ("-j", 2, "--block-size", 64), ("--memory", "200M", "--block-size", 64)):
        assert run(tmp_path, "average", "-q", *WORDS, FLAG, "--overwrite", *words).status == 0
        found.append(results(tmp_path / "out"))
    for part in ("1/2", "2/2"):
        words = (WORDS[0], "-o", "parts", FLAG, "--block-size", 64, "--part", part)
        assert run(tmp_path, "average", "-q", "-j", 1, *words).status == 0
    assert run(tmp_path, "merge", "-q", "parts").status == 0
    assert found[0] == found[1] == found[2]
    assert (tmp_path / "parts/averages.mrcs").read_bytes() == found[0]["averages.mrcs"]


def _only_block(path):
    return next(line for line in path.read_text().splitlines() if line.startswith("data_")).removeprefix("data_")
