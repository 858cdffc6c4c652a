"""Edges between nodes, from any file that may hold them: graph.npz, STAR, CSV, TSV.

The pose of an edge (i, j) brings image j onto image i; without mirrors angle_ij = psi_j - psi_i. Parallel edges are all
kept, whether they agree or not; an edge is listed in one direction or in both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.poses import PosedEdges
from cryoalign.io.columns import numbers
from cryoalign.io.edge_columns import EdgeCells, fields_of, meaning_of
from cryoalign.io.edge_text import looks_like_star, read_edge_text
from cryoalign.io.file_kind import open_text, read_head, refuse_unless_text
from cryoalign.io.graph_file import read_graph
from cryoalign.io.image_index import MISSING, TWICE, ImageIndex
from cryoalign.io.star import StarFile, read_star
from cryoalign.io.star_check import scan_star

_ROW = "cryoalignRow"
_IMAGE_NAME = "rlnImageName"
_STACKS = (".mrc", ".mrcs", ".mrc:mrcs")


@dataclass(frozen=True, eq=False)
class EdgeTable(PosedEdges):
    """E edges between n nodes.

    Parameters
    ----------
    path
        The file they came from.
    node
        Ids of the nodes as given: int64 (n,), ascending, or text (n,) as they first appear.
    rows_of_particles
        Whether an id is a row of particles, counted from 1: node i is row i + 1.
    name
        rlnImageName of each node, text (n,); None where the file does not say.
    i, j
        0-based nodes, int64 (E,), i != j.
    angle_deg
        float64 (E,), finite.
    line
        1-based line (of text) or row (of graph.npz) of each edge, int64 (E,).
    weight, distance
        float64 (E,), not negative; None where there is none.
    shift_px
        float64 (E, 2), x then y, in pixels; None where all are 0.
    mirror
        bool (E,); None where no edge is mirrored.
    pixel_size_angstrom
        Of the pixels of `shift_px`, in A; None where the file does not say.
    metric
        What the distance is; empty where the file does not say.
    unused
        Names of columns or arrays that are not used.
    """

    path: Path
    node: NDArray[np.int64] | NDArray[np.str_]
    rows_of_particles: bool
    name: NDArray[np.str_] | None
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    angle_deg: NDArray[np.float64]
    line: NDArray[np.int64]
    weight: NDArray[np.float64] | None = None
    distance: NDArray[np.float64] | None = None
    shift_px: NDArray[np.float64] | None = None
    mirror: NDArray[np.bool_] | None = None
    pixel_size_angstrom: float | None = None
    metric: str = ""
    unused: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the edges."""
        return len(self.i)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.node)

    def error(self, what: str, edge: int, **more: object) -> InputError:
        """Return an error about an edge (its position, from 0)."""
        where = "row" if self.path.suffix == ".npz" else "line"
        return InputError(what, path=self.path, **{where: int(self.line[edge])}, **more)  # type: ignore[arg-type]


