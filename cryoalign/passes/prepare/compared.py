"""How prepared particles are compared: what the methods are told, and what distances are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.settings import Features, Score, SearchSettings
from cryoalign.core.errors import InputError
from cryoalign.io.particles import ParticleSet
from cryoalign.passes.prepare.prepared import Prepared
from cryoalign.passes.prepare.settings import DEFAULT_K, ComparisonSettings
from cryoalign.runs.rundir import RunDirectory

UNITS: dict[Score, str] = {"llr": "nats", "euclidean": "noise standard deviations"}
"""What the distance of each score is counted in."""


def metric_in_words(p: ComparisonSettings) -> str:
    """Return what the distance is, for the graph."""
    return f"{p.score} on {p.metric} ({UNITS[p.score]})"


def search_settings(p: ComparisonSettings, prepared: Prepared, k: int, threads: int) -> SearchSettings:
    """Return what the search is told."""
    plan = prepared.plan
    return SearchSettings(
        k=k, score=p.score, features=cast(Features, p.metric), mirror=p.mirror, candidates=p.candidates,
        threads=threads, shift_sd_px=p.shift_sd_prepared(plan.raw_box, plan.box), radius_px=plan.radius_px,
    )  # fmt: skip


def neighbour_count(p: ComparisonSettings, usable: int, run: RunDirectory, particles: ParticleSet) -> int:
    """Return k: as asked for, else 50, or what there is.

    Raises
    ------
    InputError
        If more neighbours were asked for than there are other particles.
    """
    if p.k is not None and p.k >= usable:
        raise InputError(
            f"-k {p.k} neighbours need at least {p.k + 1} usable particles", value=usable,
            path=particles.path, hint=f"give -k {usable - 1} or less",
        )  # fmt: skip
    k = p.k or min(DEFAULT_K, usable - 1)
    if k < DEFAULT_K and p.k is None:
        run.warn(f"{usable} particles have only {k} neighbours each, not {DEFAULT_K}")
    return k


def saying(run: RunDirectory, what: str) -> Callable[[str], None]:
    """Return a function that logs the name of each stage of a method when it begins."""
    return lambda stage: run.log.info("%s: %s", what, stage)


def list_distances(lists: NeighbourLists, score: Score, best_attainable: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the distance of each entry of neighbour lists (n, k) from scores; inf where there is no neighbour.

    Parameters
    ----------
    lists
        With their scores.
    score
        What a score is.
    best_attainable
        E of each image, (n,).
    """
    if score == "euclidean":
        distance = np.sqrt(np.maximum(-2.0 * lists.score.astype(np.float64), 0.0))
    else:
        distance = np.maximum(np.asarray(best_attainable, np.float64)[:, None] - lists.score, 0.0)
    return np.where(lists.index >= 0, distance, np.inf).astype(np.float32)
