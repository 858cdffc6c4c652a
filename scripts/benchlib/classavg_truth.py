"""Particles seen from every side, for class averaging: projections by relion_project, views uniform over rotations."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from . import files, noise, relion, truth
from .phantom import Phantom

PIXEL = {"ribosome": 5.0, "80S": 6.0, "elongated": 3.0, "rod": 3.0}  # A
BLOCK = 10_000


@dataclass(frozen=True)
class Recipe:
    """A set: molecule, number of images, SNR (0: no noise), seed, sd of shifts (pixels), CTF, noise spectrum, box."""

    molecule: str = "ribosome"
    n: int = 3000
    snr: float = 0.1
    seed: int = 1
    shift_sd: float = 0.0
    ctf: bool = False
    coloured: bool = False
    box: int = 64

    @property
    def label(self) -> str:
        """Describe the set in a few words."""
        parts = [{"ribosome": "70S"}.get(self.molecule, self.molecule), f"SNR {self.snr:g}"]
        parts += [f"shift {self.shift_sd:g} px"] * (self.shift_sd > 0) + ["CTF"] * self.ctf
        parts += ["coloured"] * self.coloured + [f"N = {self.n:,}"] * (self.n != 3000)
        return ", ".join(parts + [f"{self.box} px"] * (self.box != 64))


def density(molecule: str, box: int) -> NDArray[np.float32]:
    """Return a map of (box, box, box): none has a symmetry.

    "ribosome": 70S, 65 px at 5 A (64: without the last slice of each axis, empty to 3 %, the centre stays on pixel
    32). "80S": 80 px at 4 A, padded with zeros to 96 px, then cropped in Fourier space to 64 px at 6 A. "elongated":
    Gaussian atoms of our own, twice as long as wide, two lobes at one end; "rod": along a thin bent rod, 3.4 to 1.
    """
    if molecule == "ribosome":
        volume = files.read_stack(truth.data_folder() / "aspire" / "clean70SRibosome_vol_65p.mrc")
        return (volume[:box, :box, :box] / volume.std()).astype(np.float32)
    if molecule == "80S":
        (path,) = (truth.data_folder() / "cryojax").glob("v3_ribosome_4ug0*.mrc")
        volume = np.pad(files.read_stack(path), 8)
        middle = slice(48 - box // 2, 48 + (box + 1) // 2)
        spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))[middle, middle, middle]
        volume = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(spectrum)).real)
        return (volume / volume.std()).astype(np.float32)
    return (_elongated() if molecule == "elongated" else _rod()).density(box)


def _elongated() -> Phantom:
    """Draw 240 atoms: a stem, two unlike lobes at its end that lie side by side, and a knob at the other."""
    rng = np.random.default_rng(41)
    parts = (  # atoms, centre, half axes, in box fractions
        (110, (0.0, 0.0, -0.05), (0.10, 0.13, 0.22)),
        (60, (0.08, 0.03, 0.22), (0.09, 0.07, 0.09)),
        (45, (-0.09, -0.04, 0.19), (0.07, 0.08, 0.07)),
        (25, (0.04, -0.09, -0.27), (0.06, 0.05, 0.05)),
    )
    centres = []
    for count, centre, axes in parts:
        ball = rng.normal(size=(count, 3))
        ball *= (rng.random(count) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
        centres.append(np.array(centre) + ball * np.array(axes))
    points = np.concatenate(centres)
    count = len(points)
    return Phantom(points - points.mean(axis=0), rng.uniform(0.014, 0.026, count), rng.uniform(0.5, 1.5, count))


def _rod() -> Phantom:
    """Draw 200 atoms along a bent rod of 3.4 to 1, heavier at one end, with an arm on one side."""
    rng = np.random.default_rng(31)
    along = rng.uniform(-0.33, 0.33, 160)
    width = 0.075 + 0.05 * (along > 0.12)
    disc = rng.normal(size=(160, 2))
    disc *= (np.sqrt(rng.random(160)) / np.linalg.norm(disc, axis=1) * width)[:, None]
    rod = np.stack([disc[:, 0] + 0.5 * along**2 - 0.02, 0.7 * disc[:, 1], along], axis=1)
    arm = np.array([0.13, 0.04, -0.12]) + rng.normal(0, 0.03, (40, 3))
    centres = np.concatenate([rod, arm])
    return Phantom(centres - centres.mean(axis=0), rng.uniform(0.014, 0.026, 200), rng.uniform(0.5, 1.5, 200))


def draw_views(rng: np.random.Generator, recipe: Recipe) -> dict[str, NDArray]:
    """Draw the truth: rot, tilt, psi uniform over rotations (degrees), shifts (pixels) and defocus (A)."""
    n = recipe.n
    found = {"rot": rng.uniform(-180, 180, n), "tilt": np.rad2deg(np.arccos(rng.uniform(-1, 1, n)))}
    found |= truth.draw_poses(rng, n, recipe.shift_sd)
    if recipe.ctf:
        found["defocus_u"] = rng.uniform(10000, 25000, n)
        found["defocus_v"] = found["defocus_u"] - rng.uniform(0, 2000, n)
        found["defocus_angle"] = rng.uniform(0, 180, n)
    return found


def class_set(work: Path, recipe: Recipe) -> truth.TruthSet:
    """Make a set, or find it; references.mrcs holds every image's clean projection, centred and without CTF."""
    pixel, box = PIXEL[recipe.molecule], recipe.box

    def make(folder: Path) -> None:
        rng = np.random.default_rng(1000 + recipe.seed)
        known = draw_views(rng, recipe)
        files.write_map(folder / "map.mrc", density(recipe.molecule, box), pixel)
        columns = {"rlnAngleRot": known["rot"], "rlnAngleTilt": known["tilt"], "rlnAnglePsi": known["psi"]}
        origins = {"rlnOriginXAngst": known["dx"] * pixel, "rlnOriginYAngst": known["dy"] * pixel}
        centred = {**columns, **{name: 0.0 * value for name, value in origins.items()}}
        clean = relion.project(folder, "map.mrc", centred, box, pixel)
        seen = clean
        if recipe.ctf or recipe.shift_sd > 0:
            given = {**columns, **origins, **truth.ctf_columns(known)}
            seen = relion.project(folder, "map.mrc", given, box, pixel, ctf=recipe.ctf)
        (folder / "map.mrc").unlink()
        spectrum = noise.micrograph_spectrum(truth.data_folder(), box, pixel) if recipe.coloured else None
        known["reference"] = np.arange(recipe.n)
        truth.save(folder, seen, clean, known, snr=recipe.snr, rng=rng, pixel_size_angstrom=pixel, spectrum=spectrum)

    return truth.cached(work, "classes", vars(recipe), make)


