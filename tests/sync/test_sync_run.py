"""``cryoalign sync`` on graphs that are formulas: angles, files, components, anchors, what is counted and said."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.align import angle_difference, results, run, table
from helpers.sync import angles, apart, edge_text, random_pairs, record, sync, true_angles

N = 60


@pytest.fixture
def graph():
    """Return true angles of 60 nodes and 600 pairs of them."""
    rng = np.random.default_rng(8)
    return rng.uniform(-180, 180, N), random_pairs(rng, N, 600)


def test_exact_edges_give_the_true_angles_and_the_wrong_sign_does_not(graph, tmp_path):
    psi, pairs = graph
    (tmp_path / "e.csv").write_text(edge_text(pairs, true_angles(psi, pairs)))
    sync(tmp_path, "e.csv")
    found = angles(tmp_path)
    assert found.cryoalignNode.tolist() == [str(k) for k in range(1, N + 1)]
    assert np.abs(apart(found.rlnAnglePsi, psi)).max() < 0.01
    assert np.abs(apart(found.rlnAnglePsi, -psi)).max() > 90  # what theta = psi would give
    assert found.rlnAnglePsi[0] == 0 and set(found.cryoalignComponent) == {1} and set(found.cryoalignIsolated) == {0}
    assert found.cryoalignConfidence.between(0, 1).all() and found.cryoalignConfidence.min() > 0.5
    assert "rlnImageName" not in found and "rlnIsFlip" not in found
    edges = table(tmp_path / "out" / "edges.star", "edges")
    assert len(edges) == 600 and np.abs(edges.cryoalignResidual.astype(float)).max() < 0.01
    assert edges.cryoalignInlierProbability.astype(float).min() > 0.5
    counts = record(tmp_path)["counts"]
    assert counts["signal"] and counts["held_out_log_likelihood"] > 1 and counts["components"] == 1
    assert record(tmp_path)["inputs"][0]["path"] == "e.csv"


def test_wrong_edges_are_told_from_right_ones(graph, tmp_path):
    psi, pairs = graph
    rng = np.random.default_rng(1)
    right = rng.random(len(pairs)) < 0.6
    angle = np.where(right, true_angles(psi, pairs) + rng.normal(0, 3, len(pairs)), rng.uniform(-180, 180, len(pairs)))
    (tmp_path / "e.csv").write_text(edge_text(pairs, angle))
    sync(tmp_path, "e.csv")
    assert np.median(np.abs(apart(angles(tmp_path).rlnAnglePsi, psi))) < 2
    edges = table(tmp_path / "out" / "edges.star", "edges").astype(float)
    ends = [tuple(sorted(pair)) for pair in (pairs + 1).tolist()]
    inlier = dict(zip(zip(edges.cryoalignNodeI, edges.cryoalignNodeJ, strict=True), edges.cryoalignInlierProbability,
                      strict=True))  # fmt: skip
    found = np.array([inlier[pair] for pair in ends])
    off = np.abs(angle_difference(angle, true_angles(psi, pairs))) > 30
    assert found[right].mean() > 0.8 and found[off].mean() < 0.3


def test_the_same_edges_as_csv_star_and_edges_star_give_the_same_angles(graph, tmp_path):
    psi, pairs = graph
    text = edge_text(pairs, np.round(true_angles(psi, pairs), 3))
    (tmp_path / "e.csv").write_text(text)
    rows = "\n".join(line.replace(",", " ") for line in text.splitlines()[1:])
    (tmp_path / "e.star").write_text(f"data_\nloop_\n_i\n_j\n_angle_deg\n{rows}\n")
    sync(tmp_path, "e.csv")
    first = angles(tmp_path)
    (tmp_path / "again.star").write_bytes((tmp_path / "out" / "edges.star").read_bytes())
    for name in ("e.star", "again.star"):
        sync(tmp_path, name, "--overwrite")
        assert np.abs(angle_difference(angles(tmp_path).rlnAnglePsi, first.rlnAnglePsi)).max() < 1e-3


@pytest.mark.parametrize("threads", [2, 5])
def test_the_same_bytes_with_any_number_of_threads(graph, tmp_path, threads):
    psi, pairs = graph
    rng = np.random.default_rng(2)
    noise = np.where(rng.random(len(pairs)) < 0.5, rng.normal(0, 5, len(pairs)), rng.uniform(-180, 180, len(pairs)))
    shift = rng.normal(0, 1, (2, len(pairs)))
    (tmp_path / "e.csv").write_text(edge_text(pairs, true_angles(psi, pairs) + noise, dx=shift[0], dy=shift[1]))
    sync(tmp_path, "e.csv", "--allow-no-signal")
    first = results(tmp_path / "out")
    sync(tmp_path, "e.csv", "--allow-no-signal", "--overwrite", "-j", threads)
    assert results(tmp_path / "out") == first and {"angles.star", "edges.star"} <= set(first)


@pytest.mark.parametrize("algorithm", ["auto", "ppe", "spectral", "gpm", "mfgpm"])
def test_every_algorithm_solves_an_easy_graph(graph, tmp_path, algorithm):
    psi, pairs = graph
    (tmp_path / "e.csv").write_text(edge_text(pairs, true_angles(psi, pairs)))
    sync(tmp_path, "e.csv", "--algorithm", algorithm)
    assert np.abs(apart(angles(tmp_path).rlnAnglePsi, psi)).max() < 0.5
    used = list(record(tmp_path)["counts"]["algorithm_used"])
    assert len(used) == 1 and (algorithm == "auto" or used[0].startswith(algorithm))


def test_names_components_and_anchors(tmp_path):
    rng = np.random.default_rng(5)
    psi = rng.uniform(-180, 180, 50)
    first, second = random_pairs(rng, 30, 200), random_pairs(rng, 20, 100) + 30
    pairs = np.concatenate([second, first])
    names = [f"n{k}" for k in range(50)]
    (tmp_path / "e.csv").write_text(edge_text(pairs, true_angles(psi, pairs), names))
    sync(tmp_path, "e.csv", "--anchor", f"n7={psi[7] + 360}", "--anchor", f"n40={psi[40]}")
    found = angles(tmp_path).set_index("cryoalignNode").loc[names]
    assert np.abs(angle_difference(found.rlnAnglePsi, psi)).max() < 0.1
    assert found.cryoalignComponent.tolist() == [1] * 30 + [2] * 20
    counts = record(tmp_path)["counts"]
    assert counts["components"] == 2 and counts["largest_component"] == 30 and counts["isolated"] == 0


@pytest.mark.parametrize(
    ("anchors", "words"),
    [
        (["n99=5"], "--anchor names a node that the graph does not have ('n99')"),
        (["n1=5", "n1=6"], "--anchor gives one node two angles ('n1')"),
        (["n1=0", "n2=91"], "disagree"),
    ],
)
def test_anchors_that_cannot_be(tmp_path, anchors, words):
    (tmp_path / "e.csv").write_text("i,j,angle\nn1,n2,30\nn2,n3,40\nn1,n3,70\n")
    ran = sync(tmp_path, "e.csv", *(word for anchor in anchors for word in ("--anchor", anchor)), status=1)
    assert len(ran.errors) == 1 and words in ran.errors[0]


def test_distances_cut_edges_and_leave_nodes_without_any(tmp_path):
    (tmp_path / "e.csv").write_text("i,j,angle,distance\n1,2,30,1\n2,3,40,1\n1,3,70,1\n3,9,5,4\n9,10,5,3\n")
    run(tmp_path, "sync", "-j", 1, "e.csv", "-o", "out", "--max-distance", 2, "--allow-no-signal")
    found = angles(tmp_path)
    assert found.cryoalignNode.tolist() == ["1", "2", "3", "9", "10"]
    assert found.cryoalignIsolated.tolist() == [0, 0, 0, 1, 1]
    assert found.cryoalignComponent.tolist() == [1, 1, 1, 2, 3]
    assert found.cryoalignConfidence.tolist()[3:] == [0, 0]
    np.testing.assert_allclose(found.rlnAnglePsi[:3], [0, 30, 70], atol=0.5)
    assert "2 too far" in (tmp_path / "out" / "run.log").read_text()
    for words, message in ((("--max-distance", 0.5), "leaves none of 5 edges"),):
        ran = sync(tmp_path, "e.csv", "--overwrite", *words, status=1)
        assert message in ran.errors[0]
    (tmp_path / "f.csv").write_text("i,j,angle\n1,2,30\n")
    ran = sync(tmp_path, "f.csv", "--overwrite", "--max-distance", 1, status=1)
    assert "f.csv: --max-distance needs a column of distances" in ran.errors[0]


def test_repeats_are_one_edge_and_contradictions_are_all_kept_and_counted(graph, tmp_path):
    psi, pairs = graph
    pairs, angle = pairs[:300], true_angles(psi, pairs[:300])
    twice, against = pairs[:40, ::-1], pairs[40:60]
    every = np.concatenate([pairs, twice, against])
    text = edge_text(every, np.concatenate([angle, -angle[:40], angle[40:60] + 77]))
    (tmp_path / "e.csv").write_text(text)
    sync(tmp_path, "e.csv")
    counts = record(tmp_path)["counts"]
    assert (counts["read"], counts["repeats"], counts["edges"], counts["pairs"]) == (360, 40, 320, 300)
    assert counts["pairs_with_several_edges"] == counts["pairs_that_contradict_themselves"] == 20
    assert (
        "20 of 20 pairs with several edges contradict themselves; all are kept"
        in (tmp_path / "out" / "run.log").read_text()
    )
    edges = table(tmp_path / "out" / "edges.star", "edges").astype(float)
    assert len(edges) == 320 and np.sum(np.abs(np.abs(edges.cryoalignResidual) - 77) < 5) == 20
    assert np.median(np.abs(apart(angles(tmp_path).rlnAnglePsi, psi))) < 1


def test_weights_count_unless_they_are_not_wanted(tmp_path):
    # Two edges between the same two nodes, one of them hardly of any weight.
    (tmp_path / "e.csv").write_text("i,j,angle,weight\n1,2,30,1\n1,2,90,0.01\n2,1,-30.5,1\n")
    sync(tmp_path, "e.csv", "--algorithm", "spectral", "--allow-no-signal")
    with_weights = angles(tmp_path).rlnAnglePsi[1]
    sync(tmp_path, "e.csv", "--algorithm", "spectral", "--allow-no-signal", "--no-weights", "--overwrite")
    assert with_weights == pytest.approx(30.5, abs=1) and angles(tmp_path).rlnAnglePsi[1] > 40


@pytest.mark.parametrize("twice", [False, True])
def test_noise_ends_with_three_and_is_marked(graph, tmp_path, twice):
    _, pairs = graph
    rng = np.random.default_rng(0)
    angle = rng.uniform(-180, 180, len(pairs))
    if twice:  # as lists of neighbours have it: in the other direction as well, and nearly the same
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        angle = np.concatenate([angle, -angle + rng.normal(0, 0.5, len(angle))])
    (tmp_path / "e.csv").write_text(edge_text(pairs, angle))
    ran = sync(tmp_path, "e.csv", status=3)
    assert any(line.startswith("Warning: no consistent signal found") for line in ran.lines)
    assert not record(tmp_path)["counts"]["signal"] and record(tmp_path)["exit_status"] == 3
    assert (tmp_path / "out" / "angles.star").is_file()


def test_no_signal_can_be_allowed(tmp_path):
    rng = np.random.default_rng(0)
    pairs = np.stack(np.triu_indices(12, 1), axis=1)
    (tmp_path / "e.csv").write_text(edge_text(pairs, rng.uniform(-180, 180, len(pairs))))
    sync(tmp_path, "e.csv", "--allow-no-signal")
    assert record(tmp_path)["warnings"][0].startswith("no consistent signal found")
    assert record(tmp_path)["exit_status"] == 0


def test_two_nodes_and_one_edge(tmp_path):
    (tmp_path / "e.csv").write_text("5 3 -20\n")
    sync(tmp_path, "e.csv", "--allow-no-signal")
    found = angles(tmp_path)
    assert found.cryoalignNode.tolist() == ["3", "5"] and found.rlnAnglePsi[1] == pytest.approx(20, abs=1e-3)


def test_the_graph_of_simulate_graph_and_its_truth(tmp_path):
    made = run(tmp_path, "simulate-graph", "-q", "-o", "Made", "-n", 80, "--signal", 4, "--mirrors")
    assert made.status == 0
    sync(tmp_path, "Made")
    found, truth = angles(tmp_path), table(tmp_path / "Made" / "truth.star", "nodes")
    assert found.cryoalignNode.tolist() == truth.cryoalignNode.tolist()
    flip = truth.rlnIsFlip.astype(int) != int(truth.rlnIsFlip[0])
    assert (found.rlnIsFlip == flip).mean() > 0.9
    turned = truth.rlnAnglePsi.astype(float) * (-1 if int(truth.rlnIsFlip[0]) else 1)
    assert np.median(np.abs(apart(found.rlnAnglePsi, turned))) < 5


def test_what_fails_on_its_input_leaves_nothing(tmp_path):
    (tmp_path / "e.csv").write_text("i,j,angle\n1,1,3\n")
    ran = sync(tmp_path, "e.csv", status=1)
    assert ran.errors == ["Error: e.csv:2: an edge joins a node with itself (1); remove it"]
    assert not (tmp_path / "out").exists()
