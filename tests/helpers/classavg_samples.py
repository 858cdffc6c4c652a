"""Made-up results of `classavg`, of any size: a lopsided pile of balls seen from all sides."""

from __future__ import annotations

import numpy as np

from cryoalign.report.classavg_data import ClassavgReportData, SignalSummary, ViewMembers
from cryoalign.report.quality_data import HalfSets
from helpers.quality_samples import make_curve


def make_directions(n, *, seed=0):
    points = np.random.default_rng(seed).standard_normal((n, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def draw_view(direction, box):
    """Draw five balls as seen along a direction (3,), as (box, box)."""
    z = np.asarray(direction, np.float64)
    x = np.cross(z, (0.3, 0.9, -0.2))
    x /= np.linalg.norm(x)
    frame = np.stack([x, np.cross(z, x)])
    balls = np.array([(0, 0, 0), (0.5, 0.1, 0.1), (-0.2, 0.6, 0.2), (0.1, -0.3, 0.7), (0.3, 0.3, -0.5)])
    grid = (np.arange(box) - box // 2) / (0.45 * box)
    image = np.zeros((box, box), np.float32)
    for place, radius in zip(balls @ frame.T, (0.45, 0.2, 0.25, 0.18, 0.15), strict=True):
        apart = (grid - place[0]) ** 2 + (grid[:, None] - place[1]) ** 2
        image += 2 * np.sqrt(np.maximum(radius**2 - apart, 0))
    return image


def make_members(views, k=20, *, seed=0, **fields) -> ViewMembers:
    rng = np.random.default_rng(seed)
    m = len(views) * k
    made = {
        "view": np.repeat(list(views), k),
        "distance": rng.normal(8.0, 0.6, m).astype(np.float32),
        "angle_deg": rng.uniform(-180, 180, m).astype(np.float32),
        "mirror": rng.random(m) < 0.5,
        "viewing_angle_deg": rng.rayleigh(5.0, m).astype(np.float32),
    }
    return ViewMembers(**(made | fields))


def make_classavg(n=600, m=3, box=32, *, k=20, partition=4, curves=True, signal=True, seed=0, **fields):
    """Return data of n particles in m views, best first, and of a partition into some classes."""
    rng = np.random.default_rng(seed)
    directions = make_directions(n, seed=seed)
    numbers = list(range(1, m + 1))
    rows = {number: int(row) for number, row in zip(numbers, rng.permutation(n)[:m], strict=False)}
    sizes = rng.multinomial(n, np.full(partition, 1 / partition)) if partition else []

    def image(direction):
        return draw_view(direction, box) + 0.08 * rng.standard_normal((box, box)).astype(np.float32)

    made = {
        "title": "Class averages: test",
        "command_line": "cryoalign classavg particles.star --output Run -k 20",
        "version": "0.0.test",
        "pixel_size_angstrom": 4.0,
        "mask_diameter_angstrom": 0.8 * box * 4.0,
        "particles": n,
        "views": {number: image(directions[rows[number]]) for number in rows},
        "view_members": dict.fromkeys(rows, k),
        "algorithm": "mfvdm",
        "rounds": 2,
        "k": k,
        "signal": {True: SignalSummary(z=51.74, share=0.2231, signal=True),
                   False: SignalSummary(z=-0.42, share=-0.0131, signal=False)}.get(signal, signal),
        "members": make_members(rows, k),
        "view_rows": rows,
        "view_quality": {number: 0.9 - 0.01 * number for number in rows},
        "frc": {number: make_curve(box, shared=0, resolution=17.0 + number, seed=number) for number in rows}
        if curves
        else {},
        "halves": HalfSets(counts=(60, 66), rule="turns, nearest first") if curves else None,
        "kind_of_average": "CTF-weighted mean",
        "classes": {c + 1: image(direction) for c, direction in enumerate(make_directions(partition, seed=9))},
        "class_members": {c + 1: int(size) for c, size in enumerate(sizes)},
        "class_frc": {},
        "embedding": directions,
        "centre_angstrom": rng.normal(0, 5.0, (n, 2)).astype(np.float32),
        "shift_sd_angstrom": 5.25,
        "quality": np.concatenate([rng.normal(0.6, 0.05, n - n // 20), rng.normal(0.2, 0.05, n // 20)]),
        "parameters": {"-k": str(k), "--rounds": "2"},
        "counts": {"read": n + 3, "skipped": 3},
        "warnings": ["3 particles were skipped"],
        "timings_s": {"search": 7.5, "average": 2.5},
        "files": {"averages.mrcs": "views", "run_classes.mrcs": "classes"},
        "notes": ["A note."],
    }  # fmt: skip
    return ClassavgReportData(**(made | fields))