def large_set(work: Path, n: int, shift_sd: float = 0.0) -> Path:
    """Write a set too large for memory in blocks, 70S, SNR .1, white, no references; return its STAR file.

    The truth of each block is in truthB.npz beside it. Shifts are normal, with ``shift_sd`` pixels on either axis.
    """
    name = f"classes-large-{n}" + (f"-shift{shift_sd:g}" if shift_sd > 0 else "")
    folder, box, pixel = work / "sets" / name, 64, PIXEL["ribosome"]
    if folder.exists():
        return folder / "particles.star"
    draft = folder.with_name(f"{folder.name}.draft{os.getpid()}")
    draft.mkdir(parents=True)
    files.write_map(draft / "map.mrc", density("ribosome", box), pixel)
    with mrcfile.new_mmap(draft / "particles.mrcs", (n, box, box), mrc_mode=2, overwrite=True) as stack:
        stack.set_image_stack()
        stack.voxel_size = pixel
        for start in range(0, n, BLOCK):
            rng = np.random.default_rng([7, start])
            known = draw_views(rng, Recipe(n=min(BLOCK, n - start), shift_sd=shift_sd))
            columns = {"rlnAngleRot": known["rot"], "rlnAngleTilt": known["tilt"], "rlnAnglePsi": known["psi"]}
            if shift_sd > 0:
                columns |= {"rlnOriginXAngst": known["dx"] * pixel, "rlnOriginYAngst": known["dy"] * pixel}
            clean = relion.project(draft, "map.mrc", columns, box, pixel)
            clean *= np.sqrt(0.1 / clean.var(axis=(1, 2)).mean())
            stack.data[start : start + len(clean)] = clean + noise.draw(rng, len(clean), box)
            np.savez(draft / f"truth{start // BLOCK}.npz", **known)
        stack.update_header_from_data()
    columns = {"rlnImageName": files.image_names(np.arange(n), "particles.mrcs")}
    columns["rlnMicrographName"] = ["micrograph1.mrc"] * n
    files.write_star(draft / "particles.star", columns, box=box, pixel_size_angstrom=pixel)
    draft.rename(folder)
    return folder / "particles.star"


def noise_set(work: Path, *, n: int, seed: int, coloured: bool = False, ctf: bool = False) -> Path:
    """Write noise alone under the work directory and return its STAR file; with CTF columns on request."""
    folder, box, pixel = work, 64, 5.0
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5000 + seed)
    spectrum = noise.micrograph_spectrum(truth.data_folder(), box, pixel) if coloured else None
    files.write_stack(folder / "particles.mrcs", noise.draw(rng, n, box, spectrum), pixel)
    columns = {"rlnImageName": files.image_names(np.arange(n), "particles.mrcs")}
    columns["rlnMicrographName"] = ["micrograph1.mrc"] * n
    if ctf:
        columns |= truth.ctf_columns(draw_views(rng, Recipe(n=n, ctf=True)))
    files.write_star(folder / "particles.star", columns, box=box, pixel_size_angstrom=pixel)
    return folder / "particles.star"
