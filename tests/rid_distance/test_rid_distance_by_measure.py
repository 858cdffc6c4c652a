"""``rid-distance --metric``: all pairs of clean images by a measure of images."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.io.graph_file import read_graph
from cryoalign.jobs.rid_distance import by_measure
from cryoalign.metrics.names import ranking_class
from cryoalign.metrics.rfsw_ncc import RfswWithCorrelation
from helpers.align import angle_difference, phantom_set, read_mrcs, run, star, table, write_mrcs
from helpers.rid_distance import edge_set, graph_in, pose_errors, rid_distance


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A folder with 70 clean images of 40 px in three views, half of them mirrored; and their truth."""
    folder = tmp_path_factory.mktemp("clean")
    made = phantom_set(70, 40, 4.0, snr=1e4, seed=31, views=3, mirror=True, shift_sd=0.6)
    return folder, made.write(folder)


@pytest.mark.parametrize(("metric", "angle", "shift"), [("rfsw-ncc", 2.0, 0.2), ("rfsw", 2.0, 0.2), ("ncc", 0.5, 0.05)])
def test_nearest_images_are_of_the_same_view(clean, metric, angle, shift):
    folder, made = clean
    ran = rid_distance(folder, "--metric", metric, "-k", 4, "--overwrite")
    graph = graph_in(folder)
    wrong_angle, wrong_shift, mirrors, same = pose_errors(graph, made)
    assert same == 1.0 and mirrors == 1.0
    assert np.abs(wrong_angle).max() < angle and np.abs(wrong_shift).max() < shift
    assert len(graph) == 70 * 4 and str(graph.metric) == f"{metric} ({ranking_class(metric).unit})"
    first = np.r_[True, np.diff(graph.i) != 0]
    assert (np.diff(graph.distance)[~first[1:]] >= 0).all() and graph.score is not None
    assert not any("--metric" in line for line in ran.lines)


def test_all_pairs_hold_the_lists_and_a_limit_cuts_them(clean):
    folder, _ = clean
    rid_distance(folder, "--metric", "rfsw-ncc", "-k", 4, "--overwrite")
    lists = graph_in(folder)
    rid_distance(folder, "--metric", "rfsw-ncc", "--all-pairs", "--overwrite")
    pairs = graph_in(folder)
    assert len(pairs) == 70 * 69 // 2 and (pairs.i < pairs.j).all()
    far = {(i, j): d for i, j, d in zip(pairs.i, pairs.j, pairs.distance, strict=True)}
    for i, j, d in zip(lists.i, lists.j, lists.distance, strict=True):
        assert far[min(i, j), max(i, j)] == d
    limit = float(np.sort(pairs.distance)[50]) * 1.0001
    rid_distance(folder, "--metric", "rfsw-ncc", "--max-distance", limit, "--overwrite")
    assert edge_set(graph_in(folder)) == edge_set(pairs, pairs.distance <= limit)


def test_auto_ranks_clean_images_as_the_blend_does(clean):
    folder, _ = clean
    rid_distance(folder, "--metric", "rfsw-ncc", "-k", 4, "--overwrite")
    chosen = (folder / "out/graph.npz").read_bytes()
    rid_distance(folder, "--metric", "auto", "-k", 4, "--overwrite")
    assert (folder / "out/graph.npz").read_bytes() == chosen


def test_same_bytes_for_threads_and_queries_are_rows_of_the_whole(clean):
    folder, _ = clean
    rid_distance(folder, "--metric", "rfsw-ncc", "-k", 4, "--overwrite")
    whole, content = graph_in(folder), (folder / "out/graph.npz").read_bytes()
    ran = run(folder, "rid-distance", "-q", "-j", 3, "particles.star", "-o", "out", "--overwrite", "--metric",
              "rfsw-ncc", "-k", 4, "--block-size", 64)  # fmt: skip
    assert ran.status == 0 and (folder / "out/graph.npz").read_bytes() == content
    rid_distance(folder, "--metric", "rfsw-ncc", "-k", 4, "--queries", "3,40", "--overwrite")
    asked = graph_in(folder)
    # The third tile of 32 has none of them and is not compared with itself: 70 images make 2415 pairs.
    log = (folder / "out/run.log").read_text()
    assert "2147 pairs, about" in log
    rows = np.isin(whole.i, [2, 39])
    np.testing.assert_array_equal(asked.j, whole.j[rows])
    np.testing.assert_array_equal(asked.distance, whole.distance[rows])


