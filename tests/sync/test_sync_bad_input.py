"""Whatever is in a file of edges: one clear line, or a result; never a traceback, and nothing half written."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoalign.core.errors import InputError
from cryoalign.io.graph_file import Graph, write_graph
from cryoalign.jobs.sync.job import run_sync
from cryoalign.jobs.sync.parameters import SyncParameters
from helpers.align import run
from helpers.sync import edge_text, random_pairs, true_angles

_CELLS = st.one_of(
    st.sampled_from(["", "nan", "inf", "-inf", "1e400", "1e30", "0", "-0.0", "1.5", "x", '"', "'", "#", "yes", "é",
                     "\udcff", "1_0", "٣", "99999999999999999999", " ", "-", "data_", "loop_", "_i", "1e", "0x1"]),
    st.integers(-3, 6).map(str),
    st.floats(-400, 400).map(repr),
    st.text(max_size=4),
)  # fmt: skip
_HEADS = st.one_of(
    st.sampled_from(["", "i{0}j{0}angle_deg\n", "i{0}j{0}angle_deg{0}weight\n", "from{0}to{0}angle{0}mirror\n",
                     "# i j psi\n", "i{0}j{0}angle{0}distance{0}dx{0}dy\n", "data_edges\nloop_\n_i\n_j\n_angle\n",
                     "data_\n_i 1\n"]),
    st.text(max_size=20),
)  # fmt: skip


@st.composite
def edge_files(draw) -> str:
    """Draw a file that is nearly a table of edges: a head, rows of nearly the right cells, and some damage."""
    separator = draw(st.sampled_from([",", "\t", ";", " "]))
    width = draw(st.sampled_from([3, 3, 3, 4, 6]))
    good = st.tuples(st.integers(1, 6).map(str), st.integers(7, 9).map(str), st.floats(-180, 180).map(repr))
    rows = draw(st.lists(st.one_of(good, st.lists(_CELLS, min_size=width, max_size=width)), max_size=8))
    lines = [separator.join([*row, *["1"] * (width - len(row))]) for row in rows]
    text = draw(_HEADS).replace("{0}", separator) + draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines)
    if draw(st.booleans()) and text:
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.text(max_size=3)) + text[cut + draw(st.integers(0, 3)) :]
    return text


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=edge_files(), ending=st.sampled_from([".csv", ".tsv", ".star", ".txt", ".npz"]))
def test_fuzzed_files_are_refused_in_one_line_or_solved(text, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"edges{ending}"
        path.write_bytes(text.encode("utf-8", "surrogatepass" if max(text, default="") >= "\ud800" else "strict")
                         if not any("\udc80" <= c <= "\udcff" for c in text)
                         else text.encode("utf-8", "surrogateescape"))  # fmt: skip
        p = SyncParameters(graph=path, output=Path(folder) / "out", allow_no_signal=True)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                status = run_sync(p, argv=["sync"], verbosity=-1)
        except InputError as error:
            assert "\n" not in str(error) and "edges" in str(error)
            assert not (p.output / "angles.star").exists()
        else:
            assert status == 0 and (p.output / "angles.star").exists() and (p.output / "edges.star").exists()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_small_graph_is_solved(data):
    n = data.draw(st.integers(2, 7))
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    edges = data.draw(st.lists(ends, min_size=1, max_size=15))
    m = len(edges)
    number = st.floats(-1e6, 1e6, width=32)
    columns = {
        name: data.draw(st.lists(kind, min_size=m, max_size=m))
        for name, kind in (("angle", number), ("mirror", st.integers(0, 1)), ("weight", st.floats(0, 1, width=32)),
                           ("dx", number), ("dy", number))
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edges.csv"
        angle = columns.pop("angle")
        path.write_text(edge_text(np.array(edges), angle, range(n), **columns))
        output = Path(folder) / "out"
        p = SyncParameters(graph=path, output=output, allow_no_signal=True)
        assert run_sync(p, argv=["sync"], verbosity=-1) == 0
        assert "nan" not in (output / "angles.star").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"j": [1, 2, 7]}, "row 3: an edge leads to a row that does not exist (1 such edges) (8)"),
        ({"i": [0, 1, 3], "j": [1, 1, 2]}, "row 2: an edge joins a particle with itself"),
        ({"angle_deg": [1, np.nan, 3]}, "row 2: an angle is not finite"),
        ({"weight": [1, -1, 0]}, "row 2: a weight is not in [0, 1]"),
        ({"i": [], "j": [], "angle_deg": [], "distance": []}, "the graph has no edges"),
    ],
)
def test_damaged_graphs(tmp_path, change, words):
    columns = {"i": [0, 1, 2], "j": [1, 2, 3], "angle_deg": [1, 2, 3], "distance": [0, 0, 0]} | change
    arrays = {name: np.asarray(v, np.int64 if name in "ij" else np.float32) for name, v in columns.items()}
    np.savez(tmp_path / "graph.npz", n=4, name=np.array(list("abcd")), **arrays)
    ran = run(tmp_path, "sync", "-q", "graph.npz", "-o", "out")
    assert (
        ran.status == 1
        and len(ran.errors) == 1
        and f"graph.npz{', ' if 'row' in words else ': '}{words}" in ran.errors[0]
    )


def test_one_node(tmp_path):
    graph = Graph(
        n=1, i=np.zeros(0, int), j=np.zeros(0, int), distance=np.zeros(0), angle_deg=np.zeros(0),
        shift_px=np.zeros((0, 2)), mirror=np.zeros(0, bool), name=np.array(["a"]), box=0, pixel_size_angstrom=0,
        metric="",
    )  # fmt: skip
    with pytest.raises(ValueError, match="no edges"):
        write_graph(tmp_path / "graph.npz", graph)
    (tmp_path / "e.csv").write_text("1,1,5\n")
    assert "joins a node with itself" in run(tmp_path, "sync", "-q", "e.csv", "-o", "out").errors[0]


def test_a_run_that_failed_on_its_input_leaves_nothing_and_another_may_follow(tmp_path):
    rng = np.random.default_rng(0)
    pairs = random_pairs(rng, 10, 30)
    text = edge_text(pairs, true_angles(rng.uniform(-180, 180, 10), pairs))
    (tmp_path / "e.csv").write_text(text + "3,4\n")
    ran = run(tmp_path, "sync", "-q", "e.csv", "-o", "out")
    assert ran.status == 1 and "e.csv:32: short row" in ran.errors[0]
    (tmp_path / "e.csv").write_text(text)
    assert not (tmp_path / "out").exists()
    assert run(tmp_path, "sync", "-q", "e.csv", "-o", "out").status == 0
