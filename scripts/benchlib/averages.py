"""Room of averages: resolution and filter against the clean projection, the FRC's noise curve, and the rate of sums.

Particles come from the package's own simulation, which its tests hold against relion_project; poses are the true ones,
so that only averaging is judged. The judge's ring correlation is its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import files, noise, truth
from .results import Room
from .settings import Settings
from .speed import best_cpu

BOX, PIXEL, MASK_PX = 96, 2.0, 76.0
CLASSES = 20
TREATMENTS = ("wiener", "flip", "plain")


@dataclass(frozen=True)
class Against:
    """Averages against clean projections: correlation inside the mask, resolution (A) at FRC 0.5 with and without it.

    Each of shape (classes,).
    """

    correlation: NDArray
    masked: NDArray
    whole: NDArray


def run_averages(settings: Settings) -> Room:
    """Averages of 20 classes at 2 A/px against the clean projections; noise alone; images summed per second."""
    room = settings.room("averages")
    outcomes = [_judged(settings, seed) for seed in settings.seeds]
    _resolution(room, outcomes)
    _filters(room, outcomes)
    for name, coloured, with_ctf in (("white", False, False), ("coloured", True, False), ("coloured, CTF", True, True)):
        single, silent = _noise_runs(40 if settings.quick else 100, coloured, with_ctf)
        room.add(f"runs of {name} noise with every ring under the noise curve", single, 0.95, ">=", "64 px, 30 images")
        room.add(f"runs of {name} noise that report no resolution", silent, 0.95, ">=")
    _rates(settings, room)
    return room


def _resolution(room: Room, outcomes: list[tuple[NDArray, dict[str, Against]]]) -> None:
    errors = [reported / against["wiener"].masked - 1.0 for reported, against in outcomes]
    spread = [float(np.median(np.abs(e))) for e in errors]
    joined = np.concatenate(errors)
    note = f"{len(joined)} classes of 30-1000, SNR .1-.02, true poses; " + _over_seeds(spread)
    room.add(
        "reported resolution over FRC 0.5 with the clean image, median error", np.median(abs(joined)), 0.15, note=note
    )
    room.add("the same, median with its sign", float(np.median(joined)), note="positive: reported too coarse")
    room.add("the same, 90 % of classes within", float(np.quantile(np.abs(joined), 0.9)))


def _filters(room: Room, outcomes: list[tuple[NDArray, dict[str, Against]]]) -> None:
    for name in ("wiener", "flip", "plain", "least squares"):
        found = [against[name] for _, against in outcomes]
        value = [float(a.correlation.mean()) for a in found]
        room.add(f"{name}: correlation with the clean projection", np.mean(value), note=_over_seeds(value))
    for name in ("flip", "plain"):
        better = [float((a["wiener"].correlation - a[name].correlation).mean()) for _, a in outcomes]
        room.add(f"wiener minus {name}: correlation", np.mean(better), 0.02, ">=", _over_seeds(better))
        for where, label in (("masked", "in the mask"), ("whole", "whole box")):
            ratio = [float(np.mean(getattr(a[name], where) / getattr(a["wiener"], where))) for _, a in outcomes]
            bar = 1.0 if where == "whole" else None
            room.add(
                f"{name} over wiener: resolution at FRC 0.5, {label}", np.mean(ratio), bar, ">=", _over_seeds(ratio)
            )


def _over_seeds(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    return f"se {np.std(values, ddof=1) / np.sqrt(len(values)):.4f} over {len(values)} seeds"


def _sums(treatment: str, cells: int, box: int, pixel: float, **options):  # type: ignore[no-untyped-def]
    from cryoalign.averaging.class_sums import ClassSums, SumSettings
    from cryoalign.averaging.exact_sums import fixed_point_scale

    return ClassSums(SumSettings(box, pixel, box, pixel, cells, fixed_point_scale(1.0), treatment, **options))


def _simulated(seed: int) -> dict[str, NDArray]:
    """Sum 20 views: members log-uniform 30-1000, SNR .1, .05, .02 in turn, defocus 1-2.5 um, noise coloured."""
    from cryoalign.simulation.euler import even_directions
    from cryoalign.simulation.noise import coloured
    from cryoalign.simulation.particles import CtfRecipe, Recipe, Simulation
    from cryoalign.simulation.project import MapProjector

    density = files.read_stack(truth.data_folder() / "aspire" / "clean70SRibosome_vol_65p.mrc")
    rot, tilt = even_directions(CLASSES)
    members = np.exp(np.random.default_rng(seed).uniform(np.log(30), np.log(1000), CLASSES)).astype(int)
    ctf = CtfRecipe(10000.0, 25000.0, 500.0, 300.0, 2.7, 0.1)
    sums = {t: _sums(t, 2 * CLASSES, BOX, PIXEL) for t in TREATMENTS}
    clean = np.empty((CLASSES, BOX, BOX))
    for c in range(CLASSES):
        view = np.array([[rot[c], tilt[c]]])
        recipe = Recipe(
            int(members[c]), BOX, PIXEL, view, 1.5, ctf, coloured(), (0.1, 0.05, 0.02)[c % 3], 100 * seed + c
        )
        simulation = Simulation(MapProjector(density, PIXEL), recipe)
        clean[c] = simulation.references()[0]
        for start in range(0, members[c], 64):
            rows = np.arange(start, min(start + 64, members[c]))
            images, known = simulation.images(rows), simulation.truth(rows)
            for s in sums.values():
                s.add(images, known.poses, 2 * c + rows % 2, known.ctf)
    counts = sums["wiener"].counts.reshape(CLASSES, 2)
    return {
        "clean": clean,
        "counts": counts,
        **{f"totals_{t}": s.totals().reshape(CLASSES, 2, BOX, BOX) for t, s in sums.items()},
        **{f"power_{t}": s.ctf_power().reshape(CLASSES, 2, BOX, -1) for t, s in sums.items()},
    }


def _judged(settings: Settings, seed: int) -> tuple[NDArray, dict[str, Against]]:
    """Return the reported resolutions and how every kind of average compares with the clean projections."""
    from cryoalign.averaging.class_averages import finish_averages

    data = _simulated(seed)

    def finished(treatment: str, ssnr: float | None = None):  # type: ignore[no-untyped-def]
        return finish_averages(
            data[f"totals_{treatment}"],
            data[f"power_{treatment}"],
            data["counts"],
            mask_diameter_px=MASK_PX,
            pixel_size_angstrom=PIXEL,
            treatment=treatment,
            ssnr=ssnr,
            shared_ring=0,
        )

    wiener = finished("wiener")
    reported = np.array([f.resolution_angstrom for f in wiener.frc])
    averages = {t: finished(t).averages for t in TREATMENTS} | {"least squares": finished("wiener", 1e9).averages}
    return reported, {name: _against(value, data["clean"]) for name, value in averages.items()}


def _against(averages: NDArray, clean: NDArray) -> Against:
    offset = np.arange(BOX) - BOX // 2
    radius = np.hypot(*np.meshgrid(offset, offset))
    soft = 0.5 + 0.5 * np.cos(np.pi * np.clip((radius - MASK_PX / 2) / 5.0, 0, 1))
    inside, outside = radius < MASK_PX / 2, radius > MASK_PX / 2 + 5
    centred = [v - v[:, outside].mean(axis=1)[:, None, None] for v in (averages, clean)]
    pairs = list(zip(*centred, strict=True))
    return Against(
        np.array([np.corrcoef(a[inside], b[inside])[0, 1] for a, b in pairs]),
        np.array([_resolution_at_half(a * soft, b * soft) for a, b in pairs]),
        np.array([_resolution_at_half(a, b) for a, b in pairs]),
    )


def _resolution_at_half(a: NDArray, b: NDArray) -> float:
    """Find where the ring correlation, three rings at a time, first falls below 0.5, linear between rings, in A."""
    k = np.fft.fftfreq(BOX, 1.0 / BOX)
    ring = np.rint(np.hypot(*np.meshgrid(k, k))).astype(int).ravel()
    one, other = np.fft.fft2(a).ravel(), np.fft.fft2(b).ravel()
    sums = [
        np.convolve(np.bincount(ring, v)[1 : BOX // 2 + 1], np.ones(3), "same")
        for v in ((one * other.conj()).real, np.abs(one) ** 2, np.abs(other) ** 2)
    ]
    excess = np.concatenate([[1.0], sums[0] / np.sqrt(sums[1] * sums[2])]) - 0.5
    below = np.flatnonzero(excess[3:] < 0)
    if not len(below):
        return 2.0 * PIXEL
    r = 3 + below[0]
    return float(BOX * PIXEL / (r - 1 + excess[r - 1] / (excess[r - 1] - excess[r])))


def _noise_runs(runs: int, coloured: bool, with_ctf: bool) -> tuple[float, float]:
    """Return the shares of runs on noise alone with every ring under the curve, and without a resolution."""
    from cryoalign.averaging.class_averages import finish_averages
    from cryoalign.core.ctf import CtfParameters
    from cryoalign.core.poses import Poses

    box, pixel, n, rng = 64, 3.0, 30, np.random.default_rng(7)
    power = 1.0 + 15.0 / (1.0 + (np.arange(box) / (0.04 * box * pixel)) ** 3) if coloured else None
    sums = _sums("wiener", 2 * runs, box, pixel)
    for run in range(runs):
        poses = Poses(rng.uniform(-180, 180, n), *rng.normal(0, 2, (2, n)))
        defocus = rng.uniform(10000, 25000, n)
        ctf = CtfParameters(300.0, 2.7, 0.1, defocus + 250, defocus - 250, rng.uniform(0, 180, n)) if with_ctf else None
        sums.add(noise.draw(rng, n, box, power), poses, 2 * run + np.arange(n) % 2, ctf)
    found = finish_averages(
        sums.totals().reshape(runs, 2, box, box),
        sums.ctf_power().reshape(runs, 2, box, -1),
        sums.counts.reshape(runs, 2),
        mask_diameter_px=44.0,
        pixel_size_angstrom=pixel,
        treatment="wiener",
        shared_ring=0,
    )
    single = np.mean([(f.frc <= f.noise_curve)[1:].all() for f in found.frc])
    return float(single), float(np.mean([f.resolution_angstrom == 999.0 for f in found.frc]))


def _rates(settings: Settings, room: Room) -> None:
    """Images per second and core, read from a stack and added in tiles of 64."""
    from cryoalign.core.ctf import CtfParameters
    from cryoalign.core.poses import Poses
    from cryoalign.io.particles import read_particles
    from cryoalign.io.stacks import StackSource

    for box in (64, 128):
        n, rng = 1024 if box == 64 else 512, np.random.default_rng(8)
        folder = settings.runs / f"stack{box}"
        folder.mkdir(parents=True, exist_ok=True)
        files.write_stack(folder / "particles.mrcs", noise.draw(rng, n, box), 3.0)
        columns = {"rlnImageName": files.image_names(np.arange(n), "particles.mrcs")}
        files.write_star(folder / "particles.star", columns, box=box, pixel_size_angstrom=3.0)
        source = StackSource(read_particles([folder / "particles.star"]))
        poses = Poses(rng.uniform(-180, 180, n), *rng.normal(0, 2, (2, n)), rng.random(n) < 0.5)
        defocus = rng.uniform(10000, 25000, n)
        ctf = CtfParameters(300.0, 2.7, 0.1, defocus + 250, defocus - 250, rng.uniform(0, 180, n))
        for label, given in (("with CTF", ctf), ("without CTF", None)):
            sums = _sums("wiener", 100, box, 3.0)

            def add(source=source, sums=sums, poses=poses, given=given, n=n) -> None:  # type: ignore[no-untyped-def]
                for start in range(0, n, 64):
                    rows = np.arange(start, start + 64)
                    part = None if given is None else given.take(rows)
                    sums.add(source.read(rows), poses.take(rows), rows % 100, part)

            bar = 4000.0 if box == 64 and given is not None else None
            rate = n / best_cpu(add, 3)
            room.add(f"images summed per CPU second, {box} px, {label}", rate, bar, ">=", "reading included")
