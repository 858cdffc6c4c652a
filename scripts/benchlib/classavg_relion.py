"""Room of the partition for RELION: Class2D as its peer, and relion_reconstruct on our own classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import adapters, files, measure, relion
from .classavg_judge import Views
from .classavg_quality import level_rings
from .classavg_truth import Recipe, class_set
from .judge import wrap
from .results import Room
from .settings import Settings
from .truth import TruthSet

ITERATIONS, CLASSES = 25, 20


def class2d(work: Path, data: TruthSet) -> tuple[dict[str, NDArray], float]:
    """Return RELION's poses and classes after 25 iterations with the window's defaults, and its CPU seconds.

    One run, kept beside the set: it costs several minutes.
    """
    path = data.folder / f"relion_class2d_{CLASSES}.npz"
    if not path.exists():
        output = data.folder / "class2d"
        output.mkdir(exist_ok=True)
        diameter = 0.8 * data.box * data.pixel_size_angstrom
        command = ["relion_refine", "--i", "particles.star", "--o", "class2d/run", "--K", CLASSES]
        command += ["--iter", ITERATIONS, "--particle_diameter", f"{diameter:g}", "--tau2_fudge", 2, "--zero_mask"]
        command += ["--flatten_solvent", "--oversampling", 1, "--psi_step", 12, "--offset_range", 5]
        command += [
            "--offset_step",
            2,
            "--norm",
            "--scale",
            "--pad",
            2,
            "--dont_check_norm",
            "--dont_combine_weights_via_disc",
        ]
        command += ["--random_seed", 1, "--j", 1, "--pool", 100]
        command += ["--ctf"] * ("defocus_u" in data.truth)
        cost = measure.run(command, cwd=data.folder, env=measure.ONE_THREAD, log=output / "run.log")
        last = f"run_it{ITERATIONS:03d}_data.star"
        found = files.read_poses(output / last)
        (output / "cost.json").write_text(json.dumps({"cpu": cost.cpu}) + "\n")
        rows = np.array([int(name.split("@")[0]) - 1 for name in found.pop("name")])
        order = np.argsort(rows)
        np.savez(path, cpu=cost.cpu, **{k: v[order] for k, v in found.items()})
    with np.load(path) as stored:
        found = {name: stored[name] for name in stored.files}
    return found, float(found.pop("cpu"))


def judge_classes(found: dict[str, NDArray], views: Views, n_pairs: int = 200_000) -> dict[str, float]:
    """Judge a partition without mirrors, over pairs of particles of one class.

    Pair view angle (mean, median, degrees), share of pairs within 30 degrees and beyond 150 (nearly opposite views),
    and the median error of the relative in-plane angle over all pairs and over those within 30 degrees.
    """
    rng = np.random.default_rng(0)
    label = found["reference"]
    counts = np.bincount(label)
    order = np.argsort(label, kind="stable")
    start = np.concatenate([[0], np.cumsum(counts)])[:-1]
    # Every particle has as many partners as its class has others: pairs are drawn uniformly from all there are.
    first = rng.choice(len(label), n_pairs, p=(counts[label] - 1) / np.sum(counts * (counts - 1)))
    second = order[start[label[first]] + rng.integers(0, counts[label[first]])]
    first, second = (v[first != second] for v in (first, second))
    plain = np.zeros(len(first), bool)
    angle = views.angle(first, second, plain)
    error = np.abs(wrap(found["psi"][second] - found["psi"][first] - views.in_plane(first, second, plain)))
    near = angle < 30.0
    return {
        "view_mean": float(angle.mean()),
        "view_median": float(np.median(angle)),
        "within30": float(near.mean()),
        "opposite": float((angle > 150.0).mean()),
        "in_plane": float(np.median(error)),
        "in_plane_near": float(np.median(error[near])),
    }


def reconstruct_agreement(folder: Path, run: Path, data: TruthSet) -> NDArray[np.float64]:
    """Correlate relion_reconstruct of every class of run_data.star with our image of it, inside the mask.

    It averages in two dimensions and does not filter; our images are filtered by ring, which is taken back: rings get
    the power that RELION's have.
    """
    classes = files.read_stack(run / "run_classes.mrcs")
    offset = np.arange(data.box) - data.box // 2
    inside = np.hypot(*np.meshgrid(offset, offset)) < 0.4 * data.box
    command = ["relion_reconstruct", "--i", run / "run_data.star", "--o", folder / "one.mrc", "--refdim", 2]
    command += ["--angpix", data.pixel_size_angstrom] + ["--ctf"] * ("defocus_u" in data.truth)
    found = []
    for k, image in enumerate(classes, 1):
        # The names of images in run_data.star are relative to the folder in which classavg ran.
        measure.run([*command, "--class", k], cwd=data.folder, env=measure.ONE_THREAD)
        other = files.read_stack(folder / "one.mrc")[0]
        found.append(np.corrcoef(level_rings(image, other)[inside], other[inside])[0, 1])
    return np.array(found)


def run_partition(settings: Settings) -> Room:
    """The files for RELION: against Class2D after 25 iterations, and relion_reconstruct of each class."""
    room = settings.room("partition")
    data = class_set(settings.work, Recipe(n=1000))
    output = settings.runs / "partition"
    cost = adapters.classavg(data.particles, output, extra=("--classes", str(CLASSES // 2)))  # with mirrors

    views = Views(data.truth)
    mine = judge_classes(files.read_poses(output / "run_data.star"), views)
    peer = None
    if settings.peers and relion.available():
        poses, cpu = class2d(settings.work, data)
        peer = judge_classes(poses, views)
    for name, title in (
        ("view_mean", "view angle of pairs in a class, mean, deg"),
        ("view_median", "the same, median"),
        ("in_plane", "in-plane error of pairs in a class, median, deg"),
        ("in_plane_near", "the same, pairs within 30 deg"),
    ):
        bar = peer[name] if peer and name in ("view_mean", "in_plane") else None
        room.add(title, mine[name], bar, note=f"Class2D {peer[name]:.2f}" if peer else "")
    for name, title in (("within30", "pairs within 30 deg"), ("opposite", "pairs beyond 150 deg")):
        room.add(title, mine[name], note=f"Class2D {peer[name]:.3f}" if peer else "")
    if peer:
        room.add("CPU over Class2D's", cost.cpu / cpu, 0.1, note=f"{cost.cpu:.1f} against {cpu:.0f} CPU s")
    if relion.available():
        agreement = reconstruct_agreement(settings.runs, output, data)
        note = f"{len(agreement)} classes, mean {agreement.mean():.4f}"
        room.add("relion_reconstruct against run_classes, lowest correlation", agreement.min(), 0.99, ">=", note)
    return room
