"""Made-up results of `classavg`, of any size: a lopsided pile of balls seen from all sides."""

from __future__ import annotations

import numpy as np

from cryoalign.classification.classification import Classification, SignalTest
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.poses import Poses
from cryoalign.report.classavg_data import ClassavgReportData
from cryoalign.report.classes import RELION_CLASSES, VIEWS, HalfSets
from helpers.quality_samples import make_classes, make_curve


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


def make_members(views, k=20, *, seed=0, **fields) -> dict:
    """Return the memberships of views, k each, as fields of the data."""
    rng = np.random.default_rng(seed)
    m = len(views) * k
    made = {
        "view": np.repeat(list(views), k),
        "distance": rng.normal(8.0, 0.6, m).astype(np.float32),
        "poses": Poses(rng.uniform(-180, 180, m), np.zeros(m), np.zeros(m), rng.random(m) < 0.5),
        "viewing_angle_deg": rng.rayleigh(5.0, m).astype(np.float32),
    }
    return made | fields


def make_classification(n, k, directions, *, signal=True, seed=0, **fields) -> Classification:
    """Return a classification of n particles whose lists say nothing."""
    rng = np.random.default_rng(seed)
    found = {True: SignalTest(51.74, 0.2231, True), False: SignalTest(-0.42, -0.0131, False)}
    nothing = np.zeros((n, k), np.float32)
    lists = NeighbourLists(nothing.astype(np.int32), nothing, nothing, nothing > 0, np.zeros((n, k, 2), np.float32))
    made = {
        "neighbours": lists, "graph": lists, "distance": nothing, "weight": nothing, "viewing_angle_deg": nothing,
        "centre_px": rng.normal(0, 1.25, (n, 2)).astype(np.float32), "embedding": directions,
        "quality": np.concatenate([rng.normal(0.6, 0.05, n - n // 20), rng.normal(0.2, 0.05, n // 20)]),
        "shift_sd_px": 1.3125, "signal": found.get(signal, signal), "rounds": 2, "timings": {},
    }  # fmt: skip
    return Classification(**(made | fields))


def make_classavg(
    n=600, m=3, box=32, *, k=20, partition=4, curves=True, signal=True, seed=0, views=None, view_members=None,
    class_members=None, quality=None, kind="CTF-weighted mean", classification=None, **fields,
) -> ClassavgReportData:  # fmt: skip
    """Return data of n particles in m views, best first, and of a partition into some classes."""
    rng = np.random.default_rng(seed)
    directions = make_directions(n, seed=seed)
    seeds = rng.permutation(n)[:m]
    numbers = range(1, m + 1)

    def image(direction):
        return draw_view(direction, box) + 0.08 * rng.standard_normal((box, box)).astype(np.float32)

    if class_members is None:
        class_members = dict(enumerate(rng.multinomial(n, np.full(partition, 1 / partition)).tolist(), start=1))
    if views is None:
        views = {number: image(directions[row]) for number, row in zip(numbers, seeds, strict=True)}
    if curves is True:
        curves = {number: make_curve(box, shared=0, resolution=17.0 + number, seed=number) for number in numbers}
    halves = HalfSets(counts=(60, 66), rule="turns, nearest first") if curves else None
    classes = {c: image(d) for c, d in zip(class_members, make_directions(len(class_members), seed=9), strict=True)}
    members = make_members(numbers, k)
    made = members | {
        "classification": make_classification(n, k, directions, signal=signal, seed=seed, **(classification or {})),
        "prepared_pixel_angstrom": 4.0,
        "views": make_classes(views, view_members or dict.fromkeys(numbers, k), curves or {},
                              quality or {number: 0.9 - 0.01 * number for number in numbers}, kind=kind, halves=halves,
                              naming=VIEWS),
        "seeds": seeds,
        "spread_deg": np.sqrt(np.mean(members["viewing_angle_deg"].reshape(m, k).astype(float) ** 2, axis=1)),
        "classes": make_classes(classes, class_members, naming=RELION_CLASSES, kind=kind),
        "algorithm": "mfvdm",
        "mirrors": True,
        "distance_unit": "no unit",
    }  # fmt: skip
    return ClassavgReportData(**(made | fields))