def test_noisy_images_are_known_to_be_noisy(tmp_path):
    phantom_set(40, 32, 4.0, snr=0.1, seed=2).write(tmp_path)
    ran = rid_distance(tmp_path, "--metric", "rfsw-ncc", "-k", 3)
    assert any("--metric rfsw-ncc on noisy particles (SNR 0." in line for line in ran.lines)


def test_too_many_pairs_are_refused_with_their_cost(clean, monkeypatch):
    folder, _ = clean
    monkeypatch.setattr(by_measure, "MOST_HOURS", 1e-3)
    ran = rid_distance(folder, "--metric", "mutual-information", "--overwrite", status=1)
    assert len(ran.errors) == 1
    assert "the 2415 of 70 particles take about 0.0 h of CPU time" in ran.errors[0]


def test_the_report_is_drawn(clean, with_report):
    folder, _ = clean
    rid_distance(folder, "--metric", "rfsw-ncc", "-k", 4, "--overwrite")
    page = (folder / "out/report.html").read_text()
    assert "rfsw-ncc (pixels)" in page and "searched up to" in page


def test_lists_of_references_are_images_too(clean):
    folder, _ = clean
    images = read_mrcs(folder / "particles.mrcs")[:6]
    write_mrcs(folder / "run_it025_classes.mrcs", images, 1.0)  # as of a program that does not know
    names = [f"{i:06d}@run_it025_classes.mrcs" for i in range(1, 7)]
    star(folder / "model.star", model_general={"rlnPixelSize": [4.0]}, model_classes={"rlnReferenceImage": names})
    star(folder / "averages.star", averages={"rlnReferenceImage": names, "rlnImagePixelSize": [4.0] * 6})
    graphs = []
    for file in ("model.star", "averages.star"):
        ran = run(folder, "rid-distance", "-q", "-j", 1, file, "-o", file + ".run", "--metric", "rfsw-ncc", "-k", 2)
        assert ran.status == 0 and ran.lines == []
        graphs.append((folder / f"{file}.run" / "graph.npz").read_bytes())
    graph = read_graph(folder / "model.star.run" / "graph.npz")
    ran = run(folder, "rid-distance", "-q", "-j", 1, "model.star", "-o", "two", "--metric", "rfsw-ncc", "--limit", 2)
    assert ran.status == 0 and len(read_graph(folder / "two" / "graph.npz")) == 2
    assert graphs[0] == graphs[1] and list(graph.name) == names and graph.pixel_size_angstrom == 4.0


def test_a_run_that_was_stopped_or_parted_gives_the_same_graph(clean, monkeypatch):
    folder, _ = clean
    words = ("--metric", "rfsw-ncc", "-k", 4, "--block-size", 64)
    rid_distance(folder, *words, "--overwrite")
    whole = (folder / "out/graph.npz").read_bytes()
    table, calls = RfswWithCorrelation.table, []

    def stop(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return table(self, *arguments)

    monkeypatch.setattr(RfswWithCorrelation, "table", stop)
    rid_distance(folder, *words, "--overwrite", status=130)
    assert not (folder / "out/graph.npz").exists()
    monkeypatch.setattr(RfswWithCorrelation, "table", table)
    rid_distance(folder, *words, "--resume")
    assert (folder / "out/graph.npz").read_bytes() == whole
    for part in ("2/2", "1/2"):
        ran = run(folder, "rid-distance", "-q", "-j", 1, "particles.star", "-o", "parts", *words, "--part", part)
        assert ran.status == 0
    assert run(folder, "merge", "-q", "parts").status == 0
    assert (folder / "parts/graph.npz").read_bytes() == whole


def test_sync_makes_angles_of_the_graph(tmp_path):
    made = phantom_set(40, 40, 4.0, snr=1e4, seed=32, shift_sd=0.6).write(tmp_path)
    rid_distance(tmp_path, "--metric", "rfsw-ncc", "-k", 6, "--no-mirror")
    ran = run(tmp_path, "sync", "-q", "-j", 1, "out/graph.npz", "-o", "synced")
    assert ran.status == 0
    psi = table(tmp_path / "synced/angles.star", "angles")["rlnAnglePsi"].astype(float).to_numpy()
    off = np.deg2rad(angle_difference(psi, made.poses.psi))
    turn = np.angle(np.exp(1j * off).mean())
    assert np.abs(np.rad2deg(np.angle(np.exp(1j * (off - turn))))).max() < 1.0
