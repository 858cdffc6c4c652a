"""``rid-distance --apply-mag-matrix`` compares corrected images, and ``sync`` takes origins back to stored ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryoalign.core.magnification import correct_magnification
from helpers.align import numbers, read_mrcs, run, star, table, write_mrcs
from helpers.align import optics as one_group
from helpers.distorted import PIXEL, stretched
from helpers.distorted_particles import FLAG, IGNORED, distorted
from helpers.undrawn import leave_out_drawing

MATRIX = stretched(6, 45)


@pytest.fixture
def no_sync_report(monkeypatch) -> None:
    leave_out_drawing(monkeypatch, "sync")


def neighbours(folder, out, *words):
    """Run the command on 80 particles and return what is in the graph."""
    basic = ("rid-distance", "-q", "-j", 1, "-k", 10, "--shift-sd", 1.5, "--no-mirror")
    ran = run(folder, *basic, *words, "-o", out)
    assert ran.status == 0, ran.lines
    with np.load(folder / out / "graph.npz") as graph:
        return ran, dict(graph)


def test_the_graph_is_that_of_corrected_images_and_sync_knows(tmp_path, no_sync_report):
    distorted(tmp_path, n=80, box=48, groups=(MATRIX,), snr=2.0)
    corrected = correct_magnification(read_mrcs(tmp_path / "particles.mrcs"), MATRIX)
    write_mrcs(tmp_path / "corrected.mrcs", corrected, PIXEL)
    rows = {"rlnImageName": [f"{i + 1:06d}@corrected.mrcs" for i in range(80)], "rlnOpticsGroup": [1] * 80}
    star(tmp_path / "corrected.star", optics=one_group(48, PIXEL), particles=rows)
    _, wanted = neighbours(tmp_path, "Wanted", "corrected.star")
    ran, found = neighbours(tmp_path, "Found", "particles.star", FLAG)
    assert not any(IGNORED in line for line in ran.lines)
    for name in ("i", "j", "distance", "angle_deg", "shift_px"):
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
    ran, raw = neighbours(tmp_path, "Raw", "particles.star")
    assert any(IGNORED in line and FLAG in line for line in ran.lines)
    assert not np.array_equal(raw["distance"], wanted["distance"])

    origins = {}
    for out, graph, words in (
        ("A", "Found", ()), ("B", "Found", ("--particles", "particles.star")), ("C", "Wanted", ())
    ):  # fmt: skip
        ran = run(tmp_path, "sync", "-q", "-j", 1, f"{graph}/graph.npz", *words, "-o", out)
        assert ran.status == 0, ran.lines
        origins[out] = np.stack(numbers(tmp_path / out / "particles.star", "rlnOriginXAngst", "rlnOriginYAngst"))
    assert np.hypot(*origins["C"]).max() > 2 * PIXEL
    np.testing.assert_allclose(origins["A"], MATRIX.T @ origins["C"], atol=2e-5)
    np.testing.assert_array_equal(origins["A"], origins["B"])
    assert json.loads((tmp_path / "Found/run.json").read_text())["parameters"]["apply_mag_matrix"] is True
    assert table(tmp_path / "A/particles.star", "optics")["rlnMagMat01"].astype(float)[0] == pytest.approx(0.03)
