"""``rid-distance`` on what cannot be used: one line that says what and where, nothing half written."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import optics, star, write_mrcs
from helpers.rid_distance import graph_in, rid_distance


@pytest.fixture
def noise(tmp_path):
    """A function that writes n images of noise, some of which it is told to change."""

    def write(n: int, change=None):
        images = np.random.default_rng(1).standard_normal((n, 32, 32)).astype(np.float32)
        if change is not None:
            change(images)
        write_mrcs(tmp_path / "particles.mrcs", images, 3.0)
        names = [f"{i + 1:06d}@particles.mrcs" for i in range(n)]
        star(tmp_path / "particles.star", optics=optics(32, 3.0),
             particles={"rlnImageName": names, "rlnOpticsGroup": 1})  # fmt: skip
        return tmp_path

    return write


def refused(folder, *words) -> str:
    """Run, and return the one line that says why it failed; no result is there."""
    ran = rid_distance(folder, *words, status=1)
    assert len(ran.errors) == 1
    assert not (folder / "out/graph.npz").exists()
    return ran.errors[0]


def test_fewer_particles_than_neighbours(noise):
    folder = noise(30)
    message = refused(folder, "-k", 30)
    assert "-k 30 neighbours need at least 31 usable particles" in message and "give -k 29 or less" in message
    ran = rid_distance(folder, "--overwrite")
    assert any("30 particles have only 29 neighbours" in line for line in ran.lines)
    assert len(graph_in(folder)) == 30 * 29


def test_hardly_any_particles(noise):
    assert "only 3 usable particles" in refused(noise(3))


def test_identical_images_are_named_and_next_to_each_other(noise):
    def twins(images):
        images[20] = images[4]

    folder = noise(60, twins)
    ran = rid_distance(folder, "-k", 3, "--score", "euclidean", "--metric", "fourier-bessel", "--no-shifts")
    assert any("1 images are identical to others (rows 21 = 5)" in line for line in ran.lines)
    graph = graph_in(folder)
    nearest = dict(zip(graph.i[::3].tolist(), graph.j[::3].tolist(), strict=True))
    assert nearest[4] == 20 and nearest[20] == 4
    assert graph.distance[graph.i == 4][0] < 0.1 < 10 < graph.distance[graph.i == 4][1]


def test_all_images_identical(noise):
    def same(images):
        images[:] = images[0]

    ran = rid_distance(noise(20, same), "-k", 3)
    assert any("19 images are identical" in line for line in ran.lines)


def test_broken_images(noise):
    def broken(images):
        images[11] = 3.0

    folder = noise(40, broken)
    assert "row 12: this image cannot be used: constant image" in refused(folder, "-k", 3)
    rid_distance(folder, "-k", 3, "--on-bad-image", "skip", "--overwrite")
    graph = graph_in(folder)
    assert graph.n == 40 and 11 not in graph.i and 11 not in graph.j
    assert (folder / "out/skipped.star").is_file()
    message = rid_distance(folder, "-k", 3, "--on-bad-image", "skip", "--queries", 12, "--overwrite", status=1).errors[
        0
    ]
    assert "row 12: --queries names a particle whose image cannot be used" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--queries", "41"), "--queries names a row that is not there (41); rows count from 1 to 40"),
        (("--queries", "absent.txt"), "absent.txt: no such file"),
        (("--max-distance", "0"), "no two particles are as near"),
        (("-k", 3, "--max-distance", "0"), "no two particles are as near"),
        (("--mask-diameter", "400"), "leaves no background"),
    ],
)
def test_options_that_do_not_fit_the_particles(noise, words, message):
    assert message in refused(noise(40), *words)


def test_graphs_of_too_many_pairs_are_refused(noise, monkeypatch):
    monkeypatch.setattr("cryoalign.jobs.rid_distance.search.MOST_PAIRS", 700)
    folder = noise(40)
    assert "40 particles have 780 pairs" in refused(folder, "--all-pairs")
    ran = rid_distance(folder, "--max-distance", 1e6, "--overwrite", status=1)
    assert "more than 700 pairs are as near as --max-distance" in ran.errors[0]


def test_missing_pixels(noise):
    folder = noise(10)
    (folder / "particles.mrcs").unlink()
    assert "particles.mrcs" in refused(folder)
