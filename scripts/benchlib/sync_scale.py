"""Room of synchronisation's cost: five million edges, the command and the solver alone, and CPU per edge by size."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import starfile

from . import adapters, measure
from .agreement import agreement
from .results import Room
from .settings import Settings

NODES, DEGREE, GOOD, JITTER = 100_000, 100, 0.2, 0.1
SIZES = (2_000, 20_000, 200_000)  # at 100 edges a node: 1e5, 1e6 and 1e7 edges


def run_sync_scale(settings: Settings) -> Room:
    """100,000 nodes and 5 million edges, a fifth of them right; and graphs of 1e5, 1e6 and 1e7 edges. One thread."""
    room = settings.room("sync_scale")
    nodes = NODES // 20 if settings.quick else NODES
    _add_command(settings, room, nodes)
    took = _driver(nodes)
    note = f"Corr {took['corr']:.4f}, median error {took['median_deg']:.2f} deg; {took['used']}"
    room.add(f"solver alone, {took['edges']:,} edges: CPU s", took["cpu"], 60, note=note)
    per_edge = {}
    for n in SIZES[:2] if settings.quick else SIZES:
        took = _driver(n)
        edges, cpu = took["edges"], took["cpu"]
        per_edge[edges] = 1e6 * cpu / edges
        note = f"{cpu:.1f} CPU s; Corr {took['corr']:.4f}; {took['used']}"
        room.add(f"solver alone, {edges:,} edges: CPU microseconds an edge", per_edge[edges], note=note)
    most, least = max(per_edge.values()), min(per_edge.values())
    room.add("CPU per edge: largest over least of these sizes", most / least, 2.0, note="flat")
    return room


def _add_command(settings: Settings, room: Room, nodes: int) -> None:
    folder = settings.runs / "sync_scale"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = ["simulate-graph", "-o", "graph", "-n", nodes, "--degree", DEGREE, "--good-share", GOOD, "--seed", 1]
    adapters.command(folder, *words, "--jitter", np.degrees(JITTER))
    cost = adapters.command(folder, "sync", "graph/graph.npz", "-o", "found", watch_memory=True)
    truth = starfile.read(folder / "graph" / "truth.star")
    found = next(
        t for t in starfile.read(folder / "found" / "angles.star", always_dict=True).values() if len(t) == nodes
    )
    stages = json.loads((folder / "found" / "run.json").read_text())["timings_s"]
    result = agreement(found["rlnAnglePsi"], truth["rlnAnglePsi"])
    label = f"sync, {nodes:,} nodes, {DEGREE} edges at each"
    room.add(f"{label}: Corr", result.correlation, 0.99, ">=", f"r = {GOOD:g}, jitter {JITTER:g} rad")
    room.add(f"{label}: median error, deg", np.median(np.abs(result.error_deg)), 2.0)
    note = "wall by stage: " + ", ".join(f"{name} {value:.1f}" for name, value in stages.items())
    room.add(f"{label}: CPU s of the whole command", cost.cpu, note=note)
    room.add(f"{label}: peak memory, MB", cost.peak_mb, 1500)
    shutil.rmtree(folder)


def _driver(nodes: int) -> dict:
    driver = Path(__file__).with_name("sync_driver.py")
    # The first process may compile the kernels.
    cost = measure.run([sys.executable, driver, str(nodes), str(DEGREE)], env=measure.ONE_THREAD)
    return json.loads(cost.output.splitlines()[-1])
