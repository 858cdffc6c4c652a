"""Room of neighbours of clean projections: whose neighbours are seen from nearest, by several measures.

The source's experiment (Shi, Singer and Verbeke, arXiv 2503.13756): rank the other images of a clean set by a distance
that takes the best rotation, and add up the true angles between the lines of sight of each image and its K nearest.
``cryoalign rid-distance --metric NAME --no-shifts --no-mirror`` ranks them, as a user would have it. Nothing was chosen
on the seeds of this room.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import starfile
from numpy.typing import NDArray

from . import adapters, classavg_truth, files, truth
from .results import Room
from .settings import Settings
from .toy_molecules import DEFORMED, SHAPES, Projections, directions, rigid

BOX, PIXEL, IMAGES, K = 48, 4.0, 200, 5
RANKED = "rfsw-ncc"
"""What is held against ``euclidean``."""
MEASURES = ("euclidean", "sw", RANKED)
SLOW, FEW = "wavelet-emd", 60
"""What takes 17 ms a pair sees the first images of the first seed only; ``euclidean`` is repeated on these."""
TOY = "toy projections"

Make = Callable[[Path, int, int], Projections]
"""Set of (scratch folder, seed, number of images)."""


@dataclass(frozen=True)
class Ranking:
    """True angles in degrees of each image to the others, nearest by the measure first, (n, k), and CPU seconds."""

    angle_deg: NDArray[np.float64]
    cpu: float


def sets() -> tuple[dict[str, Make], dict[str, Make]]:
    """Return the sets of rigid molecules, and those that are only quoted: deformed ones, and others' projections."""
    solid: dict[str, Make] = {shape: partial(_formula, partial(rigid, shape)) for shape in SHAPES}
    solid["simulate's phantom"] = partial(_simulated, None)
    quoted: dict[str, Make] = {name: partial(_formula, make) for name, make in DEFORMED.items()}
    if truth.data_folder().is_dir():
        solid |= {"70S": partial(_simulated, "ribosome"), "80S": partial(_simulated, "80S")}
        quoted[TOY] = _toy
    return solid, quoted


def _formula(make: Callable[[int, int, int], Projections], folder: Path, seed: int, n: int) -> Projections:
    return make(seed, n, BOX)


def _simulated(molecule: str | None, folder: Path, seed: int, n: int) -> Projections:
    """Project a map, or the built-in phantom, by ``cryoalign simulate``."""
    words: list[object] = ["simulate", "-o", "simulated", "-n", n, "--noise", "none", "--shift-sd", 0, "--seed", seed]
    if molecule is not None:
        pixel = classavg_truth.PIXEL[molecule]
        files.write_map(folder / "map.mrc", classavg_truth.density(molecule, 64), pixel)
        words += ["--map", "map.mrc", "--box", BOX, "--pixel-size", pixel * 64 / BOX]
    else:
        words += ["--box", BOX, "--pixel-size", PIXEL]
    adapters.command(folder, *words, "--overwrite")
    table = starfile.read(folder / "simulated" / "truth.star", always_dict=True)["particles"]
    view = directions(table["rlnAngleRot"].to_numpy(float), table["rlnAngleTilt"].to_numpy(float))
    return Projections(files.read_stack(folder / "simulated" / "particles.mrcs"), view)


def _toy(folder: Path, seed: int, n: int) -> Projections:
    """Draw from 1000 clean projections of 30 px with known rotations, whose third rows are lines of sight."""
    source = truth.data_folder() / "cryodrgn"
    rows = np.sort(np.random.default_rng(seed).permutation(1000)[:n])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its header has no MAP id
        images = files.read_stack(source / "toy_projections.mrc")[rows]
    with np.load(source / "toy_rot_trans.npz") as known:
        return Projections(images, known["rotation"][rows, 2].astype(np.float64))


