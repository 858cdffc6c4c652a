"""Child of the room sync_scale: solve one graph of a given size in a process of its own, and print what it took.

Usage: python sync_driver.py NODES DEGREE   (a fifth of the edges right to 0.1 rad; prints JSON)
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from agreement import agreement  # beside this file

from cryoalign.simulation.graphs import random_corruption
from cryoalign.synchronization.edges import every_edge
from cryoalign.synchronization.synchronise import synchronise


def main(nodes: int, degree: float) -> None:
    """Warm up on a small graph, solve the large one, judge it."""
    synchronise(_edges(2000, 50)[0])
    edges, truth = _edges(nodes, degree)
    start = time.process_time()
    found = synchronise(edges)
    cpu = time.process_time() - start
    largest = found.component == 1
    result = agreement(found.psi_deg[largest], truth[largest])
    print(json.dumps({
        "edges": len(edges), "cpu": cpu, "corr": result.correlation, "used": found.algorithm_used[0],
        "median_deg": float(np.median(np.abs(result.error_deg))), "stages": found.timings,
    }))  # fmt: skip


def _edges(nodes: int, degree: float):  # type: ignore[no-untyped-def]
    graph = random_corruption(
        nodes, good_share=0.2, jitter_rad=0.1, edge_probability=min(1.0, degree / (nodes - 1)), seed=1
    )
    return every_edge(graph.n, graph.i, graph.j, graph.angle_deg), graph.psi_deg


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
