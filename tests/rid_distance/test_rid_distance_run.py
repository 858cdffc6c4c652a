"""``rid-distance`` end to end: who is near whom, with which pose, in every kind of graph."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import starfile

from cryoalign.io.graph_file import read_graph
from helpers.align import angle_difference, phantom_set, results, rms, run, write_mrcs
from helpers.rid_distance import edge_set, graph_in, pose_errors, rid_distance


def test_neighbours_are_of_the_same_view_with_the_true_poses(views):
    folder, made = views
    # Some 50 images of each view: lists so long hold most of them, however they are shifted.
    rid_distance(folder, "-k", 35)
    graph = graph_in(folder)
    assert graph.i.tolist() == np.repeat(np.arange(150), 35).tolist()
    angle, shift, mirrors, same = pose_errors(graph, made)
    assert same > 0.97 and mirrors > 0.97
    assert np.median(np.abs(angle)) < 3
    # Without a search of shifts the error would be that of the particles' centres, 1.6 px.
    assert np.median(np.hypot(*shift.T)) < 0.9
    # The wrong sense of angles, or of the pair, would not do.
    assert 0.4 < graph.mirror.mean() < 0.6
    by_row = graph.distance.reshape(150, 35)
    assert (np.diff(by_row, axis=1) >= 0).all() and by_row.min() >= 0
    assert graph.box == 48 and graph.pixel_size_angstrom == 4.0 and "nats" in graph.metric
    assert graph.name[6] == "000007@particles.mrcs"


def test_run_json_and_the_log(views):
    folder, _ = views
    rid_distance(folder, "-k", 5)
    record = json.loads((folder / "out/run.json").read_text())
    assert record["status"] == "finished" and record["exit_status"] == 0
    scale = record["counts"].pop("normalised by")
    assert record["counts"] == {"read": 150, "compared": 150, "skipped": 0, "edges": 750}
    assert scale == pytest.approx([1.0], abs=0.05)
    assert {"read", "plan", "prepare", "compare", "write"} <= set(record["timings_s"])
    assert record["parameters"]["downsample"] == 32
    log = (folder / "out/run.log").read_text()
    assert "32 px, 6 A per pixel (from 48 px at 4 A)" in log and "750 edges" in log


def test_euclidean_distances_are_in_units_of_the_noise(tmp_path):
    made = phantom_set(120, 32, 4.0, snr=0.5, seed=3, shift_sd=0)
    made.write(tmp_path)
    rid_distance(tmp_path, "-k", 10, "--score", "euclidean", "--metric", "fourier-bessel", "--no-shifts")
    graph = graph_in(tmp_path)
    assert "noise standard deviations" in graph.metric
    assert rms(graph.shift_px) == 0
    # One clean image, so pairs differ by the noise of two images in the disc of 15.5 px, and by the signal that the
    # best angle cannot undo.
    expected = np.sqrt(2 * np.pi * 15.5**2)
    assert 0.75 * expected < np.median(graph.distance) < 1.05 * expected


def test_without_mirrors_and_shifts(views):
    folder, made = views
    rid_distance(folder, "-k", 5, "--no-mirror", "--no-shifts")
    graph = graph_in(folder)
    assert not graph.mirror.any() and not graph.shift_px.any()
    hand = made.poses.mirror
    assert (hand[graph.i] == hand[graph.j]).mean() > 0.9


def test_a_given_deviation_of_shifts_is_used(tmp_path):
    made = phantom_set(60, 48, 4.0, snr=1.0, seed=9, shift_sd=2.0)
    made.write(tmp_path)
    rid_distance(tmp_path, "-k", 59, "--shift-sd", 1.6, "--no-mirror")
    graph = graph_in(tmp_path)
    angle, shift, _, _ = pose_errors(graph, made)
    true = np.hypot(*(shift - graph.shift_px).T)
    assert np.median(true) > 2 and np.median(np.hypot(*shift.T)) < 0.4 * np.median(true)
    assert np.median(np.abs(angle)) < 3
    # Half of the pairs and more are so far apart that 0 is not the nearest of the shifts that are tried.
    assert (np.hypot(*graph.shift_px.T) > 0.5).mean() > 0.5


def test_queries_have_the_lists_that_they_have_among_all(views):
    folder, _ = views
    rid_distance(folder, "-k", 6)
    whole = graph_in(folder)
    rid_distance(folder, "-k", 6, "--queries", "40,3,9-10", "--overwrite")
    some = graph_in(folder)
    assert some.i.tolist() == np.repeat([2, 8, 9, 39], 6).tolist() and some.n == 150
    mine = np.isin(whole.i, [2, 8, 9, 39])
    for label in ("j", "distance", "angle_deg", "shift_px", "mirror"):
        np.testing.assert_array_equal(getattr(some, label), getattr(whole, label)[mine])


def test_lists_can_be_cut_at_a_distance(views):
    folder, _ = views
    rid_distance(folder, "-k", 8)
    whole = graph_in(folder)
    limit = float(np.median(whole.distance))
    rid_distance(folder, "-k", 8, "--max-distance", limit, "--overwrite")
    cut = graph_in(folder)
    near = whole.distance <= np.float32(limit)
    assert len(cut) == near.sum() and cut.distance.max() <= limit
    np.testing.assert_array_equal(cut.j, whole.j[near])


def test_all_pairs_and_those_within_a_distance(tmp_path):
    made = phantom_set(90, 32, 4.0, snr=2.0, seed=5, views=3, shift_sd=0)
    made.write(tmp_path)
    rid_distance(tmp_path, "--all-pairs", "--score", "euclidean", "--no-mirror")
    every = graph_in(tmp_path)
    assert every.each_pair_once and len(every) == 90 * 89 // 2
    same = made.view[every.i] == made.view[every.j]
    assert every.distance[same].mean() < 0.9 * every.distance[~same].mean()
    angle, _, _, _ = pose_errors(every, made)
    assert np.median(np.abs(angle)) < 3
    limit = float(np.quantile(every.distance, 0.2))
    rid_distance(tmp_path, "--max-distance", limit, "--score", "euclidean", "--no-mirror", "--overwrite")
    near = graph_in(tmp_path)
    inside = every.distance <= limit
    assert abs(len(near) - inside.sum()) <= 2 and near.distance.max() <= limit * 1.00001
    assert edge_set(near) >= edge_set(every, every.distance < 0.9999 * limit)


def test_likelihood_distances_of_pairs_agree_with_those_of_lists(tmp_path):
    """A pair's distance is the mean of those that either end has from the other."""
    phantom_set(60, 32, 4.0, snr=1.0, seed=5, views=2, shift_sd=0).write(tmp_path)
    rid_distance(tmp_path, "-k", 59, "--no-shifts", "--candidates", 0)
    lists = graph_in(tmp_path)
    from_end = np.zeros((60, 60))
    from_end[lists.i, lists.j] = lists.distance
    angle = np.zeros((60, 60))
    angle[lists.i, lists.j] = lists.angle_deg
    rid_distance(tmp_path, "--all-pairs", "--overwrite")
    pairs = graph_in(tmp_path)
    mean = 0.5 * (from_end + from_end.T)[pairs.i, pairs.j]
    np.testing.assert_allclose(pairs.distance, mean, rtol=2e-3, atol=1e-2)
    assert np.quantile(np.abs(angle_difference(angle[pairs.i, pairs.j], pairs.angle_deg)), 0.9) < 0.5


