"""Graph files: what is written comes back, on any day in the same bytes, and what cannot be meant is refused."""

from __future__ import annotations

import csv
import hashlib
import time
from dataclasses import replace

import numpy as np
import pytest
import starfile

from cryoalign.core.errors import InputError
from cryoalign.io.graph_file import CONVENTION, Graph, read_graph, write_graph
from cryoalign.io.graph_text import write_graph_csv, write_graph_star

NAMES = [f"{i + 1:06d}@stack.mrcs" for i in range(6)]


@pytest.fixture
def graph() -> Graph:
    """Six particles, seven edges; particle 5 (from 0) has none."""
    rng = np.random.default_rng(4)
    i, j = np.array([0, 0, 1, 2, 3, 4, 4]), np.array([1, 3, 0, 4, 2, 2, 3])
    return Graph(
        n=6, i=i, j=j, distance=rng.uniform(0, 9, 7).astype(np.float32),
        angle_deg=rng.uniform(-179, 180, 7).astype(np.float32), shift_px=rng.normal(0, 2, (7, 2)).astype(np.float32),
        mirror=rng.random(7) < 0.5, name=np.asarray(NAMES), box=64, pixel_size_angstrom=3.25, metric="test (units)",
        weight=rng.random(7).astype(np.float32), score=rng.normal(0, 1, 7).astype(np.float32),
    )  # fmt: skip


