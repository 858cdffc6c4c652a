"""The command itself, for the end-to-end tests of ``rid-distance``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryoalign.io.graph_file import Graph, read_graph
from helpers.align import PhantomSet, Ran, angle_difference, run


def rid_distance(folder: Path, *words: object, status: int = 0) -> Ran:
    """Run ``cryoalign rid-distance particles.star -o out`` on one thread and hold its exit status."""
    ran = run(folder, "rid-distance", "-q", "-j", 1, "particles.star", "-o", "out", *words)
    assert ran.status == status, ran.lines
    return ran


def graph_in(folder: Path) -> Graph:
    """Read the graph of the run in ``out``."""
    return read_graph(folder / "out" / "graph.npz")


def pose_errors(graph: Graph, made: PhantomSet, edges: np.ndarray | slice = slice(None)):
    """Compare edges within one view with the truth: angle in degrees, shift in px, share of right mirrors."""
    i, j = graph.i[edges], graph.j[edges]
    same = made.view[i] == made.view[j]
    i, j = i[same], j[same]
    truth = made.poses.take(j).then(made.poses.take(i).inverse())
    right = graph.mirror[edges][same] == truth.mirror
    angle = angle_difference(graph.angle_deg[edges][same], truth.psi)[right]
    shift = graph.shift_px[edges][same][right] - np.stack([truth.dx, truth.dy], axis=1)[right]
    return angle, shift, float(right.mean()), float(same.mean())


def edge_set(graph: Graph, chosen: np.ndarray | slice = slice(None)) -> set[tuple[int, int]]:
    """Return the pairs (i, j) of some edges."""
    return set(zip(graph.i[chosen].tolist(), graph.j[chosen].tolist(), strict=True))
