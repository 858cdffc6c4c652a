"""Tables of edges: every way of writing them that users have, and a clear line for what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.io.edge_columns import SYNONYMS
from cryoalign.io.edge_table import read_edge_table, with_named_rows, with_rows
from cryoalign.io.graph_file import Graph, write_graph
from cryoalign.io.graph_text import write_graph_csv, write_graph_star

STAR = "data_edges\n\nloop_\n_cryoalignNodeI #1\n_cryoalignNodeJ #2\n_cryoalignAngle #3\n"


def read(folder: Path, text: str, name: str = "edges.csv"):
    """Read a table given as text."""
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_edge_table(path)


def some_graph(names: list[str], **changes) -> Graph:
    """Return a graph of four nodes and three edges."""
    fields = {
        "n": 4, "i": np.array([0, 2, 1]), "j": np.array([1, 0, 3]), "distance": np.array([1, 2.5, 3], np.float32),
        "angle_deg": np.array([10, -20.5, 180], np.float32), "mirror": np.array([False, True, False]),
        "shift_px": np.array([[1, 2], [0, -1.5], [0, 0]], np.float32), "name": np.array(names), "box": 64,
        "pixel_size_angstrom": 1.5, "metric": "m",
    }  # fmt: skip
    return Graph(**fields | changes)


@pytest.mark.parametrize(
    ("text", "node", "edges"),
    [
        ("i,j,angle_deg\n1,2,30\n2,3,-40.5\n", [1, 2, 3], [(0, 1, 30), (1, 2, -40.5)]),
        ("1,2,30\n2,3,-40.5\n", [1, 2, 3], [(0, 1, 30), (1, 2, -40.5)]),
        ("1 2  30\n2\t3 -40.5", [1, 2, 3], [(0, 1, 30), (1, 2, -40.5)]),
        ("1\t2\t30\n", [1, 2], [(0, 1, 30)]),
        ("1;2;30,5\n", [1, 2], [(0, 1, 30.5)]),
        ("\ufeffi;j;angle_deg\r\n7;-2;1e1\r\n", [-2, 7], [(1, 0, 10)]),
        ("i,j,angle_deg\r1,2,30\r", [1, 2], [(0, 1, 30)]),
        ("# a remark\n\n1,2,30\n# another\n\n3,2,5\n", [1, 2, 3], [(0, 1, 30), (2, 1, 5)]),
        ("# i j angle_rad\n1 2 1.5707963267948966\n", [1, 2], [(0, 1, 90)]),
        ("# j i angle\n1 2 30\n", [1, 2], [(1, 0, 30)]),
        ("Angle (deg),Source,Target\n30,b,a\n", ["b", "a"], [(0, 1, 30)]),
        ('"i","j","angle_deg"\n"x, y","z",1\n', ["x, y", "z"], [(0, 1, 1)]),
        ("'a b' 'c' 5\n", ["a b", "c"], [(0, 1, 5)]),
        ("a,b,1\nb,7,2\n", ["a", "b", "7"], [(0, 1, 1), (1, 2, 2)]),
        ("007,7,1\n", ["007", "7"], [(0, 1, 1)]),
        ("3.0,1.0,5\n", [1, 3], [(1, 0, 5)]),
        ("000001@s.mrcs,000002@s.mrcs,5\n", ["000001@s.mrcs", "000002@s.mrcs"], [(0, 1, 5)]),
        (STAR + "5 2 30\n2 9 40 # remark\n", [2, 5, 9], [(1, 0, 30), (0, 2, 40)]),
        (STAR.replace("data_edges", "data_") + "5 2 30\n", [2, 5], [(1, 0, 30)]),
        ("data_x\nloop_\n_a\n1\n\n" + STAR.replace("edges", "") + "5 2 30\n", [2, 5], [(1, 0, 30)]),
    ],
)  # fmt: skip
def test_every_way_of_writing_edges(tmp_path, text, node, edges):
    table = read(tmp_path, text)
    assert table.node.tolist() == node
    found = list(zip(table.i.tolist(), table.j.tolist(), table.angle_deg.tolist(), strict=True))
    assert [edge[:2] for edge in found] == [edge[:2] for edge in edges]
    assert [edge[2] for edge in found] == pytest.approx([edge[2] for edge in edges])
    assert table.weight is None and table.mirror is None and table.shift_px is None and not table.rows_of_particles


def test_optional_columns_and_those_that_are_not_used(tmp_path):
    text = "i,j,angle_deg,w,dist,dx,dy,flip,remark\n1,2,3,.5,7,1,-2,yes,x\n2,3,4,0,0,0,0,False,\n3,1,5,2,1,0,1,1.0,y\n"
    table = read(tmp_path, text)
    np.testing.assert_array_equal(table.weight, [0.5, 0, 2])
    np.testing.assert_array_equal(table.distance, [7, 0, 1])
    np.testing.assert_array_equal(table.shift_px, [[1, -2], [0, 0], [0, 1]])
    np.testing.assert_array_equal(table.mirror, [True, False, True])
    assert table.unused == ("remark",)
    assert read(tmp_path, "1,2,3,0.25\n").weight == [0.25]  # the fourth column of four


@pytest.mark.parametrize(("field", "word"), [(field, word) for field, words in SYNONYMS.items() for word in words])
def test_every_name_of_a_column(tmp_path, field, word):
    columns = {"i": "1", "j": "2", "angle_deg": "30"}
    if field == "angle_rad":
        columns.pop("angle_deg")
    if field.startswith("shift"):
        columns |= {"shift_x_px": "3", "shift_y_px": "3"}
    columns |= {field: "1" if field == "mirror" else columns.get(field, "0.5")}
    head = ["_" + word.upper().replace("_", " ").strip() if name == field else name for name in columns]
    table = read(tmp_path, "\t".join(head) + "\n" + "\t".join(columns.values()) + "\n")
    assert len(table) == 1 and table.unused == ()


def test_zero_shifts_and_no_mirrored_edge_are_no_shifts_and_no_mirrors(tmp_path):
    table = read(tmp_path, "i,j,angle_deg,dx,dy,mirror\n1,2,3,0,0,0\n")
    assert table.shift_px is None and table.mirror is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "edges.csv: no edges: the file is empty"),
        ("# only a remark\n\n", "no edges"),
        ("i,j,angle_deg\n", "no edges"),
        (STAR, "no edges: data_edges has no rows"),
        ("i,j\n1,2\n", "edges.csv:1: no column angle_deg"),
        ("i,j,theta\n1,2,3\n", "no column angle_deg"),
        ("a,b,x\n1,2,3\n", "edges.csv:1: no column i"),
        ("i,j,source,angle\n1,2,3,4\n", "edges.csv:1: columns i and source both mean i"),
        ("i,j,angle,angle_rad\n1,2,3,4\n", "one angle in degrees and one in radians"),
        ("i,j,angle,dx\n1,2,3,4\n", "only one of shift_x_px and shift_y_px"),
        ("1,2,3,4,5\n", "edges.csv:1: 5 columns without a header"),
        ("i,j,angle\n1,2,3\n2,2,4\n", "edges.csv:3: an edge joins a node with itself (2)"),
        ("i,j,angle\n1,2,3\n\n#\n1,2,nan\n", "edges.csv:5: angle_deg is not a number ('nan')"),
        ("i,j,angle\n1,2,x\n1,3,inf\n", "edges.csv:2: angle_deg is not a number (2 such edges from here on) ('x')"),
        ("i,j,angle\n1,2,\n", "edges.csv:2: angle_deg is not a number ('')"),
        ("i,j,angle,weight\n1,2,3,1\n1,3,3,-0.5\n", "edges.csv:3: weight is negative ('-0.5')"),
        ("i,j,angle,distance\n1,2,3,-1\n", "edges.csv:2: distance is negative"),
        ("i,j,angle,mirror\n1,2,3,maybe\n", "edges.csv:2: mirror is none of 0, 1, yes, no ('maybe')"),
        ("i,j,angle,dx,dy\n1,2,3,1,y\n", "edges.csv:2: shift_y_px is not a number"),
        ("i,j,angle\n1,,3\n", "edges.csv:2: a node without an id"),
        ("i,j,angle\n1,NaN,3\n", "edges.csv:2: a node without an id ('NaN')"),
        ("i,j,angle\n1,2,3\n1,2\n", "edges.csv:3: short row: 2 values where the first line has 3"),
        ("i,j,angle\n1,2,3,4\n", "edges.csv:2: long row"),
        ('i,j,angle\n"a,b,3\n', "edges.csv:2: cannot be split into cells"),
        ("i j angle\n'a b 3\n", "edges.csv:2: quote that is not closed"),
        (STAR + "1 2 3\n1 x nan\n", "edges.csv:8: angle_deg is not a number ('nan')"),
        (STAR + "1 2 3\n4 4 3\n", "edges.csv:8: an edge joins a node with itself (4)"),
        (STAR + "1 2\n", "edges.csv:7: short row"),
        ("data_a\nloop_\n_x\n1\n", "no table with edges"),
        (STAR.replace("data_edges", "data_a") + "1 2 3\n\n" + STAR.replace("data_edges", "data_b") + "1 2 3\n",
         "several tables of edges"),
        ("PK\x03\x04", "damaged"),
        ("\x1f\udc8b12", "gzip file"),
        ("i,j,\0", "binary file"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line_with_its_place(tmp_path, text, words):
    with pytest.raises(InputError) as raised:
        read(tmp_path, text)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_missing_files_and_folders(tmp_path):
    for path, words in ((tmp_path / "no.csv", "no such file"), (tmp_path, "a folder without graph.npz")):
        with pytest.raises(InputError, match=words):
            read_edge_table(path)


def test_a_graph_its_folder_and_its_exports_say_the_same(tmp_path):
    graph = some_graph([f"{row}@s.mrcs" for row in range(4)], weight=np.array([0.5, 1, 0], np.float32))
    write_graph(tmp_path / "graph.npz", graph)
    write_graph_csv(tmp_path / "graph.csv", graph)
    write_graph_star(tmp_path / "graph.star", graph)
    npz, folder, star, csv = (read_edge_table(tmp_path / name) for name in ("graph.npz", "", "graph.star", "graph.csv"))
    for table in (npz, folder, star, csv):
        np.testing.assert_array_equal(table.node, [1, 2, 3, 4])
        np.testing.assert_array_equal(table.i, graph.i)
        np.testing.assert_array_equal(table.j, graph.j)
        np.testing.assert_allclose(table.angle_deg, graph.angle_deg)
        np.testing.assert_allclose(table.shift_px, graph.shift_px)
        np.testing.assert_array_equal(table.mirror, graph.mirror)
        np.testing.assert_array_equal(table.weight, graph.weight)
        np.testing.assert_allclose(table.distance, graph.distance)
    for table in (npz, folder, star):
        assert table.rows_of_particles and table.name.tolist() == graph.name.tolist()
        assert table.pixel_size_angstrom == 1.5 and table.metric == "m"
    assert not csv.rows_of_particles and csv.name is None


def test_nodes_without_edges_are_known_where_the_file_lists_nodes(tmp_path):
    graph = some_graph([f"{row}@s.mrcs" for row in range(6)], n=6)
    write_graph(tmp_path / "graph.npz", graph)
    write_graph_star(tmp_path / "graph.star", graph)
    assert read_edge_table(tmp_path / "graph.npz").n == read_edge_table(tmp_path / "graph.star").n == 6


def test_names_that_are_no_images_are_the_ids(tmp_path):
    graph = some_graph(["north", "east", "south", "west"])
    write_graph(tmp_path / "graph.npz", graph)
    write_graph_star(tmp_path / "graph.star", graph)
    for name in ("graph.npz", "graph.star"):
        table = read_edge_table(tmp_path / name)
        assert table.node.tolist() == ["north", "east", "south", "west"] and table.name is None


def test_an_edge_to_a_row_that_data_nodes_does_not_have(tmp_path):
    write_graph_star(tmp_path / "graph.star", some_graph([f"{row}@s.mrcs" for row in range(4)]))
    text = (tmp_path / "graph.star").read_text()
    line = next(k for k, row in enumerate(text.splitlines()) if row.startswith("2\t4\t"))
    with pytest.raises(InputError, match=rf"graph.star:{line + 1}: a node that is no row of 4 in data_nodes \(5\)"):
        read(tmp_path, text.replace("\n2\t4\t", "\n2\t5\t"), "graph.star")


def test_rows_and_names_of_particles(tmp_path):
    names = np.array(["a", "b", "c", "c"])
    rows = with_rows(read(tmp_path, "1,3,5\n"), 4, names, "of 4 particles")
    assert rows.n == 4 and (rows.i[0], rows.j[0]) == (0, 2) and rows.node.tolist() == [1, 2, 3, 4]
    named = with_named_rows(read(tmp_path, "b,a,5\n"), names, "of 4 particles")
    assert named.n == 4 and (named.i[0], named.j[0]) == (1, 0) and named.node.tolist() == names.tolist()
    for text, use, words in (
        ("1,2,5\n0,1,5\n", with_rows, "edges.csv:2: a node that is no row of 4 particles (0); rows count from 1"),
        ("1,5,5\n", with_rows, "edges.csv:1: a node that is no row of 4 particles (5)"),
    ):
        with pytest.raises(InputError) as raised:
            use(read(tmp_path, text), 4, names, "of 4 particles")
        assert words in str(raised.value)
    for text, words in (
        ("a,b,5\na,x,5\n", "edges.csv:2: a node that is none of 4 particles ('x')"),
        ("a,c,5\n", "edges.csv:1: a name of several of 4 particles ('c')"),
    ):
        with pytest.raises(InputError) as raised:
            with_named_rows(read(tmp_path, text), names, "of 4 particles")
        assert words in str(raised.value)
