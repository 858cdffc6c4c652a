"""``simulate-graph`` from start to finish: draw a graph, write it, and write what is true of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.columns import text_column, text_table
from cryoalign.io.graph_file import Graph, write_graph
from cryoalign.io.graph_text import write_graph_csv, write_graph_star
from cryoalign.io.star import write_star, write_star_loop
from cryoalign.jobs.simulate_graph.parameters import SimulateGraphParameters
from cryoalign.runs.rundir import RunDirectory
from cryoalign.simulation.graphs import GraphRecipe, SimulatedGraph, simulate_graph

METRIC = "simulated"
_EDGE_ROWS = 1 << 18


def run_simulate_graph(p: SimulateGraphParameters, argv: Sequence[str], verbosity: int) -> int:
    """Simulate a graph and write a run directory."""
    recipe = p.recipe()
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        with run.stage("simulate"):
            simulated = simulate_graph(recipe)
        if not len(simulated):
            raise InputError("this graph has no edges", hint="give more --nodes, or a larger --degree")
        _say(p, recipe, simulated, run)
        with run.stage("write"):
            graph = file_graph(simulated)
            write_graph(run.staged("graph.npz"), graph)
            if "csv" in p.export:
                write_graph_csv(run.staged("graph.csv"), graph)
            if "star" in p.export:
                write_graph_star(run.staged("graph.star"), graph)
            write_star(run.staged("truth.star"), {"nodes": _true_nodes(p, simulated, graph.name)})
            _write_true_edges(run.staged("truth_edges.star"), simulated)
        counts = {
            "nodes": simulated.n,
            "edges": len(simulated),
            "components": int(simulated.component.max()),
            "inlier_share": float(simulated.inlier.mean()),
        }
        run.commit(counts=counts)
    return 0


def file_graph(simulated: SimulatedGraph) -> Graph:
    """Return a simulated graph as graph.npz has it: made-up names, distance 0, no images."""
    digits = max(6, len(str(simulated.n)))
    return Graph(
        n=simulated.n,
        i=simulated.i.astype(np.int64),
        j=simulated.j.astype(np.int64),
        distance=np.zeros(len(simulated), np.float32),
        angle_deg=simulated.angle_deg,
        shift_px=simulated.shift_px,
        mirror=simulated.mirror,
        name=np.array([f"node_{row + 1:0{digits}d}" for row in range(simulated.n)]),
        box=0,
        pixel_size_angstrom=0.0,
        metric=METRIC,
    )


def _true_nodes(p: SimulateGraphParameters, simulated: SimulatedGraph, names: NDArray[np.str_]) -> pd.DataFrame:
    truth = simulated.truth
    columns: dict[str, ArrayLike] = {"cryoalignNode": names.tolist(), "rlnAnglePsi": truth.psi}
    if p.mirrors:
        columns["rlnIsFlip"] = truth.mirror
    if p.shift_sd:
        columns |= {"rlnOriginX": truth.dx, "rlnOriginY": truth.dy}  # in pixels, as these labels say
    columns["cryoalignComponent"] = simulated.component
    return text_table(columns)


def _write_true_edges(path: Path, simulated: SimulatedGraph) -> None:
    def pieces() -> Iterator[dict[str, list[str]]]:
        for start in range(0, len(simulated), _EDGE_ROWS):
            part = slice(start, start + _EDGE_ROWS)
            columns = {
                "cryoalignRowI": simulated.i[part] + 1,
                "cryoalignRowJ": simulated.j[part] + 1,
                "cryoalignInlier": simulated.inlier[part],
            }
            yield {label: text_column(label, values) for label, values in columns.items()}

    write_star_loop(path, "edges", pieces())


def _say(p: SimulateGraphParameters, recipe: GraphRecipe, simulated: SimulatedGraph, run: RunDirectory) -> None:
    n, edges = simulated.n, len(simulated)
    run.log.info("%d nodes, %d edges (%.4g at a node), model %s", n, edges, 2 * edges / n, p.model)
    if p.model == "gaussian":
        run.log.info("noise sigma = %.4g sqrt(edges at a node)", recipe.sigma)
    else:
        share = float(simulated.inlier.mean())
        signal = share * np.sqrt(2 * edges / n)
        run.log.info("%.2f %% of the edges are right: lambda = r sqrt(edges at a node) = %.3g", 100 * share, signal)
    found = int(simulated.component.max())
    if found != p.components:
        run.warn(f"the graph falls into {found} components, not {p.components}: it has few edges")
