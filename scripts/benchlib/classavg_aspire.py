"""ASPIRE's class averaging as a peer: run as a process of its own; answers are kept beside the set, times never.

Given its best: where there is a CTF its source flips the phases, where noise is coloured it whitens (its anisotropic
estimate), and of its averagers the one that does better on the set: rotations alone where there are no shifts, the
default search of 2 px where there are. Background normalisation changed nothing (5.30 against 5.23 degrees).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import aspire_peer, measure
from .classavg_judge import Lists, Views, read_turns
from .classavg_truth import Recipe
from .truth import TruthSet

ROWS = 100  # classes that are aligned and averaged where only quality is asked


@dataclass(frozen=True)
class Peer:
    """What ASPIRE found: lists of every row; lists with angles of the first rows and their averages, as the default
    source makes them and by the averager that does best; CPU seconds by stage.
    """

    lists: Lists
    aligned: Lists
    averages: NDArray[np.float32]
    best_averages: NDArray[np.float32]
    stages: dict[str, float]
    peak_mb: float


def prepare_steps(recipe: Recipe) -> list[str]:
    """Return ASPIRE's own preparation for a kind of data."""
    return ["phase_flip"] * recipe.ctf + ["whiten"] * recipe.coloured


def classified(work: Path, data: TruthSet, recipe: Recipe, k: int = 50) -> Peer:
    """Classify every particle, and align and average the first 200 classes of k."""
    path = data.folder / "aspire_classes.npz"
    if not path.exists():
        _run(work, data, _classes_task(recipe, k), path)
    with np.load(path) as stored:
        found = {name: stored[name] for name in stored.files}
    cost = json.loads(path.with_suffix(".json").read_text())
    index, mirror = _without_self(found["index"], found["mirror"])
    n = len(found["averages"])
    lists = Lists(np.arange(len(index)), index, mirror)
    # The averager puts every class's first member first and turns the others onto it.
    first = Lists(np.arange(n), found["index"][:n], found["mirror"][:n])
    turned, _ = read_turns(first, np.rad2deg(found["rotation"]), Views(data.truth))
    self_free = first.index != first.rows[:, None]
    keep = np.argsort(~self_free, axis=1, kind="stable")[:, :k]
    take = lambda values: np.take_along_axis(values, keep, axis=1)
    aligned = Lists(first.rows, take(turned.index), take(turned.mirror), take(turned.psi))
    # Its signs of the CTF are the opposite of RELION's: phases are flipped to the other contrast.
    sign = -1.0 if recipe.ctf else 1.0
    averages = sign * _default_averages(work, data, recipe)
    return Peer(lists, aligned, averages, sign * found["averages"], cost["stages"], cost["peak_mb"])


def _default_averages(work: Path, data: TruthSet, recipe: Recipe) -> NDArray[np.float32]:
    """Average the same classes as the default source does, with its search of shifts."""
    classes = data.folder / "aspire_classes.npz"
    path = data.folder / "aspire_averages.npz"
    if recipe.shift_sd > 0:
        path = classes
    elif not path.exists():
        task = {"mode": "average", "classes": str(classes.resolve()), "rows": min(ROWS, recipe.n), "averager": "BFT"}
        _run(work, data, {**task, "prepare": prepare_steps(recipe)}, path)
    with np.load(path) as stored:
        return stored["averages"]


def classes_cost(work: Path, data: TruthSet, recipe: Recipe, k: int = 50) -> dict:
    """Classify every particle now, beside what it is compared with; return the cost (cpu, stages, peak_mb)."""
    return _run(work, data, _classes_task(recipe, k), data.folder / "aspire_timed.npz")


def whole_cost(work: Path, data: TruthSet, recipe: Recipe, k: int) -> dict:
    """Run the default source to the end now, every particle a class of k; return the cost (cpu, stages, peak_mb)."""
    task = {"mode": "default", "neighbours": k, "prepare": prepare_steps(recipe)}
    return _run(work, data, task, data.folder / "aspire_timed.npz")


def _classes_task(recipe: Recipe, k: int) -> dict:
    averager = "BFT" if recipe.shift_sd > 0 else "BFT0"
    task = {"mode": "classify", "neighbours": k + 1, "rows": min(ROWS, recipe.n), "averager": averager}
    return {**task, "prepare": prepare_steps(recipe)}


def _run(work: Path, data: TruthSet, task: dict, path: Path) -> dict:
    driver = Path(__file__).with_name("classavg_aspire_driver.py")
    home = (work / "aspire").resolve()
    home.mkdir(parents=True, exist_ok=True)
    draft = path.with_name("draft-" + path.name).resolve()
    task = {**task, "star": str(data.particles.resolve()), "out": str(draft)}
    command = [aspire_peer.environment(work).absolute(), "-P", driver.resolve(), json.dumps(task)]
    env = {**measure.ONE_THREAD, "ASPIREDIR": str(home)}
    cost = measure.run(command, cwd=home, env=env, watch_memory=True)
    answer = json.loads(cost.output[cost.output.rindex('{"stages"') :].splitlines()[0])
    answer |= {"cpu": cost.cpu, "wall": cost.wall, "peak_mb": cost.peak_mb, "task": task}
    path.with_suffix(".json").write_text(json.dumps(answer, indent=1) + "\n")
    draft.rename(path)
    return answer


def _without_self(index: NDArray, mirror: NDArray) -> tuple[NDArray, NDArray]:
    """Drop the image itself from each list, or the last entry where it is not in its own list."""
    own = index == np.arange(len(index))[:, None]
    keep = np.argsort(own, axis=1, kind="stable")[:, :-1]
    keep.sort(axis=1)
    return np.take_along_axis(index, keep, axis=1), np.take_along_axis(mirror, keep, axis=1)
