"""Room of class averaging at scale: the whole command at 1,000, 10,000 and 100,000 particles, and where its time goes.

70S, SNR .1, white noise, 64 px, one thread. Once without shifts, one round, on particles that stand on their centres;
once with default options on particles 1.5 px off them.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from . import adapters
from .classavg_truth import large_set
from .results import Room
from .settings import Settings

SIZES = (1000, 10_000, 100_000)
CASES = (
    ("one round, no shifts", 0.0, ("--rounds", "1", "--no-shifts"), 15),
    ("defaults, shifts of 1.5 px", 1.5, (), 30),
)
MOST_MB = 8000


def run_classavg_large(settings: Settings) -> Room:
    """A hundred thousand particles, once: CPU minutes with and without shifts, memory, and where the time goes."""
    room = settings.room("classavg_large")
    # Kernels are compiled by the first run; the cost of later ones is asked.
    for _, shift_sd, extra, _ in CASES:
        adapters.classavg(large_set(settings.work, SIZES[0], shift_sd), settings.runs / "warm", extra=extra)
    for n in SIZES[:2] if settings.quick else SIZES:
        for title, shift_sd, extra, minutes in CASES:
            judged = n == SIZES[-1]
            output = settings.runs / "large"
            cost = adapters.classavg(large_set(settings.work, n, shift_sd), output, extra=extra, watch_memory=True)
            label = f"classavg, {n:,} particles, {title}"
            room.add(f"{label}: CPU minutes", cost.cpu / 60, minutes if judged else None, note=_where(output))
            room.add(f"{label}: peak memory, MB", cost.peak_mb, MOST_MB if judged else None)
            shutil.rmtree(output, ignore_errors=True)
    return room


def _where(output: Path) -> str:
    """Say where the time of a run went: CPU seconds within the classification, wall seconds of all stages."""
    stages = json.loads((output / "run.json").read_text())["timings_s"]
    wall = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items())
    log = (output / "run.log").read_text()
    rounds = re.findall(r"(\d+) rounds, ", log)
    steps = re.findall(r"CPU seconds by step of the classification: (.*)", log)
    words = [f"{rounds[-1]} rounds"] if rounds else []
    words += [f"CPU s of the classification: {steps[-1]}"] if steps else []
    return "; ".join([*words, f"wall s by stage: {wall}"])
