"""Room of the test for a signal: noise alone is always flagged, weak particles never."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import adapters
from .classavg_truth import Recipe, class_set, noise_set
from .measure import ChildFailed
from .results import Room
from .settings import Settings

KINDS = (("white", {}), ("coloured", {"coloured": True}), ("white, CTF", {"ctf": True}))
NOISE_IMAGES = 500


def flagged(settings: Settings, particles: Path) -> tuple[bool, dict]:
    """Run ``classavg`` and say whether it found no signal (exit 3), and what it stated."""
    output = settings.runs / "signal"
    shutil.rmtree(output, ignore_errors=True)
    try:
        adapters.classavg(particles, output, extra=("--classes", "2"))
        flag = False
    except ChildFailed as error:
        if not str(error).startswith("exit 3:"):
            raise
        flag = True
    stated = json.loads((output / "run.json").read_text()).get("counts", {})
    shutil.rmtree(output, ignore_errors=True)
    return flag, stated


def run_signal_test(settings: Settings) -> Room:
    """Fifty stacks of noise (white, coloured, with CTF columns), and weak particles of several seeds."""
    room = settings.room("signal_test")
    runs = 6 if settings.quick else 50
    found: dict[str, list[bool]] = {kind: [] for kind, _ in KINDS}
    for seed in range(runs):
        kind, options = KINDS[seed % 3]
        folder = settings.runs / "noise"
        found[kind].append(flagged(settings, noise_set(folder, n=NOISE_IMAGES, seed=seed, **options))[0])
        shutil.rmtree(folder)
    for kind, flags in found.items():
        note = f"{len(flags)} stacks of {NOISE_IMAGES} images"
        room.add(f"noise, {kind}: share flagged", sum(flags) / len(flags), 1.0, ">=", note)
    seeds = range(1, 3 if settings.quick else 7)
    for snr, n in ((0.02, 1000), (0.05, 300)):
        flags = [flagged(settings, class_set(settings.work, Recipe(n=n, snr=snr, seed=s)).particles)[0] for s in seeds]
        room.add(f"70S, SNR {snr:g}, N = {n}: share flagged", sum(flags) / len(flags), 0.0, note=f"{len(flags)} seeds")
    return room
