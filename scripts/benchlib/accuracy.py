"""Rooms of accuracy: one reference, many references, CTF with coloured noise, and what resampling does to noise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from . import adapters, bound, exhaustive, files, judge, noise, relion, truth
from .results import Room
from .settings import Settings, kept


def outcome(settings: Settings, data: truth.TruthSet, extra: tuple[str, ...] = (), star: Path | None = None) -> dict:
    """Align a set with the command and read the poses."""
    output = settings.runs / "align"
    shutil.rmtree(output, ignore_errors=True)
    adapters.align(star or data.particles, data.references, output, extra=extra)
    return adapters.aligned_poses(output)


def likeliest(data: truth.TruthSet) -> tuple[dict[str, float], dict]:
    """Return the bound and the maximum-likelihood poses of a set; kept beside the set."""

    def make() -> dict:
        limit, found = bound.bound_and_estimate(
            data.images(), files.read_stack(data.references), data.truth, data.truth["noise_power"], data.ctf()
        )
        return {**limit, **found}

    parts = kept(data.folder / "likeliest.npz", make)
    return {name: float(parts.pop(name)) for name in ("psi_rms", "shift_rms")}, parts


def relion_poses(settings: Settings, data: truth.TruthSet, ctf: bool = False) -> dict:
    """Return the poses of RELION's fine grid; kept beside the set."""

    def make() -> dict:
        output, diameter = settings.runs / "relion", 0.8 * data.box * data.pixel_size_angstrom
        files_given = ("particles.star", "references.mrcs")
        return relion.refine(data.folder, *files_given, output, diameter_angstrom=diameter, ctf=ctf)[1]

    return kept(data.folder / "relion_fine.npz", make)


def run_accuracy(settings: Settings) -> Room:
    """One view of the 70S ribosome, white noise; then clean analytic images; then ten references at 128 px."""
    room = settings.room("accuracy")
    n = 300
    for snr, psi_bar, shift_bar in ((0.5, 0.32, 0.09), (0.1, 0.70, 0.205), (0.05, 1.00, 0.30)):
        ours, best, peer, limits = [], [], [], []
        for seed in settings.seeds:
            data = truth.map_set(settings.work, n=n, snr=snr, seed=seed)
            ours.append((outcome(settings, data), data.truth))
            limit, found = likeliest(data)
            limits.append(limit)
            best.append((found, data.truth))
            if settings.peers:
                peer.append((relion_poses(settings, data), data.truth))
        found, ideal = judge.pooled(ours), judge.pooled(best)
        label = f"70S, SNR {snr:g}"
        note = judge.standard_error(ours, "psi_rms") + f"ML {ideal.psi_rms:.3f}, Cramer-Rao {limits[0]['psi_rms']:.3f}"
        room.add(f"{label}: psi RMS, deg", found.psi_rms, psi_bar, note=note + _relion(peer, "psi_rms"))
        note = (
            judge.standard_error(ours, "shift_rms")
            + f"ML {ideal.shift_rms:.3f}, Cramer-Rao {limits[0]['shift_rms']:.3f}"
        )
        room.add(f"{label}: shift RMS, px", found.shift_rms, shift_bar, note=note + _relion(peer, "shift_rms"))
        spread = 0.03 + 4 * found.psi_rms / np.sqrt(found.n)
        room.add(f"{label}: |mean psi error|, deg", abs(found.psi_mean), round(spread, 3), note="0.03 + 4 RMS/sqrt(n)")
        room.add(f"{label}: |mean shift error|, px", np.hypot(found.shift_mean_x, found.shift_mean_y), 0.03)
        room.add(f"{label}: images beyond 15 deg", found.far * found.n, 0 if snr >= 0.1 else None)
    # At 64 px the atoms must be wide to be sampled without loss, and hold little information on the angle: the
    # harder case.
    for box, smooth, bar in ((128, False, 0.002), (64, True, 0.002)):
        data = truth.phantom_set(settings.work, box=box, n_references=1, n=100, snr=0, smooth=smooth)
        poses = outcome(settings, data)
        found = judge.judge(poses, data.truth)
        largest = np.abs(judge.pose_errors(poses, data.truth)[0]).max()
        label = f"clean analytic phantom, {box} px{', smooth' if smooth else ''}"
        room.add(f"{label}: psi RMS, deg", found.psi_rms, bar, note=f"largest {largest:.4f}")
        room.add(f"{label}: shift RMS, px", found.shift_rms, bar)
    ours, best = [], []
    for seed in settings.seeds:
        data = truth.phantom_set(settings.work, n=n, snr=0.1, seed=seed)
        ours.append((outcome(settings, data), data.truth))
        best.append((likeliest(data)[1], data.truth))
    found, ideal = judge.pooled(ours), judge.pooled(best)
    label = "128 px, 10 references, SNR 0.1"
    for name, unit, bar in (("psi_median", "deg", 0.26), ("shift_median", "px", 0.16)):
        note = judge.standard_error(ours, name) + f"ML {getattr(ideal, name):.3f}"
        room.add(f"{label}: {name.replace('_', ' ')}, {unit}", getattr(found, name), bar, note=note)
    room.add(f"{label}: reference right", found.right, 0.99, ">=")
    return room


def _relion(peer: list, name: str) -> str:
    return f"; RELION fine grid {getattr(judge.pooled(peer), name):.3f}" if peer else ""


