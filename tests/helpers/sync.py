"""Graphs whose truth is a formula, and the command itself, for the end-to-end tests of ``sync``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from helpers.align import Ran, angle_difference, run, table


def sync(folder: Path, *words: object, status: int = 0) -> Ran:
    """Run ``cryoalign sync WORDS -o out`` on one thread and hold its exit status."""
    ran = run(folder, "sync", "-q", "-j", 1, *words, "-o", "out")
    assert ran.status == status, ran.lines
    return ran


def angles(folder: Path) -> pd.DataFrame:
    """Return angles.star of the run in ``out``, numbers as numbers."""
    found = table(folder / "out" / "angles.star", "angles")
    for label in found.columns:
        if label not in ("rlnImageName", "cryoalignNode"):
            found[label] = found[label].astype(float)
    return found


def record(folder: Path) -> dict:
    """Return run.json of the run in ``out``."""
    return json.loads((folder / "out" / "run.json").read_text())


def random_pairs(rng: np.random.Generator, n: int, count: int) -> NDArray[np.int64]:
    """Return different pairs (count, 2) of n nodes that join them all, in either direction."""
    chain = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    every = np.stack(np.triu_indices(n, 2), axis=1)
    pairs = np.concatenate([chain, rng.permutation(every)[: count - len(chain)]])
    return np.where(rng.random(len(pairs))[:, None] < 0.5, pairs, pairs[:, ::-1])


def edge_text(pairs: NDArray, angle_deg: ArrayLike, ids: Sequence[object] | None = None, **columns: ArrayLike) -> str:
    """Return edges as CSV; ids are 1, 2, ... if not given."""
    ids = list(range(1, int(pairs.max()) + 2)) if ids is None else list(ids)
    lines = [",".join(["i", "j", "angle_deg", *columns])]
    extra = [np.asarray(values).tolist() for values in columns.values()]
    for row, ((i, j), angle) in enumerate(zip(pairs.tolist(), np.asarray(angle_deg).tolist(), strict=True)):
        lines.append(",".join(map(str, [ids[i], ids[j], repr(angle), *(values[row] for values in extra)])))
    return "\n".join(lines) + "\n"


def true_angles(psi_deg: NDArray, pairs: NDArray) -> NDArray[np.float64]:
    """angle_ij = psi_j - psi_i, wrapped into [-180, 180)."""
    return angle_difference(psi_deg[pairs[:, 1]], psi_deg[pairs[:, 0]])


def apart(found_deg: ArrayLike, true_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the differences of two sets of angles less their circular mean, in degrees."""
    gap = np.deg2rad(np.asarray(found_deg, float) - np.asarray(true_deg, float))
    mean = np.exp(1j * gap).mean()
    return np.rad2deg(np.angle(np.exp(1j * gap) * np.conj(mean / abs(mean))))
