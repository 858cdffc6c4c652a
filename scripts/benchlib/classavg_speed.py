"""Room of class averaging's cost: whole processes beside ASPIRE 0.14.3 on the same files, one thread."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import adapters, classavg_aspire
from .classavg_truth import Recipe, class_set
from .measure import Cost
from .results import Room
from .settings import Settings

Command = Callable[..., Cost]


def run_classavg_speed(settings: Settings) -> Room:
    """CPU time and memory of rid-distance and classavg on one core, against ASPIRE; 1,000 to 10,000 particles."""
    room = settings.room("classavg_speed")
    recipe = Recipe()
    data = class_set(settings.work, recipe)
    # Kernels are compiled by the first run; the cost of later ones is asked.
    warm = class_set(settings.work, replace(recipe, n=1000)).particles
    _measured(settings, adapters.classavg, warm, "-k", "10")
    _measured(settings, adapters.rid_distance, warm, "-k", "10")
    whole, record = _measured(settings, adapters.rid_distance, data.particles, "--no-shifts")
    if settings.peers:
        theirs = classavg_aspire.classes_cost(settings.work, data, recipe)["stages"]
        alone = theirs["classification"]
        process = alone + theirs["start"] + theirs["read"]
        note = f"{whole.cpu:.2f} against {process:.1f} CPU s, of which {alone:.1f} in classify(); {record}"
        room.add(
            "rid-distance, angles, no shifts: CPU over ASPIRE's, whole processes", whole.cpu / process, 1 / 7, note=note
        )
        find, classify = adapters.classifiers(data.images())
        for name, call, bar in (
            ("neighbour search of rid-distance, angles, no shifts", find, 1 / 7),
            ("classification with its graph, one round, no shifts", classify, 1 / 3),
        ):
            start = time.process_time()
            stages = call()
            spent = time.process_time() - start
            note = f"{spent:.2f} against {alone:.1f} CPU s: {_stages(stages)}"
            room.add(f"{name}: CPU over ASPIRE's classify()", spent / alone, bar, note=note)
    for n, k, bar in ((1000, 10, 1 / 8), (3000, 50, 1 / 12)):
        if settings.quick and n > 1000:
            continue
        one = replace(recipe, n=n)
        data = class_set(settings.work, one)
        cost, record = _measured(settings, adapters.classavg, data.particles, "--every-particle", "-k", str(k))
        label = f"every average, N = {n:,}, k = {k}"
        if not settings.peers:
            room.add(f"{label}: CPU s", cost.cpu, note=record)
            continue
        other = classavg_aspire.whole_cost(settings.work, data, one, k)
        note = f"{cost.cpu:.1f} against {other['cpu']:.1f} CPU s; {record}"
        room.add(f"{label}: CPU over ASPIRE's, whole processes", cost.cpu / other["cpu"], bar, note=note)
        note = f"{cost.peak_mb:.0f} against {other['peak_mb']:.0f} MB"
        room.add(f"{label}: peak memory over ASPIRE's", cost.peak_mb / other["peak_mb"], 0.5, note=note)
    for n in (1000, 3000) if settings.quick else (1000, 3000, 10_000):
        _table(settings, room, class_set(settings.work, replace(recipe, n=n, snr=0.05)).particles, n)
    return room


def _table(settings: Settings, room: Room, particles: Path, n: int) -> None:
    """Add rows of the table of sizes: one round without shifts, and the defaults."""
    for title, extra in (("one round, no shifts", ("--rounds", "1", "--no-shifts")), ("defaults, with shifts", ())):
        cost, record = _measured(settings, adapters.classavg, particles, *extra)
        label = f"classavg, {n:,} particles, {title}"
        room.add(f"{label}: CPU minutes", cost.cpu / 60, note=record)
        room.add(f"{label}: peak memory, MB", cost.peak_mb)


def _measured(settings: Settings, command: Command, particles: Path, *extra: str) -> tuple[Cost, str]:
    """Run a command; return its cost and the wall seconds of its stages in words."""
    output = settings.runs / "cost"
    shutil.rmtree(output, ignore_errors=True)
    cost = command(particles, output, extra=extra, watch_memory=True)
    stages = json.loads((output / "run.json").read_text())["timings_s"]
    shutil.rmtree(output, ignore_errors=True)
    return cost, f"wall by stage: {_stages(stages)}"


def _stages(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in seconds.items())
