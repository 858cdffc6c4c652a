"""Made-up results of `rid-distance`, of any size."""

from __future__ import annotations

import numpy as np

from cryoalign.io.graph_file import Graph
from cryoalign.report.rid_distance_data import NeighbourExample, RidDistanceReportData


def make_example(m=8, box=32, *, seed=0, **fields) -> NeighbourExample:
    rng = np.random.default_rng(seed)
    made = {
        "name": f"{seed + 1:06d}@stack.mrcs",
        "images": rng.standard_normal((1 + m, box, box)),
        "distance": np.linspace(5.125, 6.5, m),
        "mirror": np.arange(m) % 2 == 1,
        "mean": rng.standard_normal((box, box)),
        "mean_of": 51,
    }
    return NeighbourExample(**(made | fields))


def make_graph(n, i, j, *, seed=0, **fields) -> Graph:
    rng = np.random.default_rng(seed)
    edges = len(i)
    made = {
        "distance": rng.normal(8.0, 0.6, edges).astype(np.float32),
        "angle_deg": rng.uniform(-180, 180, edges).astype(np.float32),
        "shift_px": rng.normal(0, 1.75, (edges, 2)).astype(np.float32),
        "mirror": rng.random(edges) < 0.5,
        "name": np.array([f"{row + 1:06d}@stack.mrcs" for row in range(n)]),
        "box": 32,
        "pixel_size_angstrom": 4.0,
        "metric": "log-likelihood ratio",
    }
    return Graph(n=n, i=i, j=j, **(made | fields))


def make_rid(n=300, k=10, *, kind="nearest", seed=0, **fields) -> RidDistanceReportData:
    """Return data of n particles with k neighbours each (no particle its own), or of pairs i < j."""
    rng = np.random.default_rng(seed)
    if kind == "nearest":
        i = np.repeat(np.arange(n), k)
        j = (i + 1 + np.concatenate([rng.permutation(n - 1)[:k] for _ in range(n)])) % n
    else:
        i, j = np.triu_indices(n, 1)
        kept = rng.random(len(i)) < 0.2
        i, j = i[kept], j[kept]
    distance = rng.normal(8.0, 0.6, len(i)).astype(np.float32)
    if kind == "nearest":
        distance = np.sort(distance.reshape(-1, k), axis=1).ravel()
    made = {
        "graph": make_graph(n, i, j, seed=seed, distance=distance),
        "kind": kind,
        "distance_unit": "noise standard deviations",
        "mirrors": True,
        "k": k if kind == "nearest" else None,
        "shift_sd_px": 1.3125,
        "examples": [make_example(seed=s) for s in range(2)],
    }
    return RidDistanceReportData(**(made | fields))
