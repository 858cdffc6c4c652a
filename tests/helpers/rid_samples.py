"""Made-up results of `rid-distance`, of any size."""

from __future__ import annotations

import numpy as np

from cryoalign.report.rid_distance_data import NeighbourExample, RidDistanceReportData


def make_example(m=8, box=32, *, seed=0, **fields) -> NeighbourExample:
    rng = np.random.default_rng(seed)
    made = {
        "name": f"{seed + 1:06d}@stack.mrcs",
        "query": rng.standard_normal((box, box)),
        "neighbours": rng.standard_normal((m, box, box)),
        "distance": np.linspace(5.125, 6.5, m),
        "mirror": np.arange(m) % 2 == 1,
        "mean": rng.standard_normal((box, box)),
        "mean_of": 51,
    }
    return NeighbourExample(**(made | fields))


def make_rid(n=300, k=10, *, kind="nearest", seed=0, **fields) -> RidDistanceReportData:
    """Return data of n particles with k neighbours each (no particle its own), or of pairs i < j."""
    rng = np.random.default_rng(seed)
    if kind == "nearest":
        i = np.repeat(np.arange(n), k)
        j = (i + 1 + np.concatenate([rng.permutation(n - 1)[:k] for _ in range(n)])) % n if n > 1 else i[:0]
        i = i[: len(j)]
    else:
        i, j = np.triu_indices(n, 1)
        kept = rng.random(len(i)) < 0.2
        i, j = i[kept], j[kept]
    edges = len(i)
    distance = rng.normal(8.0, 0.6, edges)
    if kind == "nearest":
        distance = np.sort(distance.reshape(-1, k), axis=1).ravel()
    made = {
        "title": "Neighbours: test",
        "command_line": "cryoalign rid-distance particles.star --output Graph",
        "version": "0.0.test",
        "pixel_size_angstrom": 4.0,
        "particles": n,
        "i": i,
        "j": j,
        "distance": distance.astype(np.float32),
        "angle_deg": rng.uniform(-180, 180, edges).astype(np.float32),
        "kind": kind,
        "distance_unit": "noise standard deviations",
        "metric": "log-likelihood ratio",
        "k": k if kind == "nearest" else None,
        "shift_angstrom": rng.normal(0, 7.0, (edges, 2)).astype(np.float32),
        "mirror": rng.random(edges) < 0.5,
        "shift_sd_angstrom": 5.25,
        "examples": [make_example(seed=s) for s in range(2)],
        "parameters": {"-k": str(k)},
        "counts": {"read": n + 2, "skipped": 2},
        "warnings": ["2 particles were skipped"],
        "timings_s": {"candidates": 2.0, "exact scores": 6.0},
        "files": {"graph.npz": "the graph"},
        "notes": ["A note."],
    }
    return RidDistanceReportData(**(made | fields))
