"""Room of halves: what ``align`` says of resolution, on noise alone and on particles whose clean projection is known.

Noise: aligned plainly, both halves follow the one reference and their FRC is high (the trap); with ``--halves`` only
rings up to the shared one may show it. Particles: relion_project makes views of the 70S ribosome with CTF; the average
is laid onto its clean projection by maximum likelihood, and the ring correlation of the two is judged here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import starfile
from numpy.typing import NDArray

from . import adapters, bound, files, noise, phantom, relion, truth
from .results import Room
from .settings import Settings

BOX, PIXEL, MASK_PX = 64, 5.0, 51.2
CLASSES = 20
SNRS = (0.1, 0.05, 0.02)
THRESHOLD = 0.143
NOTHING_ANGSTROM = 999.0


@dataclass(frozen=True)
class ClassCurves:
    """FRC of one class by ring, its noise curve, whether each ring is independent, and the resolution given (A)."""

    frc: NDArray[np.float64]
    curve: NDArray[np.float64]
    independent: NDArray[np.bool_]
    resolution: float


def read_curves(output: Path) -> dict[int, ClassCurves]:
    """Read frc.star and averages.star of a run; keys are class numbers from 0."""
    table = starfile.read(output / "averages.star", always_dict=True)["averages"]
    given = dict(zip(table["rlnClassNumber"].astype(int), table["rlnEstimatedResolution"].astype(float), strict=True))
    found = {}
    for name, block in starfile.read(output / "frc.star", always_dict=True).items():
        number = int(name.removeprefix("class_"))
        frc, curve = (block[c].to_numpy(float) for c in ("cryoalignFrc", "cryoalignNoiseCurve"))
        kind = block["cryoalignFrcKind"].to_numpy(str) == "independent"
        found[number - 1] = ClassCurves(frc, curve, kind, given[number])
    return found


def run_halves(settings: Settings) -> Room:
    """Halves refined apart: silent on noise, and right about particles."""
    room = settings.room("halves")
    for label, coloured in (("white noise", False), ("coloured noise, CTF", True)):
        _noise(settings, room, label, coloured)
    _particles(settings, room)
    return room


def _noise(settings: Settings, room: Room, label: str, coloured: bool) -> None:
    """Align noise alone to one reference, with halves and without."""
    runs, n = 20 if settings.quick else 100, 200
    reference = files.read_stack(truth.map_set(settings.work, n=300, snr=0.1).references)
    spectrum = noise.micrograph_spectrum(truth.data_folder(), BOX, PIXEL) if coloured else None
    folder = settings.runs / "halves"
    apart, plain = [], []
    for run in range(runs):
        rng = np.random.default_rng([int(coloured), run])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        files.write_stack(folder / "particles.mrcs", noise.draw(rng, n, BOX, spectrum), PIXEL)
        files.write_stack(folder / "reference.mrcs", reference, PIXEL)
        columns = {"rlnImageName": files.image_names(range(n), "particles.mrcs")}
        if coloured:
            columns |= truth.ctf_columns(draw_defocus(rng, n))
        files.write_star(folder / "particles.star", columns, box=BOX, pixel_size_angstrom=PIXEL)
        for kept, extra in ((apart, ("--halves",)), (plain, ())):
            options = ("--no-guard", "--allow-no-signal", *extra)
            adapters.align(folder / "particles.star", folder / "reference.mrcs", folder / "out", extra=options)
            kept.append(read_curves(folder / "out")[0])
    under = [bool((c.frc <= c.curve)[c.independent].all()) for c in apart]
    rings = float(np.mean([c.independent.sum() for c in apart]))
    note = f"{runs} runs of {n} images; {rings:.0f} independent rings"
    room.add(f"{label}: every independent ring under the noise curve, share of runs", np.mean(under), 0.95, ">=", note)
    silent = np.mean([c.resolution >= NOTHING_ANGSTROM for c in apart])
    room.add(f"{label}: no resolution with --halves, share of runs", silent, 0.95, ">=")
    trap = np.array([c.frc[3:11].mean() for c in plain])
    note = f"mean FRC of rings 3-10 is {trap.mean():.3f}; it exceeds its noise curve there in "
    note += f"{np.mean([(c.frc > c.curve)[3:11].any() for c in plain]):.2f} of the runs"
    exceeds = np.mean(trap > THRESHOLD)
    room.add(f"{label}: common-reference FRC exceeds 0.143, share of runs", exceeds, 0.95, ">=", note)
    claimed = [float(np.argmax(np.append(c.frc[3:] < THRESHOLD, True))) + 3 for c in plain]
    believed = BOX * PIXEL / np.median(claimed)
    room.add(
        f"{label}: resolution that FRC would claim at 0.143, A", believed, note="median; nothing but noise is there"
    )
    room.add(f"{label}: plain align gives none, share of runs", np.mean([c.resolution == 999 for c in plain]), 1, ">=")


def draw_defocus(rng: np.random.Generator, n: int) -> dict[str, NDArray]:
    """Draw defocus of 1-2.5 um with up to 0.2 um of astigmatism."""
    u = rng.uniform(10000, 25000, n)
    return {"defocus_u": u, "defocus_v": u - rng.uniform(0, 2000, n), "defocus_angle": rng.uniform(0, 180, n)}


def views_set(work: Path, *, snr: float, classes: tuple[int, ...], seed: int) -> truth.TruthSet:
    """Make views of the 70S ribosome with CTF and coloured noise, 30 to 1000 members each (log-uniform)."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        rot, tilt = (angle[list(classes)] for angle in phantom.uniform_views(CLASSES))
        members = np.exp(rng.uniform(np.log(30), np.log(1000), len(classes))).astype(int)
        which = rng.permutation(np.repeat(np.arange(len(classes)), members))
        n = len(which)
        known = {**truth.draw_poses(rng, n), **draw_defocus(rng, n), "reference": which}
        density = files.read_stack(truth.data_folder() / "aspire" / "clean70SRibosome_vol_65p.mrc")[:64, :64, :64]
        files.write_map(folder / "map.mrc", density / density.std(), PIXEL)
        views = {"rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": np.zeros(len(rot))}
        reference = relion.project(folder, "map.mrc", views, BOX, PIXEL)
        poses = {"rlnAngleRot": rot[which], "rlnAngleTilt": tilt[which], "rlnAnglePsi": known["psi"]}
        poses |= {"rlnOriginXAngst": known["dx"] * PIXEL, "rlnOriginYAngst": known["dy"] * PIXEL}
        clean = relion.project(folder, "map.mrc", {**poses, **truth.ctf_columns(known)}, BOX, PIXEL, ctf=True)
        (folder / "map.mrc").unlink()
        spectrum = noise.micrograph_spectrum(truth.data_folder(), BOX, PIXEL)
        options = {"snr": snr, "rng": rng, "pixel_size_angstrom": PIXEL, "spectrum": spectrum}
        truth.save(folder, clean, reference, known, **options)

    recipe = {"snr": snr, "classes": classes, "seed": seed}
    return truth.cached(work, "views", recipe, make)


