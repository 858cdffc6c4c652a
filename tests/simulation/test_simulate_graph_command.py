"""`cryoalign simulate-graph`: what it writes is one graph and its truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryoalign.cli.main import main
from cryoalign.core.errors import InputError
from cryoalign.core.poses import Poses, wrap_degrees
from cryoalign.io.graph_file import read_graph
from cryoalign.io.star import read_star
from cryoalign.jobs.simulate_graph.parameters import SimulateGraphParameters

RESULTS = ("graph.npz", "truth.star", "truth_edges.star")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def simulate(*words):
    return main(["simulate-graph", "-q", *map(str, words)])


def nodes(folder="g"):
    """Return names, psi, and the whole table of truth.star."""
    table = read_star(f"{folder}/truth.star").table("nodes")
    return table["cryoalignNode"].tolist(), table["rlnAnglePsi"].astype(float).to_numpy(), table


def flags(folder="g"):
    """Return which edges are right, in the order of the graph; their rows must be the graph's."""
    table = read_star(f"{folder}/truth_edges.star").table("edges")
    graph = read_graph(Path(folder) / "graph.npz")
    assert (table["cryoalignRowI"].astype(int) - 1 == graph.i).all()
    assert (table["cryoalignRowJ"].astype(int) - 1 == graph.j).all()
    return table["cryoalignInlier"].astype(int).to_numpy().astype(bool)


def test_the_files_hold_one_graph_and_its_truth():
    assert simulate("-o", "g", "-n", 60, "--good-share", 0.6, "--export", "csv", "--export", "star") == 0
    graph = read_graph(Path("g/graph.npz"))
    names, psi, table = nodes()
    assert graph.name.tolist() == names and names[0] == "node_000001"
    assert graph.metric == "simulated" and graph.each_pair_once and len(graph) == 60 * 59 // 2
    error = wrap_degrees(graph.angle_deg - (psi[graph.j] - psi[graph.i]))
    right = flags()
    assert np.abs(error[right]).max() < 1e-4
    assert np.abs(error[~right]).mean() > 60
    assert set(table["cryoalignComponent"]) == {"1"}
    assert Path("g/graph.csv").read_text().count("\n") == len(graph) + 1
    assert len(read_star("g/graph.star").table("edges")) == len(graph)
    run = json.loads(Path("g/run.json").read_text())
    assert run["status"] == "finished" and run["parameters"]["good_share"] == 0.6
    assert run["counts"] == {"nodes": 60, "edges": 1770, "components": 1, "inlier_share": float(right.mean())}
    assert Path("g/RELION_JOB_EXIT_SUCCESS").exists()


def test_mirrors_shifts_and_components():
    words = ["--mirrors", "--shift-sd", 3, "--components", 2, "--good-share", 1]
    assert simulate("-o", "g", "--model", "geometric", "-n", 41, "--degree", 6, *words) == 0
    graph = read_graph(Path("g/graph.npz"))
    _, psi, table = nodes()
    flip = table["rlnIsFlip"].astype(int).to_numpy().astype(bool)
    truth = Poses(psi, table["rlnOriginX"].astype(float), table["rlnOriginY"].astype(float), flip)
    expected = truth.take(graph.j).then(truth.take(graph.i).inverse())
    assert np.array_equal(graph.mirror, expected.mirror) and graph.mirror.any()
    assert np.abs(wrap_degrees(graph.angle_deg - expected.psi)).max() < 1e-3
    assert np.abs(graph.shift_px - np.stack([expected.dx, expected.dy], axis=1)).max() < 1e-4
    component = table["cryoalignComponent"].astype(int).to_numpy()
    assert np.bincount(component).tolist() == [0, 21, 20]
    assert (component[graph.i] == component[graph.j]).all()


def test_the_same_options_give_the_same_bytes_and_a_seed_gives_others():
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        words = ["--model", "adversarial", "-n", 40, "--wrong-share", 0.2, "-j", 1 + (folder == "b")]
        assert simulate("-o", folder, "--seed", seed, *words) == 0
    assert all((Path("a") / name).read_bytes() == (Path("b") / name).read_bytes() for name in RESULTS)
    assert all((Path("a") / name).read_bytes() != (Path("c") / name).read_bytes() for name in RESULTS)
    assert abs(1 - flags("a").mean() - 0.2) < 0.05


def test_options_become_a_recipe():
    def recipe(**options):
        return SimulateGraphParameters(output=Path("g"), **options).recipe()

    assert recipe(nodes=400, signal=1.5).good_share == pytest.approx(1.5 / 20)
    assert recipe(nodes=401, degree=100, signal=1.5).good_share == pytest.approx(0.15, rel=0.01)
    assert recipe(nodes=401, degree=100).edge_probability == pytest.approx(0.25)
    assert recipe(nodes=800, components=2, signal=1.5).good_share == pytest.approx(1.5 / 20)
    assert recipe(model="geometric", degree=25, signal=1).good_share == pytest.approx(0.2)
    assert recipe(model="geometric", degree=25).neighbours == 25
    assert recipe(jitter=180).jitter_rad == pytest.approx(np.pi)
    assert recipe(model="gaussian").sigma == 0.2 and recipe().sigma == 0
    assert recipe(model="adversarial").wrong_share == 0.3 and recipe(model="adversarial").good_share == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--degree 5 --edge-probability 0.5", "exclude each other"),
        ("--signal 1 --good-share 0.5", "exclude each other"),
        ("-n 100 --signal 11", "--signal must be from 0 to 10"),
        ("--good-share 1.2", "--good-share"),
        ("--jitter -1", "--jitter"),
        ("--jitter nan", "--jitter"),
        ("--sigma 1", "--model gaussian only"),
        ("--model gaussian --good-share 0.5", "--good-share"),
        ("--model gaussian --mirrors", "--mirrors"),
        ("--model geometric --edge-probability 0.5", "--edge-probability"),
        ("--model geometric --degree 2.5", "whole number"),
        ("--model geometric -n 1", "two nodes"),
        ("-n 10 --degree 10", "--degree"),
        ("-n 3 --components 4", "components"),
        ("--wrong-share 0.1", "--model adversarial only"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, said, capsys):
    assert simulate("-o", "g", *words.split()) == 2
    assert said in capsys.readouterr().err
    assert not Path("g").exists()


def test_a_graph_without_edges_fails_and_leaves_no_result(capsys):
    assert simulate("-o", "g", "-n", 1) == 1
    assert "no edges" in capsys.readouterr().err
    assert not Path("g").exists()
    assert simulate("-o", "g", "-n", 5) == 0


def test_few_edges_are_warned_of():
    assert simulate("-o", "g", "-n", 200, "--degree", 1) == 0
    run = json.loads(Path("g/run.json").read_text())
    assert "falls into" in run["warnings"][0]
    assert run["counts"]["components"] > 20


def test_other_models_are_refused_by_the_parameters_too():
    with pytest.raises(InputError, match="--model"):
        SimulateGraphParameters(output=Path("g"), model="other")
    with pytest.raises(InputError, match="--adversary"):
        SimulateGraphParameters(output=Path("g"), model="adversarial", adversary="other")
