"""Room of mirrors: mirrored members are shifted no differently, and mirrored input gives the same neighbours."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np

from . import adapters, files
from .classavg import ours, shift_residuals
from .classavg_judge import Views
from .classavg_truth import Recipe, class_set
from .results import Room
from .settings import Settings
from .truth import TruthSet


def run_mirrors(settings: Settings) -> Room:
    """Shift bias of mirrored members at an even and an odd box; mirrored input gives the same neighbours."""
    room = settings.room("mirrors")
    for box in (64, 65):
        differences = []
        for seed in settings.seeds:
            data = class_set(settings.work, Recipe(n=1000, seed=seed, box=box, shift_sd=1.5))
            left, mirror = shift_residuals(ours(settings, data, rows=300), Views(data.truth))
            differences.append(left[mirror].mean(axis=0) - left[~mirror].mean(axis=0))
        bias = np.mean(differences, axis=0)
        room.add(
            f"shift bias of mirrored members, {box} px box, px", np.hypot(*bias), 0.1, note=f"x, y {bias.round(3)}"
        )
    data = class_set(settings.work, Recipe(n=1000))
    plain = _neighbour_sets(settings, data.particles)
    flipped = _neighbour_sets(settings, _flipped(settings, data))
    same = np.mean([len(a[0] & b[0]) / len(a[0]) for a, b in zip(plain, flipped, strict=True)])
    flags = np.mean([a[1] == b[1] for a, b in zip(plain, flipped, strict=True)])
    room.add("mirrored input: neighbours in common", same, 0.999, ">=", "rid-distance, k = 10")
    room.add("mirrored input: images whose neighbours have the same flags", flags, 0.99, ">=")
    return room


def _neighbour_sets(settings: Settings, particles: Path) -> list[tuple[set, set]]:
    """Return for each image its neighbours, and its neighbours with their mirror flags."""
    output = settings.runs / "mirror"
    adapters.rid_distance(particles, output, extra=("-k", "10"))
    graph = adapters.read_graph(output)
    order = np.argsort(graph["i"], kind="stable")
    i, j, mirror = (graph[name][order] for name in ("i", "j", "mirror"))
    edges = np.searchsorted(i, np.arange(int(graph["n"]) + 1))
    parts = [slice(a, b) for a, b in pairwise(edges)]
    return [(set(j[p].tolist()), set(zip(j[p].tolist(), mirror[p].tolist(), strict=True))) for p in parts]


def _flipped(settings: Settings, data: TruthSet) -> Path:
    """Write the set with every image mirrored about pixel N // 2."""
    folder = settings.runs / "flipped"
    folder.mkdir(parents=True, exist_ok=True)
    images = data.images()[..., ::-1]
    files.write_stack(folder / "particles.mrcs", np.roll(images, data.box % 2 == 0, axis=-1), data.pixel_size_angstrom)
    shutil.copy(data.particles, folder / "particles.star")
    return folder / "particles.star"