def test_exports_hold_the_same_edges(views):
    folder, _ = views
    rid_distance(folder, "-k", 4, "--export", "csv", "--export", "star")
    graph = graph_in(folder)
    rows = list(csv.DictReader((folder / "out/graph.csv").read_text().splitlines()))
    assert [int(row["j"]) for row in rows] == (graph.j + 1).tolist()
    edges = starfile.read(folder / "out/graph.star", always_dict=True)["edges"]
    assert edges["cryoalignRowI"].tolist() == (graph.i + 1).tolist()


def test_same_bytes_for_threads_blocks_and_after_a_stop(views):
    folder, _ = views
    rid_distance(folder, "-k", 7, "--export", "csv")
    whole = results(folder / "out")
    rid_distance(folder, "-k", 7, "--export", "csv", "-j", 2, "--block-size", 64, "--overwrite")
    assert results(folder / "out") == whole
    # Stopped by its own graph: the parts are there, the graph is not.
    (folder / "other").mkdir()
    (folder / "other/graph.npz").write_text("mine")
    words = ("rid-distance", "-q", "-j", 1, "particles.star", "-o", "other", "-k", 7, "--export", "csv")
    assert run(folder, *words).status == 1
    (folder / "other/graph.npz").unlink()
    assert run(folder, *words, "--resume", "-j", 2).status == 0
    assert results(folder / "other") == whole


def test_a_job_array_and_its_merge(views):
    folder, _ = views
    rid_distance(folder, "-k", 7, "--block-size", 64)
    whole = results(folder / "out")
    for k in (2, 1, 3):
        words = ("rid-distance", "-q", "-j", 1, "particles.star", "-o", "array", "-k", 7, "--block-size", 64)
        assert run(folder, *words, "--part", f"{k}/3").status == 0
        if k == 2:
            refused = run(folder, "merge", "-q", "array")
            assert refused.status == 1 and "1/3, 3/3" in refused.errors[0]
    assert not (folder / "array/graph.npz").exists()
    assert run(folder, "merge", "-q", "array").status == 0
    assert results(folder / "array") == whole


def test_the_report_shows_examples(views, with_report):
    folder, _ = views
    rid_distance(folder, "-k", 7)
    text = (folder / "out/report.html").read_text()
    assert "nats" in text and "@particles.mrcs" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize("box", [32, 33])
def test_mirroring_every_input_leaves_neighbours_and_flags(tmp_path, box):
    made = phantom_set(80, box, 4.0, snr=1.0, seed=2, views=2, mirror=True, shift_sd=0)
    made.write(tmp_path)
    rid_distance(tmp_path, "-k", 8, "--no-shifts")
    graph = graph_in(tmp_path)
    flipped = np.roll(made.images[..., ::-1], 1, axis=-1) if box % 2 == 0 else made.images[..., ::-1]
    write_mrcs(tmp_path / "particles.mrcs", np.ascontiguousarray(flipped), 4.0)
    rid_distance(tmp_path, "-k", 8, "--no-shifts", "--overwrite")
    other = read_graph(tmp_path / "out/graph.npz")
    # The first column of an even box has no counterpart on the other side, and its own share of a plane.
    assert len(edge_set(graph) & edge_set(other)) > (0.98 if box % 2 == 0 else 0.99) * len(graph)
    assert abs(graph.mirror.mean() - other.mirror.mean()) < 0.01
