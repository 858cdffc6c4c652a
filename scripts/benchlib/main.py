"""Command line of scripts/bench."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from . import (
    accuracy,
    average_speed,
    averages,
    calibration,
    classavg,
    classavg_large,
    classavg_relion,
    classavg_speed,
    faulty,
    guard,
    halves,
    mirrors,
    mnist,
    neighbours,
    signal_test,
    speed,
    structure,
    sync,
    sync_scale,
    system,
    toy_neighbours,
)
from .measure import ChildFailed
from .pages import fill_pages
from .settings import Settings
from .summary import fill_summary

ROOMS = {
    "accuracy": accuracy.run_accuracy,
    "references": accuracy.run_references,
    "ctf": accuracy.run_ctf,
    "interpolation": accuracy.run_interpolation,
    "kernel": speed.run_kernel,
    "speed": speed.run_speed,
    "stack": speed.run_stack,
    "threads": speed.run_threads,
    "table": speed.run_table,
    "memory": system.run_memory,
    "startup": system.run_startup,
    "calibration": calibration.run_calibration,
    "averages": averages.run_averages,
    "halves": halves.run_halves,
    "guard": guard.run_guard,
    "average_speed": average_speed.run_average_speed,
    "neighbours": neighbours.run_neighbours,
    "structure": structure.run_structure,
    "classavg": classavg.run_classavg,
    "mirrors": mirrors.run_mirrors,
    "partition": classavg_relion.run_partition,
    "signal_test": signal_test.run_signal_test,
    "faulty": faulty.run_faulty,
    "classavg_speed": classavg_speed.run_classavg_speed,
    "classavg_large": classavg_large.run_classavg_large,
    "sync": sync.run_sync,
    "sync_scale": sync_scale.run_sync_scale,
    "mnist": mnist.run_mnist,
    "toy_neighbours": toy_neighbours.run_toy_neighbours,
}
APART = ("classavg_large",)  # only when named: long


def main(arguments: list[str] | None = None) -> int:
    """Run rooms; exit 0 if every bar holds, 1 if one does not, 2 on a failed run."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure cryoalign against its bars and its peers; results go to WORK/results/ROOM.json.",
    )
    parser.add_argument("rooms", nargs="+", choices=[*ROOMS, "all", "report"], metavar="ROOM", help=", ".join(ROOMS))
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="sets, environments, results [.bench]")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds [3]")
    parser.add_argument("--quick", action="store_true", help="fewer images and one seed: a smoke test")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave RELION and ASPIRE out")
    chosen = parser.parse_args(arguments)
    work = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    seeds = tuple(range(1, 1 + (1 if chosen.quick else chosen.seeds)))
    settings = Settings(work, seeds, chosen.quick, chosen.peers)
    names = [name for name in ROOMS if name in chosen.rooms or ("all" in chosen.rooms and name not in APART)]
    status = 0
    for name in names:
        print(f"\n{name}: {ROOMS[name].__doc__.splitlines()[0]}", flush=True)
        start = time.perf_counter()
        try:
            # One BLAS thread in this process too: the judges share the machine with what they judge.
            with threadpool_limits(1):
                room = ROOMS[name](settings)
        except ChildFailed as error:
            print(f"{name} stopped: {error}", file=sys.stderr)
            status = 2
            continue
        room.save(work)
        short = [f.name for f in room.figures if f.verdict == "FALLS SHORT"]
        judged = sum(1 for f in room.figures if f.bar is not None)
        print(f"{name}: {judged - len(short)} of {judged} bars hold, {time.perf_counter() - start:.0f} s", flush=True)
        status = max(status, 1 if short else 0)
    shutil.rmtree(settings.runs, ignore_errors=True)
    if "report" in chosen.rooms:
        status = max(status, _report(Path(__file__).resolve().parents[2], work))
    return status


def _report(root: Path, work: Path) -> int:
    """Fill the pages and the summary; 2 where a result has no place on any page."""
    pages = root / "docs" / "benchmarks"
    filled, homeless = fill_pages(pages, work)
    fill_summary(pages, root / "README.md")
    print("filled:", ", ".join(filled) or "nothing")
    if homeless:
        print("no page has marks for:", ", ".join(homeless), file=sys.stderr)
    return 2 if homeless else 0