def run_references(settings: Settings) -> Room:
    """A hundred references against the exhaustive full-band search."""
    room = settings.room("references")
    n = 192 if settings.quick else 1024
    for views, bar in (("uniform", 0.999), ("cone", 0.995)):
        for snr in (0.1, 0.03):
            same, right, yard = [], [], []
            for seed in settings.seeds:
                data = truth.phantom_set(settings.work, n_references=100, views=views, n=n, snr=snr, seed=seed)
                ours, yardstick = outcome(settings, data), _exhaustive(data)
                same.append(np.mean(ours["reference"] == yardstick["reference"]))
                right.append(np.mean(ours["reference"] == data.truth["reference"]))
                yard.append(np.mean(yardstick["reference"] == data.truth["reference"]))
            note = f"{n * len(same)} images; reference right {np.mean(right):.4f}, exhaustive {np.mean(yard):.4f}"
            room.add(f"100 references, {views}, SNR {snr:g}: agrees", np.mean(same), bar, ">=", note)
        data = truth.phantom_set(settings.work, n_references=100, views=views, n=500, snr=0)
        found = judge.judge(outcome(settings, data), data.truth)
        room.add(f"100 references, {views}, clean: reference right", found.right, 1.0, ">=")
    return room


def _exhaustive(data: truth.TruthSet) -> dict:
    def make() -> dict:
        return exhaustive.search(data.images(), files.read_stack(data.references), data.box / 12)[0]

    return kept(data.folder / "exhaustive.npz", make)


def run_ctf(settings: Settings) -> Room:
    """Images with CTF (1-2.5 um, astigmatic) and coloured noise, against the likelihood, the bound and RELION."""
    room = settings.room("ctf")
    cases = [("ribosome", "70S, 5 A/px", 0.1), ("ribosome", "70S, 5 A/px", 0.05), ("fine", "2 A/px, 128 px", 0.1)]
    n = 300 if settings.quick else 1000
    for molecule, title, snr in cases:
        results: dict[str, list] = {name: [] for name in ("ctf", "flip", "ignored", "ml", "relion")}
        limits = []
        for seed in settings.seeds:
            data = truth.map_set(settings.work, molecule=molecule, n=n, snr=snr, seed=seed, ctf=True, coloured=True)
            runs = {"ctf": outcome(settings, data), "ignored": outcome(settings, data, ("--no-ctf",))}
            runs["flip"] = outcome(settings, data, ("--no-ctf",), truth.phase_flipped(data))
            limit, runs["ml"] = likeliest(data)
            limits.append(limit)
            if settings.peers and molecule == "ribosome":
                runs["relion"] = relion_poses(settings, data, ctf=True)
            for name, found in runs.items():
                results[name].append((found, data.truth))
        figures = {name: judge.pooled(parts) for name, parts in results.items() if parts}
        for what, unit in (("psi_rms", "deg"), ("shift_rms", "px")):
            label = f"{title}, SNR {snr:g}: {what.split('_')[0]}"
            value = {name: getattr(f, what) for name, f in figures.items()}
            floor = float(np.sqrt(np.mean([limit[what] ** 2 for limit in limits])))
            note = judge.standard_error(results["ctf"], what) + f"ML {value['ml']:.3f}, Cramer-Rao {floor:.3f}"
            room.add(f"{label} RMS, {unit}", value["ctf"], note=note)
            ours = figures["ctf"]
            near = getattr(ours, f"{what}_near")
            note = f"{round(ours.far * ours.n)} of {ours.n} images beyond 15 deg; {near / value['ml']:.3f} without them"
            room.add(f"{label} over ML", value["ctf"] / value["ml"], 1.05, note=note)
            ideal = value["ml"] / floor
            room.add(f"{label} over Cramer-Rao", value["ctf"] / floor, 1.15, note=f"ML itself {ideal:.3f}")
            flip_bar = 1.08 if molecule == "fine" else 1.0
            room.add(f"{label} phase flip over CTF", value["flip"] / value["ctf"], flip_bar, ">=")
            room.add(f"{label} ignored over phase flip", value["ignored"] / value["flip"], 1.0, ">=")
            if "relion" in value:
                note = f"RELION {value['relion']:.3f}"
                room.add(f"{label} over RELION's fine grid", value["ctf"] / value["relion"], 1.0, note=note)
    return room


def run_interpolation(settings: Settings) -> Room:
    """White noise through the aligned stack: its power between .25 and .45 cycles per pixel."""
    room = settings.room("interpolation")
    data = truth.phantom_set(settings.work, box=64, n_references=1, n=300, snr=0.001)
    images = noise.draw(np.random.default_rng(3), 300, 64)
    folder = settings.runs / "white"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files.write_stack(folder / "particles.mrcs", images, data.pixel_size_angstrom)
    shutil.copy(data.particles, folder / "particles.star")
    adapters.align(
        folder / "particles.star", data.references, folder / "out", write_stack=True, extra=("--allow-no-signal",)
    )
    turned = files.read_stack(folder / "out" / "aligned.mrcs")
    power = np.abs(np.fft.fft2(turned)) ** 2 / 64**2
    axis = np.fft.fftfreq(64)
    radius = np.hypot(*np.meshgrid(axis, axis, indexing="ij"))
    for low in (0.25, 0.30, 0.35, 0.40, 0.43):
        ring = power[:, (radius >= low) & (radius < low + 0.02)].mean()
        label = f"white-noise power kept at {low:.2f}-{low + 0.02:.2f} cycles/px"
        room.add(label + ", at least", ring, 0.95, ">=")
        room.add(label + ", at most", ring, 1.05)
    return room
