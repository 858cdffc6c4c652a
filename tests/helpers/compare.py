"""Pairs of images whose truth is a formula, and the command itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.align import Ran, run, table, write_mrcs
from helpers.blobs import Blobs, degrees_apart, random_blobs

BOX, PIXEL = 48, 2.0
PSI, DX, DY = np.array([40.0, -133.0, 170.0]), np.array([2.0, -2.5, 1.0]), np.array([1.0, 1.5, -2.5])


def particle(seed: int = 0) -> Blobs:
    """Return a particle well inside the mask."""
    return random_blobs(np.random.default_rng(seed), 0.2 * BOX, width=(1.3, 2.5))


def smaller(blobs: Blobs, scale: float) -> Blobs:
    """Return the same particle, smaller by a scale."""
    return dataclasses.replace(blobs, x=blobs.x / scale, y=blobs.y / scale, width=blobs.width / scale)


def copies(blobs: Blobs, scale: float = 1.0, mirror: bool = False) -> np.ndarray:
    """Return three turned and shifted copies; magnified by the scale the shifts are DX, DY pixels."""
    return smaller(blobs, scale).images(BOX, PSI, DX / scale, DY / scale, mirror)


def write(folder: Path, name: str, images: np.ndarray, pixel: float = PIXEL) -> Path:
    """Write a stack."""
    return write_mrcs(folder / name, np.asarray(images, np.float32), pixel)


def compare(folder: Path, *words: object, status: int = 0) -> Ran:
    """Run ``cryoalign compare WORDS -o out`` on one thread and hold its exit status."""
    ran = run(folder, "compare", "-q", "-j", 1, *words, "-o", "out")
    assert ran.status == status, ran.lines
    return ran


def rows(folder: Path, metric: str | None = None) -> pd.DataFrame:
    """Return compare.star of the run in ``out``, numbers as numbers, of one measure or all."""
    found = table(folder / "out" / "compare.star", "compare")
    for label in found.columns:
        if label not in ("cryoalignReferenceName", "rlnImageName", "cryoalignMetric"):
            found[label] = found[label].astype(float)
    return found if metric is None else found[found.cryoalignMetric == metric].reset_index(drop=True)


def record(folder: Path) -> dict:
    """Return run.json of the run in ``out``."""
    return json.loads((folder / "out" / "run.json").read_text())


def off(found: pd.DataFrame, psi=PSI, dx=DX, dy=DY) -> tuple[np.ndarray, np.ndarray]:
    """Return how far angles (degrees) and shifts (pixels) are from the truth, both >= 0."""
    turn = np.abs(degrees_apart(found.rlnAnglePsi.to_numpy(), psi))
    return turn, np.hypot(found.cryoalignShiftX.to_numpy() - dx, found.cryoalignShiftY.to_numpy() - dy)
