"""A graph as text, for eyes and other programs: CSV, or a STAR file; rows count from 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.io.columns import text_column, text_series
from cryoalign.io.graph_file import CONVENTION, Graph
from cryoalign.io.star import Table, write_star
from cryoalign.io.writing import naming

_AT_ONCE = 1 << 18

_STAR_LABELS = {
    "i": "cryoalignRowI", "j": "cryoalignRowJ", "distance": "cryoalignDistance", "angle_deg": "cryoalignAngle",
    "shift_x_px": "cryoalignShiftX", "shift_y_px": "cryoalignShiftY", "mirror": "cryoalignMirror",
    "weight": "cryoalignWeight", "score": "cryoalignScore",
}  # fmt: skip


def write_graph_csv(path: Path, graph: Graph) -> None:
    """Write one line for each edge under a line of column names.

    Columns: i, j (rows from 1), distance, angle_deg, shift_x_px, shift_y_px, mirror (0 or 1), and weight and score
    where the graph has them.
    """
    columns = _columns(graph)
    with naming(path), Path(path).open("w", encoding="ascii", newline="\n") as handle:
        handle.write(",".join(columns) + "\n")
        for start in range(0, len(graph), _AT_ONCE):
            cells = [text_column(label, values[start : start + _AT_ONCE]) for label, values in columns.items()]
            handle.writelines(",".join(row) + "\n" for row in zip(*cells, strict=True))


def write_graph_star(path: Path, graph: Graph) -> None:
    """Write data_graph (what the numbers mean), data_nodes (row and image name) and data_edges (a row for each)."""
    edges = {_STAR_LABELS[label]: text_series(text_column(label, v)) for label, v in _columns(graph).items()}
    nodes = {
        "cryoalignRow": text_series(text_column("cryoalignRow", np.arange(1, graph.n + 1))),
        "rlnImageName": text_series(graph.name.tolist()),
    }
    about: Table = {
        "cryoalignMetric": graph.metric,
        "cryoalignConvention": CONVENTION,
        "rlnImageSize": str(graph.box),
        "rlnImagePixelSize": text_column("rlnImagePixelSize", [graph.pixel_size_angstrom])[0],
    }
    write_star(path, {"graph": about, "nodes": pd.DataFrame(nodes), "edges": pd.DataFrame(edges)})


def _columns(graph: Graph) -> dict[str, NDArray]:
    columns: dict[str, NDArray] = {
        "i": graph.i + 1, "j": graph.j + 1, "distance": graph.distance, "angle_deg": graph.angle_deg,
        "shift_x_px": graph.shift_px[:, 0], "shift_y_px": graph.shift_px[:, 1], "mirror": graph.mirror,
    }  # fmt: skip
    if graph.weight is not None:
        columns["weight"] = graph.weight
    if graph.score is not None:
        columns["score"] = graph.score
    return columns