def arrays_of(path) -> dict[str, np.ndarray]:
    """Read a file with numpy alone."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_what_is_written_comes_back(graph, tmp_path):
    write_graph(tmp_path / "g.npz", graph)
    found = read_graph(tmp_path / "g.npz", NAMES)
    for label in ("i", "j", "distance", "angle_deg", "shift_px", "mirror", "name", "weight", "score"):
        np.testing.assert_array_equal(getattr(found, label), getattr(graph, label))
    assert (found.n, found.box, found.pixel_size_angstrom, found.metric) == (6, 64, 3.25, "test (units)")
    assert len(found) == 7


def test_the_file_is_what_other_programs_are_told(graph, tmp_path):
    write_graph(tmp_path / "g.npz", graph)
    arrays = arrays_of(tmp_path / "g.npz")
    types = {
        "i": np.int64, "j": np.int64, "distance": np.float32, "angle_deg": np.float32, "shift_px": np.float32,
        "mirror": np.bool_, "weight": np.float32,
    }  # fmt: skip
    assert {name: arrays[name].dtype.type for name in types} == types
    assert arrays["shift_px"].shape == (7, 2)
    assert arrays["name"].dtype.kind == "U" and arrays["name"].tolist() == NAMES
    assert arrays["format_version"] == 1 and arrays["n"] == 6 and arrays["box"] == 64
    assert str(arrays["convention"]) == CONVENTION == "pose brings j onto i"
    assert arrays["i"].min() == 0


def test_optional_arrays_may_be_absent(graph, tmp_path):
    write_graph(tmp_path / "g.npz", replace(graph, weight=None, score=None))
    assert not {"weight", "score"} & set(arrays_of(tmp_path / "g.npz"))
    found = read_graph(tmp_path / "g.npz")
    assert found.weight is None and found.score is None


def test_the_bytes_do_not_know_the_day(graph, tmp_path, monkeypatch):
    write_graph(tmp_path / "a.npz", graph)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    write_graph(tmp_path / "b.npz", graph)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.npz", "b.npz")}
    assert len(digests) == 1


def test_each_pair_once(graph):
    assert not graph.each_pair_once
    first, second = np.minimum(graph.i, graph.j), np.maximum(graph.i, graph.j)
    assert replace(graph, i=first, j=second).each_pair_once


def damaged(tmp_path, graph, **changes):
    """Write a graph with other arrays (None leaves one out) by numpy, and return its path."""
    write_graph(tmp_path / "good.npz", graph)
    arrays = arrays_of(tmp_path / "good.npz")
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    np.savez(tmp_path / "bad.npz", **arrays)
    return tmp_path / "bad.npz"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"j": np.array([1, 3, 0, 6, 2, 2, 3])}, ["row 4", "(7)", "does not exist"]),
        ({"i": np.array([-1, 0, 1, 2, 3, 4, 4])}, ["row 1", "does not exist"]),
        ({"j": np.array([0, 3, 0, 4, 2, 2, 3])}, ["row 1", "itself"]),
        ({"distance": np.array([1, 2, np.nan, 1, 1, 1, 1.0])}, ["row 3", "distance", "nan"]),
        ({"distance": np.array([1, 2, 1, 1, -0.5, 1, 1.0])}, ["row 5", "negative", "-0.5"]),
        ({"distance": np.array([1, 2, np.inf, 1, 1, 1, 1.0])}, ["row 3", "not finite"]),
        ({"angle_deg": np.full(7, np.nan)}, ["row 1", "angle", "7 such"]),
        ({"shift_px": np.full((7, 2), np.inf)}, ["shift"]),
        ({"weight": np.full(7, 1.5)}, ["weight", "1.5"]),
        ({"score": np.full(7, np.nan)}, ["score"]),
        ({"j": np.arange(6)}, ["shape (7,)"]),
        ({"i": np.arange(7.0)}, ["whole numbers"]),
        ({"shift_px": np.zeros((7, 3))}, ["shape (7, 2)"]),
        ({"name": np.asarray(NAMES[:5])}, ["name", "(6,)"]),
        ({"distance": None}, ["no distance"]),
        ({"name": None}, ["no name"]),
        ({"n": np.array([6, 6])}, ["n must be one"]),
        ({"format_version": np.int64(2)}, ["another version"]),
        ({"convention": np.asarray("pose brings i onto j")}, ["another convention", CONVENTION]),
        ({name: np.zeros((0, 2) if name == "shift_px" else 0, kind) for name, kind in (
            ("i", np.int64), ("j", np.int64), ("distance", np.float32), ("angle_deg", np.float32),
            ("shift_px", np.float32), ("mirror", np.bool_), ("weight", np.float32), ("score", np.float32))},
         ["no edges"]),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(graph, tmp_path, changes, words):
    path = damaged(tmp_path, graph, **changes)
    with pytest.raises(InputError) as caught:
        read_graph(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    assert [word for word in words if word not in message] == []


def test_pickles_are_never_loaded(graph, tmp_path):
    path = damaged(tmp_path, graph, name=np.array([{}] * 6, dtype=object))
    with pytest.raises(InputError, match="plain arrays"):
        read_graph(path)


def test_other_files_are_no_graphs(tmp_path):
    (tmp_path / "a.npz").write_text("data_particles\n")
    with pytest.raises(InputError, match=r"no [.]npz file"):
        read_graph(tmp_path / "a.npz")
    with pytest.raises(InputError, match="no such file"):
        read_graph(tmp_path / "absent.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="this is no graph: it has no n, i, j"):
        read_graph(tmp_path / "b.npz")


def test_a_truncated_file_is_damaged(graph, tmp_path):
    write_graph(tmp_path / "g.npz", graph)
    (tmp_path / "g.npz").write_bytes((tmp_path / "g.npz").read_bytes()[:700])
    with pytest.raises(InputError, match="damaged"):
        read_graph(tmp_path / "g.npz")


def test_graphs_of_other_particles_are_refused(graph, tmp_path):
    write_graph(tmp_path / "g.npz", graph)
    with pytest.raises(InputError, match="6 particles, not of these 5"):
        read_graph(tmp_path / "g.npz", NAMES[:5])
    with pytest.raises(InputError, match=r"row 2.*2 names differ.*000003@stack.mrcs here.*000002@stack.mrcs"):
        read_graph(tmp_path / "g.npz", [NAMES[0], NAMES[2], NAMES[1], *NAMES[3:]])


def test_a_graph_that_breaks_the_rules_is_not_written(graph, tmp_path):
    with pytest.raises(ValueError, match="distance"):
        write_graph(tmp_path / "g.npz", replace(graph, distance=-graph.distance))
    assert not (tmp_path / "g.npz").exists()


def test_csv_counts_rows_from_one(graph, tmp_path):
    write_graph_csv(tmp_path / "g.csv", graph)
    rows = list(csv.DictReader((tmp_path / "g.csv").read_text().splitlines()))
    assert [int(row["i"]) for row in rows] == (graph.i + 1).tolist()
    assert [int(row["j"]) for row in rows] == (graph.j + 1).tolist()
    assert [row["mirror"] for row in rows] == [str(int(m)) for m in graph.mirror]
    for label, values in (
        ("distance", graph.distance), ("angle_deg", graph.angle_deg), ("shift_x_px", graph.shift_px[:, 0]),
        ("shift_y_px", graph.shift_px[:, 1]), ("weight", graph.weight), ("score", graph.score),
    ):  # fmt: skip
        np.testing.assert_allclose([float(row[label]) for row in rows], values, rtol=1e-5)


def test_star_has_nodes_and_edges(graph, tmp_path):
    write_graph_star(tmp_path / "g.star", replace(graph, weight=None))
    blocks = starfile.read(tmp_path / "g.star", always_dict=True)
    assert blocks["graph"]["cryoalignMetric"] == "test (units)" and blocks["graph"]["rlnImageSize"] == 64
    assert blocks["nodes"]["rlnImageName"].tolist() == NAMES
    assert blocks["nodes"]["cryoalignRow"].tolist() == [1, 2, 3, 4, 5, 6]
    edges = blocks["edges"]
    assert edges["cryoalignRowI"].tolist() == (graph.i + 1).tolist()
    assert "cryoalignWeight" not in edges
    np.testing.assert_allclose(edges["cryoalignAngle"], graph.angle_deg, rtol=1e-5)
