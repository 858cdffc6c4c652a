"""``classavg`` on what cannot be used, and on images that hold nothing: said, marked, nothing half written."""

from __future__ import annotations

import json
from dataclasses import replace

import mrcfile
import numpy as np
import pytest

from cryoalign.io.graph_file import read_graph, write_graph
from helpers.align import read_mrcs, run, table, write_mrcs
from helpers.classavg import classavg, rows_of, simulate
from helpers.undrawn import leave_out_drawing


@pytest.fixture(autouse=True)
def no_report(monkeypatch) -> None:
    """Leave out drawing."""

    leave_out_drawing(monkeypatch, "classavg")


@pytest.fixture
def sim(tmp_path):
    """80 particles of 32 px in all views."""
    return simulate(tmp_path, 80, 32, "--snr", 0.5)


@pytest.fixture
def noise(tmp_path):
    """300 images of white noise under the names of particles."""
    simulate(tmp_path, 300, 32, "--snr", 0.5)
    images = np.random.default_rng(3).standard_normal((300, 32, 32)).astype(np.float32)
    write_mrcs(tmp_path / "sim/particles.mrcs", images, 4.0)
    return tmp_path


def refused(folder, *words) -> str:
    """Run, and return the one line that says why it failed; no result is there."""
    ran = classavg(folder, *words, status=1)
    assert len(ran.errors) == 1, ran.lines
    assert not (folder / "out/averages.mrcs").exists()
    return ran.errors[0]


def test_noise_has_no_signal_and_is_marked(noise):
    ran = classavg(noise, "-k", 10, "--classes", 4, status=3)
    assert any("no consistent signal found" in line for line in ran.lines)
    record = json.loads((noise / "out/run.json").read_text())
    assert record["exit_status"] == 3 and record["counts"]["signal"]["found"] is False
    assert any("no consistent signal" in text for text in record["warnings"])
    assert (noise / "out/RELION_JOB_EXIT_SUCCESS").exists() and (noise / "out/averages.mrcs").exists()
    views = table(noise / "out/averages.star", "averages")
    assert (views["rlnEstimatedResolution"].astype(float) == 999).all()
    classavg(noise, "-k", 10, "--classes", 4, "--allow-no-signal", "--overwrite")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-k", 80), "-k 80 neighbours need at least 81 usable particles"),
        (("--particles", "81"), "--particles names a row that is not there (81); rows count from 1 to 80"),
        (("--particles", "nowhere.star"), "nowhere.star: no such file"),
        (("--graph", "nowhere.npz"), "nowhere.npz: no such file"),
        (("--graph", "sim/particles.star"), "no .npz file"),
        (("--min-class-size", 40, "-k", 10), "no view has as many neighbours"),
    ],
)
def test_options_that_do_not_fit_the_particles(sim, words, message):
    assert message in refused(sim, *words)


def test_graphs_of_other_particles(sim):
    words = ("rid-distance", "-q", "-j", 1, "sim/particles.star", "-o", "g", "-k", 5, "--no-shifts")
    assert run(sim, *words).status == 0
    graph = read_graph(sim / "g/graph.npz")
    names = graph.name.copy()
    names[[3, 4]] = names[[4, 3]]
    write_graph(sim / "other.npz", replace(graph, name=names))
    message = refused(sim, "-k", 5, "--graph", "other.npz")
    assert "other.npz, row 4: a graph of other particles: 2 names differ" in message
    message = refused(sim, "-k", 5, "--graph", "g/graph.npz", "--limit", 60, "--overwrite")
    assert "a graph of 80 particles, not of these 60" in message


def test_broken_images_are_left_out_of_everything(sim):
    with mrcfile.open(sim / "sim/particles.mrcs", "r+") as mrc:
        mrc.data[6] = 2.5
    assert "row 7: this image cannot be used: constant image" in refused(sim, "-k", 5)
    classavg(sim, "-k", 5, "--classes", 4, "--on-bad-image", "skip", "--overwrite")
    members = rows_of(table(sim / "out/members.star", "members")["rlnImageName"])
    data = rows_of(table(sim / "out/run_data.star")["rlnImageName"])
    skipped = rows_of(table(sim / "out/skipped.star")["rlnImageName"])
    graph = read_graph(sim / "out/graph.npz")
    assert 6 not in members and skipped.tolist() == [6] and graph.n == 80 and 6 not in np.union1d(graph.i, graph.j)
    assert sorted([*data, *skipped]) == list(range(80))
    message = classavg(sim, "-k", 5, "--on-bad-image", "skip", "--particles", 7, "--overwrite", status=1).errors[0]
    assert "row 7: --particles names a particle whose image cannot be used" in message


def test_identical_images_are_named(sim):
    with mrcfile.open(sim / "sim/particles.mrcs", "r+") as mrc:
        mrc.data[11] = mrc.data[2]
    ran = classavg(sim, "-k", 5, "--classes", 3)
    assert any("1 images are identical to others (rows 12 = 3)" in line for line in ran.lines)


def test_a_few_particles_are_enough(tmp_path):
    simulate(tmp_path, 12, 32, "--snr", 2)
    ran = classavg(tmp_path, "--allow-no-signal")
    assert any("12 particles have only 11 neighbours each" in line for line in ran.lines)
    assert len(read_mrcs(tmp_path / "out/averages.mrcs")) >= 1
