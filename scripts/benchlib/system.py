"""Rooms of the machine: memory and start-up."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import adapters, measure, truth
from .results import Room
from .settings import Settings


def run_memory(settings: Settings) -> Room:
    """Peak RssAnon + RssShmem over all processes: 20,000 images of 128 px against a quarter of them."""
    room = settings.room("memory")
    data = truth.phantom_set(settings.work, n=2048, snr=0.1)
    many = 8000 if settings.quick else 20000
    for write_stack, label in ((False, "poses only"), (True, "with the stack")):
        peaks = {}
        for n in (many // 4, many):
            output = settings.runs / "memory"
            shutil.rmtree(output, ignore_errors=True)
            star = truth.repeated(settings.work, data, n)
            cost = adapters.align(star, data.references, output, write_stack=write_stack, watch_memory=True)
            shutil.rmtree(output, ignore_errors=True)
            peaks[n] = cost.peak_mb
        room.add(f"peak memory, {many:,} x 128 px, {label}, MB", peaks[many], 1000)
        note = f"{peaks[many // 4]:.0f} MB for {many // 4:,} images; the bar allows 1.5 kB an image for tables"
        growth = peaks[many] - peaks[many // 4]
        room.add(f"growth of the peak, {label}, MB", growth, round(0.0015 * many * 0.75 + 20, 1), note=note)
    return room


def run_startup(settings: Settings) -> Room:
    """CPU seconds of --help and of aligning the demo set with the kernels cached."""
    room = settings.room("startup")
    costs = [measure.run([adapters.program(), "--help"]).cpu for _ in range(5)]
    room.add("cryoalign --help, CPU s", min(costs), 0.3)
    costs = [measure.run([adapters.program(), "align", "--help"]).cpu for _ in range(5)]
    room.add("cryoalign align --help, CPU s", min(costs), 0.3)
    project = Path(__file__).resolve().parents[2]
    folder = project / "data"
    stars = sorted(folder.rglob("particles.star"))
    references = sorted(folder.rglob("reference*.mrc*"))
    if not (stars and references):
        room.skip("demo align, CPU s", "no demo set in data/")
        return room
    costs = []
    for _ in range(3):  # the first may compile the kernels
        output = settings.runs / "demo"
        shutil.rmtree(output, ignore_errors=True)
        costs.append(adapters.align(stars[0], references[0], output, write_stack=True, cwd=project).cpu)
    room.add("demo align with the stack and report, CPU s", min(costs), 10.0, note=f"first run {costs[0]:.1f}")
    return room
