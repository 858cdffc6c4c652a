"""RELION's programs, run as separate processes: projections with known poses, and the peer of the search."""

from __future__ import annotations

import shutil
from pathlib import Path

from numpy.typing import ArrayLike, NDArray

from . import files, measure

FINE = ("--psi_step", "6", "--oversampling", "2")  # 1.5 degrees, 0.5 px
DEFAULT: tuple[str, ...] = ()  # 10 degrees and 2 px, one oversampling: 5 degrees, 1 px


def available() -> bool:
    """Say whether RELION is installed."""
    return all(shutil.which(name) for name in ("relion_project", "relion_refine"))


def project(
    folder: Path, volume: str, columns: dict[str, ArrayLike], box: int, pixel_size_angstrom: float, ctf: bool = False
) -> NDArray:
    """Project a map with relion_project; columns: angles in degrees, origins in A, defocus. Returns (n, L, L)."""
    n = len(columns["rlnAnglePsi"])
    names = files.image_names(range(n), "none.mrcs")
    files.write_star(
        folder / "views.star", {"rlnImageName": names, **columns}, box=box, pixel_size_angstrom=pixel_size_angstrom
    )
    command = ["relion_project", "--i", volume, "--o", "views_out", "--ang", "views.star"]
    command += ["--angpix", f"{pixel_size_angstrom}"] + ["--ctf"] * ctf
    measure.run(command, cwd=folder, env=measure.ONE_THREAD)
    images = files.read_stack(folder / "views_out.mrcs")
    for name in ("views.star", "views_out.star", "views_out.mrcs"):
        (folder / name).unlink()
    return images


def refine(
    folder: Path,
    particles: str,
    reference: str,
    output: Path,
    *,
    diameter_angstrom: float,
    grid: tuple[str, ...] = FINE,
    n_classes: int = 1,
    ctf: bool = False,
    extra: tuple[str, ...] = (),
) -> tuple[measure.Cost, dict[str, NDArray]]:
    """Run one iteration of relion_refine against a fixed reference, one thread; returns its cost and its poses.

    ``--firstiter_cc`` is off, so that the likelihood is used as in later iterations; references must be on the
    particles' scale. ``--zero_mask`` is the default of RELION's window: without it, the random noise it puts round the
    particle sends 1-2 % of the images in coloured noise to wrong angles.
    """
    output.mkdir(parents=True, exist_ok=True)
    command = ["relion_refine", "--i", particles, "--ref", reference, "--o", output / "run", "--K", n_classes]
    command += ["--iter", "1", "--particle_diameter", f"{diameter_angstrom:g}", "--dont_check_norm", "--zero_mask"]
    command += ["--random_seed", "1", "--j", "1", "--pool", "100"]
    command += [*grid, *(["--ctf", "--ctf_corrected_ref"] if ctf else []), *extra]
    cost = measure.run(command, cwd=folder, env=measure.ONE_THREAD, log=output / "run.log")
    return cost, files.read_poses(output / "run_it001_data.star")