def read_edge_table(path: Path) -> EdgeTable:
    """Read edges from graph.npz, a STAR file, or text with separators; what a file is, its content tells.

    Parameters
    ----------
    path
        The file, or a run directory with a graph.npz in it.

    Raises
    ------
    InputError
        One line with file, line, value and what to do.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "graph.npz").is_file():
            raise InputError("a folder without graph.npz", path=path, hint="give a file of edges")
        path = path / "graph.npz"
    head = read_head(path)
    if path.suffix == ".npz" or head.startswith(b"PK"):
        return _from_graph(path)
    refuse_unless_text(head, path)
    with open_text(path) as handle:
        is_star = path.suffix == ".star" or looks_like_star(handle)
    if is_star:
        return _from_star(path)
    cells, unused = read_edge_text(path)
    return _table(path, cells, unused=unused)


def _from_graph(path: Path) -> EdgeTable:
    graph = read_graph(path)
    weight = None if graph.weight is None else graph.weight.astype(np.float64)
    node, name = _nodes_called(graph.name)
    return EdgeTable(
        path=path,
        node=node,
        rows_of_particles=node.dtype.kind == "i",
        name=name,
        i=graph.i,
        j=graph.j,
        angle_deg=graph.angle_deg.astype(np.float64),
        line=np.arange(1, len(graph) + 1),
        weight=weight,
        distance=graph.distance.astype(np.float64),
        shift_px=graph.shift_px.astype(np.float64) if graph.shift_px.any() else None,
        mirror=graph.mirror if graph.mirror.any() else None,
        pixel_size_angstrom=graph.pixel_size_angstrom if graph.pixel_size_angstrom > 0 else None,
        metric=graph.metric,
        unused=graph.unused,
    )


def _from_star(path: Path) -> EdgeTable:
    star = read_star(path)
    block = _block_of_edges(star)
    table = star.table(block)
    labels = [str(label) for label in table.columns]
    fields = fields_of(labels, path=path, line=star.lines[block])
    if table.empty:
        raise InputError(f"no edges: data_{block} has no rows", path=path, line=star.lines[block])
    lines = next(found.row_lines for found in scan_star(path).blocks if found.name == block)
    cells = EdgeCells(path, list(fields))
    cells.take({field: table[labels[place]].tolist() for field, place in fields.items()}, np.array(lines[: len(table)]))
    unused = [label for label in labels if meaning_of(label) is None]
    about = star.table("graph") if "graph" in star.blocks else None
    pixel = None
    if about is not None and "rlnImagePixelSize" in about and len(about):
        pixel = float(numbers(about["rlnImagePixelSize"], "rlnImagePixelSize", path=path)[0])
    metric = str(about["cryoalignMetric"].iloc[0]) if about is not None and "cryoalignMetric" in about else ""
    known = pixel if pixel and pixel > 0 else None
    found = _table(path, cells, unused=unused, pixel_size_angstrom=known, metric=metric)
    if "nodes" not in star.blocks or _ROW not in star.blocks["nodes"]:
        return found
    return _with_nodes(found, star)


def _block_of_edges(star: StarFile) -> str:
    """Return the block called edges, or the only one that names both nodes of its rows."""
    if "edges" in star.blocks:
        return "edges"
    found = [name for name, block in star.blocks.items() if {"i", "j"} <= {meaning_of(str(label)) for label in block}]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"data_{name}" for name in found or star.blocks)
    raise InputError(
        "several tables of edges" if found else "no table with edges", path=star.path, value=listed,
        hint="call the one with the edges data_edges",
    )  # fmt: skip


def _with_nodes(table: EdgeTable, star: StarFile) -> EdgeTable:
    """Take nodes and their names from data_nodes, as `rid-distance --export star` writes it: rows from 1, all there."""
    nodes = star.table("nodes")
    rows = numbers(nodes[_ROW], _ROW, path=star.path, what="in data_nodes")
    n = len(rows)
    if not np.array_equal(rows, np.arange(1, n + 1)):
        raise InputError(f"{_ROW} in data_nodes must be 1, 2, 3 and so on", path=star.path, line=star.lines["nodes"])
    names = np.array(nodes[_IMAGE_NAME].tolist(), dtype=np.str_) if _IMAGE_NAME in nodes else np.full(n, "")
    node, images = _nodes_called(names)
    found = with_rows(table, n, images, f"of {n} in data_nodes")
    return found if node.dtype.kind == "i" else replace(found, node=node, name=None, rows_of_particles=False)


def with_rows(table: EdgeTable, n: int, name: NDArray[np.str_] | None, of: str) -> EdgeTable:
    """Return edges whose ids are rows 1 to n as edges between n nodes, those without an edge included.

    Parameters
    ----------
    table
        The edges.
    n, name
        Number of rows, and their rlnImageName.
    of
        What the rows belong to, for the message, such as "of 500 particles".

    Raises
    ------
    InputError
        If an id is no row of them.
    """
    ids: NDArray[Any] = table.node
    whole = ids.dtype.kind == "i"
    wrong = (ids < 1) | (ids > n) if whole else np.ones(len(ids), bool)
    if wrong.any():
        first = int(np.flatnonzero(wrong[table.i] | wrong[table.j])[0])
        end = table.i[first] if wrong[table.i[first]] else table.j[first]
        what = f"a node that is no row {of}" if whole else f"a name where a row {of} should be"
        raise table.error(what, first, value=ids[end].item(), hint="rows count from 1")
    place = np.asarray(ids, np.int64) - 1
    i, j = place[table.i], place[table.j]
    return replace(table, node=np.arange(1, n + 1), name=name, i=i, j=j, rows_of_particles=True)


def with_named_rows(table: EdgeTable, name: NDArray[np.str_], of: str) -> EdgeTable:
    """Return edges whose ids are names as edges between all the n named rows, which become nodes in their order.

    Raises
    ------
    InputError
        If an id is none of the names, or that of several rows.
    """
    try:
        place = ImageIndex(name.tolist()).rows_of(table.node.tolist())
    except InputError:  # a node that is called otherwise
        places = {word: row for row, word in enumerate(name.tolist())}
        place = np.array([places.get(word, MISSING) for word in table.node.tolist()], np.int64)
    for bad, what in ((place == MISSING, f"a node that is none {of}"), (place == TWICE, f"a name of several {of}")):
        if bad.any():
            edge = int(np.flatnonzero(bad[table.i] | bad[table.j])[0])
            end = table.i[edge] if bad[table.i[edge]] else table.j[edge]
            raise table.error(what, edge, value=table.node[end].item(), hint="names must be those of the particles")
    return replace(table, node=name, name=name, i=place[table.i], j=place[table.j], rows_of_particles=True)


def _table(
    path: Path, cells: EdgeCells, *, unused: list[str], pixel_size_angstrom: float | None = None, metric: str = ""
) -> EdgeTable:
    ids, columns, lines = cells.finish()
    shift = None
    if "shift_x_px" in columns and (columns["shift_x_px"].any() or columns["shift_y_px"].any()):
        shift = np.stack([columns["shift_x_px"], columns["shift_y_px"]], axis=1)
    mirror = columns["mirror"].astype(bool) if "mirror" in columns else None
    return EdgeTable(
        path=path,
        node=ids,
        rows_of_particles=False,
        name=ids if ids.dtype.kind != "i" and _are_images(ids) else None,
        i=columns["i"],
        j=columns["j"],
        angle_deg=columns["angle_deg"],
        line=lines,
        weight=columns.get("weight"),
        distance=columns.get("distance"),
        shift_px=shift,
        mirror=mirror if mirror is not None and mirror.any() else None,
        pixel_size_angstrom=pixel_size_angstrom,
        metric=metric,
        unused=tuple(unused),
    )


def _nodes_called(names: NDArray[np.str_]) -> tuple[NDArray[Any], NDArray[np.str_] | None]:
    """Return ids of named rows, and the names of their images: rows of particles have numbers, others their names."""
    rows = np.arange(1, len(names) + 1)
    if len(names) and _are_images(names):
        return rows, names
    own = len(names) and names.astype(bool).all() and len(np.unique(names)) == len(names)
    return (names if own else rows), None


def _are_images(names: NDArray[np.str_]) -> bool:
    """Tell whether all are names of images, such as 000001@stack.mrcs."""
    return all("@" in name or name.endswith(_STACKS) for name in names.tolist())