def angles_to(view: NDArray[np.float64], index: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the angles between the lines of sight (n, 3) of images and of their neighbours ``index`` (n, k)."""
    return np.degrees(np.arccos(np.clip((view[:, None] * view[index]).sum(axis=-1), -1, 1)))


def nearest_views(view: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Return the angles to the k truly nearest of each image, in order."""
    everything = angles_to(view, np.tile(np.arange(len(view)), (len(view), 1)))
    np.fill_diagonal(everything, np.inf)
    return np.sort(everything, axis=1)[:, :k]


def rank(folder: Path, data: Projections, name: str, k: int) -> Ranking:
    """Find the k nearest of each image by the command, without mirrors: an opposite view is as far as can be."""
    n, box = data.images.shape[:2]
    if not (folder / "images.star").exists():
        files.write_stack(folder / "images.mrcs", data.images, PIXEL)
        names = files.image_names(np.arange(n), "images.mrcs")
        files.write_star(folder / "images.star", {"rlnImageName": names}, box=box, pixel_size_angstrom=PIXEL)
    options = ("--metric", name, "-k", str(k), "--no-shifts", "--no-mirror")
    cost = adapters.rid_distance(folder / "images.star", folder / name, extra=options)
    with np.load(folder / name / "graph.npz") as graph:
        return Ranking(angles_to(data.view, graph["j"].reshape(n, k)), cost.cpu)


def rankings(
    scratch: Path, make: Make, seed: int, n: int, names: tuple[str, ...], k: int
) -> tuple[Projections, dict[str, Ranking]]:
    """Make a set and rank it by each measure; what was written is removed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    data = make(scratch, seed, n)
    found = {name: rank(scratch, data, name, k) for name in names}
    shutil.rmtree(scratch)
    return data, found


def has_wavelets() -> bool:
    """Whether PyWavelets is here."""
    try:
        import pywt  # noqa: F401
    except ImportError:
        return False
    return True


def run_toy_neighbours(settings: Settings) -> Room:
    """True angles to the 5 nearest of 200 clean projections, rfsw-ncc and others over euclidean, rigid and deformed."""
    room = settings.room("toy_neighbours")
    solid, quoted = sets()
    count = FEW if settings.quick else IMAGES
    ratios: dict[str, list[float]] = {}
    for name, make in (solid | quoted).items():
        sums: dict[str, list[NDArray]] = {measure: [] for measure in MEASURES}
        for seed in settings.seeds:
            _, found = rankings(settings.runs / "toy", make, seed, count, MEASURES, K)
            for measure, ranking in found.items():
                sums[measure].append(ranking.angle_deg.mean(axis=1))
        _add_set(room, name, sums)
        if name not in solid:
            continue
        for measure in MEASURES[1:]:
            pairs = zip(sums[measure], sums["euclidean"], strict=True)
            ratios.setdefault(measure, []).extend(ours.mean() / theirs.mean() for ours, theirs in pairs)
        if has_wavelets() and not settings.quick:
            names = ("euclidean", SLOW)
            _, found = rankings(settings.runs / "toy", make, settings.seeds[0], FEW, names, K)
            ours, theirs = (found[measure].angle_deg.mean() for measure in (SLOW, "euclidean"))
            ratios.setdefault(SLOW, []).append(float(ours / theirs))
    for measure, values in ratios.items():
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        shown = f"{FEW}, first seed" if measure == SLOW else f"{count}, {len(settings.seeds)} seeds"
        note = f"+- {error:.3f} over {len(values)} sets of {len(solid)} molecules; K = {K} of {shown}"
        bar = 1.0 if measure == RANKED else None
        room.add(f"rigid molecules: angles of {measure} over euclidean, mean", float(np.mean(values)), bar, note=note)
    if not has_wavelets():
        room.skip(SLOW, "PyWavelets is not installed")
    return room


def _add_set(room: Room, name: str, sums: dict[str, list[NDArray]]) -> None:
    """Quote one molecule: mean angles, and paired differences over images."""
    plain = np.concatenate(sums["euclidean"])
    gain = np.concatenate(sums[RANKED]) - plain
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    others = ", ".join(f"{m} {np.concatenate(v).mean():.1f}" for m, v in sums.items() if m != RANKED)
    note = f"{others}; {RANKED} - euclidean {gain.mean():+.1f} +- {error:.1f}, paired"
    room.add(f"{name}: mean angle to the {K} nearest by {RANKED}, deg", np.concatenate(sums[RANKED]).mean(), note=note)
