"""The only place that knows how cryoalign is called: its command line, and the few core functions that are timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray

from . import files, measure


def program() -> str:
    """Return the cryoalign program of this Python environment."""
    return str(Path(sys.executable).parent / "cryoalign")


def align(
    particles: Path,
    references: Path,
    output: Path,
    *,
    threads: int = 1,
    write_stack: bool = False,
    extra: Sequence[str] = (),
    watch_memory: bool = False,
    cwd: Path | None = None,
) -> measure.Cost:
    """Run ``cryoalign align``; the environment is left as it is, so that -j alone must hold the threads.

    It runs in ``cwd``, else in the folder of the particles.
    """
    command: list[str | Path] = [program(), "align", particles, "--reference", references, "-o", output]
    command += ["-j", str(threads), "--overwrite", "-q"]
    command += ["--write-stack" if write_stack else "--no-write-stack", *extra]
    return measure.run(command, cwd=cwd or particles.parent, watch_memory=watch_memory)


def average(
    particles: Path,
    output: Path,
    *,
    threads: int = 1,
    extra: Sequence[str] = (),
    watch_memory: bool = False,
) -> measure.Cost:
    """Run ``cryoalign average`` in the folder of the particles."""
    command: list[str | Path] = [program(), "average", particles, "-o", output, "-j", str(threads)]
    return measure.run([*command, "--overwrite", "-q", *extra], cwd=particles.parent, watch_memory=watch_memory)


def rid_distance(
    particles: Path, output: Path, *, threads: int = 1, extra: Sequence[str] = (), watch_memory: bool = False
) -> measure.Cost:
    """Run ``cryoalign rid-distance`` in the folder of the particles."""
    command: list[str | Path] = [program(), "rid-distance", particles, "-o", output, "-j", str(threads)]
    return measure.run([*command, "--overwrite", "-q", *extra], cwd=particles.parent, watch_memory=watch_memory)


def classavg(
    particles: Path, output: Path, *, threads: int = 1, extra: Sequence[str] = (), watch_memory: bool = False
) -> measure.Cost:
    """Run ``cryoalign classavg`` in the folder of the particles."""
    command: list[str | Path] = [program(), "classavg", particles, "-o", output, "-j", str(threads)]
    return measure.run([*command, "--overwrite", "-q", *extra], cwd=particles.parent, watch_memory=watch_memory)


def command(folder: Path, *words: object, threads: int = 1, watch_memory: bool = False) -> measure.Cost:
    """Run any other command in a folder."""
    line = [program(), *map(str, words), "-j", str(threads), "-q"]
    return measure.run(line, cwd=folder, watch_memory=watch_memory)


def read_members(output: Path) -> dict[str, NDArray]:
    """Read the views that ``classavg`` wrote, in the order of the images in the middle of them.

    rows (m,), 0-based, of the images in the middle; index (m, k), -1 where a view has fewer members; mirror, psi
    (degrees), dx, dy (A), weight, distance (m, k); view (m,): position in averages.mrcs.
    """
    views = starfile.read(output / "averages.star", always_dict=True)
    views = next(table for table in views.values() if "cryoalignSeedImage" in table)
    table = starfile.read(output / "members.star", always_dict=True)["members"]
    rows = np.array([int(name.split("@")[0]) - 1 for name in views["cryoalignSeedImage"]])
    view = np.searchsorted(views["rlnClassNumber"].to_numpy(int), table["rlnClassNumber"].to_numpy(int))
    rank = np.arange(len(table)) - np.searchsorted(view, view)
    shape = (len(rows), int(rank.max()) + 1)
    columns = {
        "index": np.array([int(name.split("@")[0]) - 1 for name in table["rlnImageName"]]),
        "mirror": table["rlnIsFlip"].to_numpy(int) > 0,
        "psi": table["rlnAnglePsi"].to_numpy(float),
        "dx": table["rlnOriginXAngst"].to_numpy(float),
        "dy": table["rlnOriginYAngst"].to_numpy(float),
        "weight": table["cryoalignWeight"].to_numpy(float),
        "distance": table["cryoalignDistance"].to_numpy(float),
    }
    order = np.argsort(rows)
    found = {"rows": rows[order], "view": order}
    for name, values in columns.items():
        full = np.full(shape, -1 if name == "index" else 0, values.dtype)
        full[view, rank] = values
        found[name] = full[order]
    return found


def average_members(particles: Path, members: dict[str, NDArray], output: Path, pixel_size_angstrom: float) -> None:
    """Average views of given members with ``cryoalign average --members``: index, mirror, psi, dx, dy (px), (m, k)."""
    output.parent.mkdir(parents=True, exist_ok=True)
    path = output.with_name(output.name + "_members.star")
    view = np.repeat(np.arange(len(members["index"])), members["index"].shape[1])
    flat = {name: members[name].ravel() for name in ("index", "mirror", "psi", "dx", "dy")}
    names = starfile.read(particles, always_dict=True)["particles"]["rlnImageName"].to_numpy()
    table = {
        "rlnClassNumber": view + 1,
        "rlnImageName": names[flat["index"]],
        "rlnAnglePsi": flat["psi"],
        "rlnOriginXAngst": flat["dx"] * pixel_size_angstrom,
        "rlnOriginYAngst": flat["dy"] * pixel_size_angstrom,
        "rlnIsFlip": flat["mirror"].astype(int),
    }
    starfile.write({"members": pd.DataFrame(table)}, path, overwrite=True)
    average(particles, output, extra=("--members", str(path)))


def read_graph(output: Path) -> dict[str, NDArray]:
    """Read graph.npz of ``rid-distance`` or ``classavg``: i, j (0-based), angle_deg, mirror, shift_px, distance, n."""
    with np.load(output / "graph.npz") as stored:
        return {name: stored[name] for name in stored.files}


def aligned_poses(output: Path) -> dict[str, NDArray]:
    """Read the poses that ``align`` wrote: psi (degrees), dx, dy (pixels), reference (0-based)."""
    return files.read_poses(output / "particles.star")


def stated_errors(output: Path) -> dict[str, NDArray]:
    """Read the standard errors that ``align`` states: psi (degrees), shift (pixels, one axis); and mirror."""
    blocks = starfile.read(output / "particles.star", always_dict=True)
    table, optics = blocks["particles"], blocks["optics"]
    pixel = dict(zip(optics["rlnOpticsGroup"], optics["rlnImagePixelSize"], strict=True))
    size = np.array([float(pixel[g]) for g in table["rlnOpticsGroup"]])
    mirror = table["rlnIsFlip"].to_numpy(int) > 0 if "rlnIsFlip" in table else np.zeros(len(table), bool)
    return {
        "psi": table["cryoalignPsiError"].to_numpy(float),
        "shift": table["cryoalignShiftError"].to_numpy(float) / size,
        "mirror": mirror,
    }


@dataclass(frozen=True)
class KernelCase:
    """One call of the coarse kernel: what it does and how many pairs and flop that is."""

    call: Callable[[], object]
    pairs: int
    flop_per_pair: float
    settings: str


def kernel_case(box: int = 128, n_rings: int = 32, n_references: int = 64) -> KernelCase:
    """Prepare the coarse kernel on a tile of 64 images: 32 rings, 7 x 7 shifts.

    flop = S (8 sum_q n_q + 4 (Q / 2 + 1) Q) a pair: S shifts, n_q rings that carry harmonic q, Q angles.
    """
    from cryoalign.core.search.bank import build_bank
    from cryoalign.core.search.coarse import TILE, CoarseWorkspace, plan_coarse
    from cryoalign.core.search.polar import plan_rings

    rng = np.random.default_rng(0)
    layout = plan_rings(box, n_rings)
    line = np.arange(-3, 4) * box / (2.25 * n_rings)
    shifts = np.stack([v.ravel() for v in np.meshgrid(line, line)], axis=1)
    plan = plan_coarse(build_bank(rng.standard_normal((n_references, box, box)), layout), n_rings, shifts, 0.4 * box)
    workspace = CoarseWorkspace(plan)
    polar = rng.standard_normal((TILE, 2, layout.n_points), dtype=np.float32)
    rings_of = n_rings - plan.first_ring_of
    n_angles = plan.n_angles
    flop = len(shifts) * (8.0 * rings_of.sum() + 4.0 * (n_angles / 2 + 1) * n_angles)
    note = f"{len(rings_of)} harmonics, {n_angles} angles, blocks {TILE} x {plan.chunk}"
    return KernelCase(lambda: workspace.search(polar), TILE * n_references, flop, note)


def searcher(
    references: NDArray[np.float32], noise_power: NDArray, max_shift_px: float
) -> Callable[[NDArray[np.float32]], object]:
    """Prepare the search with transforms; the result takes images (n, L, L) in tiles of 64."""
    from cryoalign.core.search.search import Searcher, SearchSettings, plan_search

    box = references.shape[-1]
    settings = SearchSettings(max_shift_px=max_shift_px, radius_px=0.4 * box)
    plan = plan_search(references, np.atleast_2d(noise_power)[:, : box // 2 + 1], settings)
    worker = Searcher(plan)

    def call(images: NDArray[np.float32]) -> list:
        return [worker.search(images[i : i + 64]) for i in range(0, len(images), 64)]

    return call


def classifiers(
    images: NDArray[np.float32], k: int = 50
) -> tuple[Callable[[], dict[str, float]], Callable[[], dict[str, float]]]:
    """Return the neighbour search of `rid-distance`, and the classification, one round, graph included; no shifts.

    Images (n, L, L) have white noise of variance 1; they are cropped to 32 px here. Both calls return CPU seconds by
    stage.
    """
    from cryoalign.classification.pipeline import classify, find_neighbours
    from cryoalign.classification.settings import ClassificationSettings, SearchSettings
    from cryoalign.core.white_crop import white_crop

    small = white_crop(images, 32, None)
    search = SearchSettings(k=k, shift_sd_px=0.0)
    settings = ClassificationSettings(search=search, k=k, rounds=1)
    return lambda: find_neighbours(small, search)[2].timings, lambda: classify(small, settings).timings


def resampler() -> Callable[[NDArray[np.float32], dict[str, NDArray]], NDArray]:
    """Return the default-interpolation resampling: images (n, L, L) and poses to images."""
    from cryoalign.core.poses import Poses
    from cryoalign.core.resample.resample import resample

    return lambda images, pose: resample(images, Poses(pose["psi"], pose["dx"], pose["dy"]))
