"""A measure is added from outside, by one file and one line, and every command that compares images knows it."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.cli.main import main
from cryoalign.io.graph_file import read_graph
from cryoalign.metrics import names
from helpers.pixel_cases import copies, degrees_apart

NAME, BOX, COUNT = "log-cosh", 24, 6


@pytest.fixture
def registered(monkeypatch):
    """Register the measure of ``helpers/log_cosh.py``, for one test."""
    monkeypatch.setattr(names, "_MEASURES", dict(names._MEASURES))
    names.register(NAME, "helpers.log_cosh:LogCosh")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder with a reference and six turned and shifted copies; and their truth."""
    monkeypatch.chdir(tmp_path)
    case = copies(COUNT, BOX, seed=3, reach=0.05)
    for name, images in (("ref.mrcs", case.reference), ("copies.mrcs", case.images)):
        with mrcfile.new(name) as file:
            file.set_data(images)
            file.voxel_size = 2.0
            file.set_image_stack()
    return case


def run(*words: str) -> int:
    return main([*words, "--metric", NAME, "-o", "out", "-q", "-j", "1"])


def test_align_finds_poses_by_it(registered, made):
    assert run("align", "copies.mrcs", "--reference", "ref.mrcs", "--no-guard", "--no-write-stack") == 0
    found = starfile.read("out/particles.star")["particles"]
    assert np.abs(degrees_apart(found.rlnAnglePsi.to_numpy(float), made.psi)).max() < 2.0
    assert np.abs(found.rlnOriginXAngst.to_numpy(float) / 2.0 - made.dx).max() < 0.3
    assert np.ptp(found.cryoalignMetricValue.to_numpy(float)) > 0


def test_rid_distance_ranks_by_it(registered, made):
    assert run("rid-distance", "copies.mrcs", "-k", "2", "--downsample", "24", "--no-mirror") == 0
    graph = read_graph("out/graph.npz")
    assert graph.metric == "log-cosh (log intensity)"
    turn = degrees_apart(graph.angle_deg, made.psi[graph.j] - made.psi[graph.i])
    assert np.abs(turn).max() < 2.0


def test_compare_shows_it(registered, made):
    assert run("compare", "ref.mrcs", "copies.mrcs", "--metric", "ncc", "--pictures", "1") == 0
    found = starfile.read("out/compare.star")
    mine = found[found.cryoalignMetric == NAME]
    assert np.abs(degrees_apart(mine.rlnAnglePsi.to_numpy(float), made.psi)).max() < 2.0
    page = Path("out/report.html").read_text()
    assert "logarithm of the hyperbolic cosine of differences" in page and "needs both images on one" in page


@pytest.mark.parametrize("command", ["align", "rid-distance", "compare"])
def test_help_names_it_once_it_is_registered(command, capsys, monkeypatch):
    main([command, "--help"])
    assert NAME not in capsys.readouterr().out
    monkeypatch.setattr(names, "_MEASURES", dict(names._MEASURES))
    names.register(NAME, "helpers.log_cosh:LogCosh")
    main([command, "--help"])
    assert NAME in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", ["align", "rid-distance", "compare"])
def test_without_the_line_it_is_refused(command, made, capsys):
    assert run(command, "copies.mrcs", "copies.mrcs") == 2
    assert "'log-cosh' is not one of" in capsys.readouterr().err
