"""Room of faulty images: gradients, loud particles and hot pixels must change neither neighbours, averages nor poses.

The truth is that of ``cryoalign simulate``, which the suite holds against relion_project; the faults are put into its
stack here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import starfile
from numpy.typing import NDArray

from . import adapters, truth
from .measure import ChildFailed
from .results import Room
from .settings import Settings

Fault = Callable[[NDArray, np.random.Generator], NDArray]
NAME, MASK = "faulty.mrcs", ("--mask-diameter", "150")
NOISE_IMAGES = 500


def _planes(box: int, size: float, angles: NDArray) -> NDArray:
    """Return planes that rise from -size to size over the box, each in a direction in radians."""
    y, x = np.mgrid[:box, :box] * (2 / (box - 1)) - 1
    return size * (np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y)


def _gradient(size: float, everywhere: bool) -> Fault:
    def spoil(images: NDArray, rng: np.random.Generator) -> NDArray:
        angles = np.zeros(len(images)) if everywhere else rng.uniform(0, 2 * np.pi, len(images))
        return images + _planes(images.shape[-1], size, angles)

    return spoil


def _loud(factor: float) -> Fault:
    def spoil(images: NDArray, rng: np.random.Generator) -> NDArray:
        images[rng.integers(len(images))] *= factor
        return images

    return spoil


def _hot(value: float) -> Fault:
    def spoil(images: NDArray, rng: np.random.Generator) -> NDArray:
        for row in rng.choice(len(images), 3, replace=False):
            images[row][tuple(rng.integers(images.shape[-1], size=2))] = value
        return images

    return spoil


FAULTS: dict[str, Fault] = {
    **{f"gradient of +-{size} sd, the same in all": _gradient(size, everywhere=True) for size in (2, 5, 50)},
    **{f"gradients of +-{size} sd, any direction": _gradient(size, everywhere=False) for size in (2, 5, 50)},
    **{f"one particle x {factor:g}": _loud(factor) for factor in (30, 1e6)},
    **{f"hot pixels of {value:g}": _hot(value) for value in (1e4, 1e6)},
}


def _write(folder: Path, images: NDArray) -> Path:
    mrcfile.write(folder / NAME, images.astype(np.float32), voxel_size=3, overwrite=True)
    star = folder / "faulty.star"
    star.write_text(re.sub(r"@\S*particles.mrcs", f"@{NAME}", (folder / "particles.star").read_text()))
    return star


def _edges_right(output: Path, classes: NDArray) -> float:
    with np.load(output / "graph.npz") as graph:
        return float((classes[graph["i"]] == classes[graph["j"]]).mean())


def _align(folder: Path, star: Path, output: Path, psi_true: NDArray) -> tuple[float, NDArray]:
    """Return the root mean square error of psi in degrees, and the averages."""
    shutil.rmtree(output, ignore_errors=True)
    adapters.align(star, folder / "references.mrcs", output, extra=(*MASK, "--no-guard"))
    psi = starfile.read(output / "particles.star", always_dict=True)["particles"]["rlnAnglePsi"].to_numpy(float)
    return float(np.sqrt(np.mean(((psi - psi_true + 180) % 360 - 180) ** 2))), mrcfile.read(output / "averages.mrcs")


def _correlation(averages: NDArray, others: NDArray) -> float:
    return min(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(averages, others, strict=True))


def _flagged(folder: Path, *words: object) -> bool:
    """Run a command; return whether it found no signal."""
    try:
        adapters.command(folder, *words)
    except ChildFailed as error:
        if not str(error).startswith("exit 3:"):
            raise
        return True
    return False


def run_faulty(settings: Settings) -> Room:
    """Stacks with gradients, loud particles and hot pixels against the same without, and noise with gradients."""
    room = settings.room("faulty")
    names = ["clean", *FAULTS]
    edges: dict[str, list[float]] = {name: [] for name in names}
    error: dict[str, list[float]] = {name: [] for name in FAULTS}
    likeness: dict[str, list[float]] = {name: [] for name in FAULTS}
    for seed in settings.seeds:
        folder = settings.runs / f"faulty-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        adapters.command(
            folder.parent, "simulate", "-o", folder, "-n", 300, "--n-views", 2, "--ctf", "--snr", 0.1, "--seed", seed
        )
        images = np.asarray(mrcfile.read(folder / "particles.mrcs"), np.float64)
        tables = starfile.read(folder / "truth.star", always_dict=True)
        table = next(table for table in tables.values() if "rlnClassNumber" in table)
        classes, psi = table["rlnClassNumber"].to_numpy(int), table["rlnAnglePsi"].to_numpy(float)
        clean_error, clean_averages = 0.0, images[:0]
        for name in names:
            rng = np.random.default_rng(seed)
            star = _write(folder, images if name == "clean" else FAULTS[name](images.copy(), rng))
            output = folder / "run"
            shutil.rmtree(output, ignore_errors=True)
            adapters.classavg(star, output, extra=(*MASK, "--classes", "6", "-k", "40"))
            edges[name].append(_edges_right(output, classes))
            wrong, averages = _align(folder, star, output, psi)
            if name == "clean":
                clean_error, clean_averages = wrong, averages
                continue
            error[name].append(wrong / clean_error)
            likeness[name].append(_correlation(averages, clean_averages))
        shutil.rmtree(folder)
    seeds = f"worst of {len(settings.seeds)} seeds"
    room.add("clean: edges within a view", min(edges["clean"]), 0.95, ">=", seeds)
    for name in FAULTS:
        room.add(f"{name}: edges within a view", min(edges[name]), 0.95, ">=", seeds)
        room.add(f"{name}: class averages, correlation with clean", min(likeness[name]), 0.995, ">=", seeds)
        room.add(f"{name}: error of psi over clean", max(error[name]), 1.05, "<=", seeds)
    _noise(settings, room)
    return room


def _noise(settings: Settings, room: Room) -> None:
    """Noise with gradients of +-20 sd: never a signal, in any command.

    The reference is of the 70S ribosome: what simulate draws by itself has too little fine detail for the guard to miss
    it in 300 images, with gradients or without.
    """
    runs = 3 if settings.quick else 20
    flags: dict[str, list[bool]] = {"align": [], "classavg": [], "synchronized": []}
    reference = truth.map_set(settings.work, n=500, snr=0.1).references
    folder = settings.runs / "faulty-noise"
    output = folder / "run"
    for seed in range(runs):
        rng = np.random.default_rng(1000 + seed)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        noise = rng.standard_normal((NOISE_IMAGES, 64, 64))
        noise += _planes(64, 20, rng.uniform(0, 2 * np.pi, NOISE_IMAGES))
        mrcfile.write(folder / NAME, noise.astype(np.float32), voxel_size=5)
        for name, command, extra in (
            ("align", "align", ("--reference", reference)),
            ("classavg", "classavg", ("--classes", "2")),
            ("synchronized", "align", ("--strategy", "synchronized")),
        ):
            flags[name].append(_flagged(folder, command, NAME, "-o", output, "--angpix", "5", *extra))
            shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(folder)
    for name, found in flags.items():
        share = sum(found) / runs
        note = f"{runs} stacks of {NOISE_IMAGES} images"
        room.add(f"noise with gradients of +-20 sd, {name}: share flagged", share, 1.0, ">=", note)