def _particles(settings: Settings, room: Room) -> None:
    """Compare the resolution given with that of the average against its clean projection."""
    reported, real, members = [], [], []
    for seed in settings.seeds:
        for part, snr in enumerate(SNRS):
            data = views_set(settings.work, snr=snr, classes=tuple(range(part, CLASSES, len(SNRS))), seed=seed)
            output = settings.runs / "halves"
            shutil.rmtree(output, ignore_errors=True)
            adapters.align(data.particles, data.references, output, extra=("--halves", "--allow-no-signal"))
            curves, clean = read_curves(output), files.read_stack(data.references)
            averages = files.read_stack(output / "averages.mrcs")
            for average, number in zip(averages, sorted(curves), strict=True):
                reported.append(curves[number].resolution)
                real.append(resolution_against(average, clean[number]))
                members.append(int(np.sum(data.truth["reference"] == number)))
    reported, real = np.array(reported), np.array(real)
    silent = reported >= NOTHING_ANGSTROM
    error = np.where(silent, 9.99, reported / real - 1.0)
    note = f"{len(error)} classes of {min(members)}-{max(members)} images, SNR .1-.02, CTF, coloured noise; "
    note += f"{silent.sum()} without a resolution count as wrong; clean {real.min():.1f}-{real.max():.1f} A"
    name = "resolution with --halves over FRC 0.5 with the clean projection"
    room.add(f"{name}: median error", float(np.median(np.abs(error))), 0.15, note=note)
    told = error[~silent]
    room.add(f"{name}: median with its sign", float(np.median(told)), note="positive: reported too coarse")
    room.add(f"{name}: 90 % of those with a resolution within", float(np.quantile(np.abs(told), 0.9)))
    for n_min, n_max in ((30, 99), (100, 299), (300, 1000)):
        here = (np.array(members) >= n_min) & (np.array(members) <= n_max)
        median = float(np.median(np.abs(error[here]))) if here.any() else np.nan
        note = f"{here.sum()} classes, {(silent & here).sum()} without a resolution"
        room.add(f"the same, {n_min}-{n_max} members: median error", median, note=note)


def resolution_against(average: NDArray, clean: NDArray) -> float:
    """Find where an average's correlation with the clean projection first falls below 0.5, in A.

    The average is masked and the clean image laid onto it (angle and shift by scoring steps from no move); three rings
    are pooled, linear between rings. The search begins at ring 3: coarser ones have too few samples.
    """
    offset = np.arange(BOX) - BOX // 2
    radius = np.hypot(*np.meshgrid(offset, offset))
    soft = 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - MASK_PX / 2) / 5.0, 0, 1))
    a, b = ((v - v[radius > MASK_PX / 2 + 5].mean()) * soft for v in (average.astype(float), clean.astype(float)))
    grid = bound.Grid.make(BOX)
    low = np.where(grid.radius <= 10, 1.0, 0.0)
    data, still = grid.transform(a[None]), grid.transform(b[None])
    gain = float((low * (data * still.conj()).real).sum() / (low * np.abs(still) ** 2).sum())
    pose = np.zeros((1, 3))
    if gain > 0:
        weight = low / (low * np.abs(data - gain * still) ** 2).mean()
        pose = bound.climb(data, gain * b, grid, weight, pose, 1.0, 12)
    moved, _ = bound.model(b, grid, pose, 1.0)
    ring = np.rint(grid.radius).astype(int)
    sums = [
        np.convolve(np.bincount(ring, v, minlength=BOX // 2 + 1)[1 : BOX // 2], np.ones(3), "same")
        for v in ((data * moved.conj()).real[0], np.abs(data[0]) ** 2, np.abs(moved[0]) ** 2)
    ]
    excess = np.concatenate([[1.0], sums[0] / np.sqrt(sums[1] * sums[2])]) - 0.5
    below = np.flatnonzero(excess[3:] < 0)
    if not len(below):
        return 2.0 * PIXEL
    r = 3 + below[0]
    return float(BOX * PIXEL / (r - 1 + excess[r - 1] / (excess[r - 1] - excess[r])))
