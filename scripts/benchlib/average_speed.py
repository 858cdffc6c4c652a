"""Room of ``cryoalign average``: many images of many classes in one pass, with poses given.

100,000 different images of 64 px in 200 classes. The cost does not depend on what the pixels hold, so that one stack
serves both cases: with CTF columns it is weighted by them, without it is averaged as it is.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from . import adapters, files, noise, phantom, truth
from .results import Room
from .settings import Settings

BOX, PIXEL, CLASSES = 64, 3.0, 200
BLOCK = 2000


def many_images(work: Path, n: int) -> Path:
    """Make the set once: particles.mrcs, and plain.star and ctf.star with poses and classes; return its folder."""
    folder = work / "sets" / f"many-{BOX}-{n}"
    if folder.exists():
        return folder
    draft = folder.with_name(f"{folder.name}.draft{os.getpid()}")
    draft.mkdir(parents=True)
    rng = np.random.default_rng(3)
    molecule, (rot, tilt) = phantom.Phantom.make(), phantom.uniform_views(CLASSES)
    table = {**truth.draw_poses(rng, n), "reference": rng.integers(0, CLASSES, n)}
    with mrcfile.new_mmap(draft / "particles.mrcs", (n, BOX, BOX), mrc_mode=2, overwrite=True) as stack:
        stack.set_image_stack()
        stack.voxel_size = PIXEL
        for start in range(0, n, BLOCK):
            rows = slice(start, min(start + BLOCK, n))
            which = table["reference"][rows]
            clean = molecule.project(BOX, rot[which], tilt[which], *(table[k][rows] for k in ("psi", "dx", "dy")))
            clean *= np.sqrt(0.1 / clean.var())
            stack.data[rows] = clean + noise.draw(rng, len(clean), BOX)
        stack.update_header_from_data()
    _write_tables(draft, table, rng)
    draft.rename(folder)
    return folder


def _write_tables(folder: Path, table: dict[str, NDArray], rng: np.random.Generator) -> None:
    n = len(table["psi"])
    columns = {
        "rlnImageName": files.image_names(range(n), "particles.mrcs"),
        "rlnMicrographName": ["micrograph1.mrc"] * n,
        "rlnAnglePsi": table["psi"],
        "rlnOriginXAngst": table["dx"] * PIXEL,
        "rlnOriginYAngst": table["dy"] * PIXEL,
        "rlnClassNumber": table["reference"] + 1,
    }
    files.write_star(folder / "plain.star", columns, box=BOX, pixel_size_angstrom=PIXEL)
    defocus = rng.uniform(10000, 25000, n)
    angle = {"defocus_u": defocus + 500.0, "defocus_v": defocus - 500.0, "defocus_angle": rng.uniform(0, 180, n)}
    files.write_star(folder / "ctf.star", {**columns, **truth.ctf_columns(angle)}, box=BOX, pixel_size_angstrom=PIXEL)


def run_average_speed(settings: Settings) -> Room:
    """Averages of 200 classes of given poses: rate of the whole command, and its peak memory."""
    room = settings.room("average_speed")
    n = 20_000 if settings.quick else 100_000
    folder = many_images(settings.work, n)
    for star, label, extra in (
        ("plain.star", "without CTF", ()),
        ("ctf.star", "with CTF, Wiener", ()),
        ("ctf.star", "with CTF, --phase-flip", ("--phase-flip",)),
    ):
        output = settings.runs / "average"
        runs = []
        for _ in range(2):
            shutil.rmtree(output, ignore_errors=True)
            runs.append(adapters.average(folder / star, output, extra=extra, watch_memory=True))
        stages = json.loads((output / "run.json").read_text())["timings_s"]
        shutil.rmtree(output, ignore_errors=True)
        cpu = min(run.cpu for run in runs)
        note = f"{n:,} images, {CLASSES} classes, {cpu:.1f} CPU s; wall by stage: "
        note += ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items())
        # A quick run measures start-up: quoted, not judged.
        room.add(f"{label}, images/s/core, whole command", n / cpu, None if settings.quick else 4000, ">=", note)
        room.add(f"{label}, peak memory, MB", max(run.peak_mb for run in runs), 1500)
    return room
