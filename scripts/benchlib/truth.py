"""Particle sets whose truth cryoalign did not make, written once under the work directory and found again by key."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import files, noise, relion
from .bound import Grid
from .ctf import ctf_values
from .phantom import Phantom, cone_views, uniform_views

VERSION = 1  # raise when a recipe changes: old sets are then made anew
RIBOSOME_VIEW = (40.0, 75.0)  # rot, tilt: one generic view


@dataclass(frozen=True)
class TruthSet:
    """A set on disk: particles.star, particles.mrcs, references.mrcs and the truth.

    ``truth``: psi (degrees), dx, dy (pixels), reference (0-based), noise_power (power per pixel by ring) and, with a
    CTF, defocus_u, defocus_v, defocus_angle. References are clean and on the particles' scale.
    """

    folder: Path
    truth: dict[str, NDArray]
    box: int
    pixel_size_angstrom: float

    @property
    def particles(self) -> Path:
        """The particle STAR file."""
        return self.folder / "particles.star"

    @property
    def references(self) -> Path:
        """The reference stack."""
        return self.folder / "references.mrcs"

    def images(self) -> NDArray[np.float32]:
        """Read the particles."""
        return files.read_stack(self.folder / "particles.mrcs")

    def ctf(self) -> NDArray | None:
        """Evaluate the true CTF at the judges' frequencies, (n, p); None without one."""
        if "defocus_u" not in self.truth:
            return None
        grid, size = Grid.make(self.box), self.box * self.pixel_size_angstrom
        return ctf_values(
            grid.kx / size,
            grid.ky / size,
            *(self.truth[k] for k in ("defocus_u", "defocus_v", "defocus_angle")),
        )


def data_folder() -> Path:
    """Return the folder of test files named by CRYOALIGN_TEST_DATA (else ../shared/data beside the project)."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("CRYOALIGN_TEST_DATA", default))


def cached(work: Path, kind: str, recipe: dict, make: Callable[[Path], None]) -> TruthSet:
    """Find the set of a recipe, or make it in a folder that gets its name only when it is whole."""
    text = json.dumps({"kind": kind, "version": VERSION, **recipe}, sort_keys=True)
    folder = work / "sets" / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not folder.exists():
        draft = folder.with_name(f"{folder.name}.draft{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        make(draft)
        (draft / "recipe.json").write_text(text + "\n")
        try:
            draft.rename(folder)
        except OSError:  # another benchmark made the same set meanwhile
            shutil.rmtree(draft)
    with np.load(folder / "truth.npz") as stored:
        truth = {k: stored[k] for k in stored.files}
    box, pixel = int(truth.pop("box")), float(truth.pop("pixel_size_angstrom"))
    return TruthSet(folder, truth, box, pixel)


def draw_poses(rng: np.random.Generator, n: int, shift_sd: float = 2.0, shift_limit: float = 5.0) -> dict[str, NDArray]:
    """Draw psi uniform and shifts normal, redrawn where longer than the limit (pixels)."""
    shift = rng.normal(0, shift_sd, (n, 2))
    while (far := np.hypot(*shift.T) > shift_limit).any():
        shift[far] = rng.normal(0, shift_sd, (far.sum(), 2))
    return {"psi": rng.uniform(-180, 180, n), "dx": shift[:, 0], "dy": shift[:, 1]}


def save(
    folder: Path,
    clean: NDArray,
    references: NDArray,
    truth: dict[str, NDArray],
    *,
    snr: float,
    rng: np.random.Generator,
    pixel_size_angstrom: float,
    spectrum: NDArray | None = None,
) -> None:
    """Scale the signal to the SNR at noise variance 1, add the noise, write the set. ``snr`` 0 means no noise.

    SNR = mean over images of the variance of the clean image over the whole box / noise variance per pixel.
    """
    box = clean.shape[-1]
    variance = float(np.mean(clean.astype(np.float64).var(axis=(1, 2))))
    scale = np.sqrt((snr or 1.0) / variance)
    power = np.ones(box) if spectrum is None else spectrum
    images = (scale * clean).astype(np.float32)
    if snr:
        for start in range(0, len(images), 256):
            part = images[start : start + 256]
            part += noise.draw(rng, len(part), box, None if spectrum is None else power)
    truth = {**truth, "noise_power": power if snr else np.full(box, 1e-6), "snr": np.array(snr)}
    files.write_stack(folder / "particles.mrcs", images, pixel_size_angstrom)
    files.write_stack(folder / "references.mrcs", scale * references, pixel_size_angstrom)
    np.savez(folder / "truth.npz", box=box, pixel_size_angstrom=pixel_size_angstrom, **truth)
    columns = {"rlnImageName": files.image_names(np.arange(len(images)), "particles.mrcs")}
    columns["rlnMicrographName"] = ["micrograph1.mrc"] * len(images)
    columns.update(ctf_columns(truth))
    files.write_star(folder / "particles.star", columns, box=box, pixel_size_angstrom=pixel_size_angstrom)


def ctf_columns(truth: dict[str, NDArray]) -> dict[str, NDArray]:
    """Return the defocus columns of a set that has them."""
    names = {"defocus_u": "rlnDefocusU", "defocus_v": "rlnDefocusV", "defocus_angle": "rlnDefocusAngle"}
    return {column: truth[key] for key, column in names.items() if key in truth}


def map_set(
    work: Path,
    *,
    molecule: str = "ribosome",
    n: int = 300,
    snr: float = 0.1,
    seed: int = 1,
    ctf: bool = False,
    coloured: bool = False,
) -> TruthSet:
    """Make one view by relion_project.

    "ribosome": 70S map, 64 px, 5 A/px. "fine": a Gaussian-atom map with detail to Nyquist, 128 px, 2 A/px.
    """
    box, pixel = (64, 5.0) if molecule == "ribosome" else (128, 2.0)
    rot, tilt = RIBOSOME_VIEW

    def make(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        truth = draw_poses(rng, n)
        if ctf:
            truth["defocus_u"] = rng.uniform(10000, 25000, n)
            truth["defocus_v"] = truth["defocus_u"] - rng.uniform(0, 2000, n)
            truth["defocus_angle"] = rng.uniform(0, 180, n)
        if molecule == "ribosome":
            density = files.read_stack(data_folder() / "aspire" / "clean70SRibosome_vol_65p.mrc")
            # 65 -> 64: without the last slice of each axis (empty to 3 %) the centre is pixel 32 = 64 // 2 as before.
            density = density[:64, :64, :64] / density.std()
        else:
            density = Phantom.make(seed=12, n_atoms=300, radius=0.3, widths=(0.007, 0.014)).density(box)
        files.write_map(folder / "map.mrc", density, pixel)
        poses = {"rlnAngleRot": np.full(n, rot), "rlnAngleTilt": np.full(n, tilt), "rlnAnglePsi": truth["psi"]}
        poses.update({"rlnOriginXAngst": truth["dx"] * pixel, "rlnOriginYAngst": truth["dy"] * pixel})
        zero = {k: v[:1] * (k in ("rlnAngleRot", "rlnAngleTilt")) for k, v in poses.items()}
        reference = relion.project(folder, "map.mrc", zero, box, pixel)
        clean = relion.project(folder, "map.mrc", {**poses, **ctf_columns(truth)}, box, pixel, ctf=ctf)
        (folder / "map.mrc").unlink()
        spectrum = noise.micrograph_spectrum(data_folder(), box, pixel) if coloured else None
        truth["reference"] = np.zeros(n, int)
        save(folder, clean, reference, truth, snr=snr, rng=rng, pixel_size_angstrom=pixel, spectrum=spectrum)

    recipe = {
        "molecule": molecule,
        "view": RIBOSOME_VIEW,
        "n": n,
        "snr": snr,
        "seed": seed,
        "ctf": ctf,
        "coloured": coloured,
    }
    return cached(work, "map", recipe, make)


def phantom_set(
    work: Path,
    *,
    box: int = 128,
    n_references: int = 10,
    views: str = "uniform",
    n: int = 300,
    snr: float = 0.1,
    seed: int = 1,
    smooth: bool = False,
) -> TruthSet:
    """Make analytic projections of the Gaussian-atom molecule, white noise, 1.5 A/px at 128 px.

    ``views``: "uniform" or "cone" (25 degrees). ``smooth``: wider atoms, so that sampling loses nothing (at 64 px the
    usual ones reach Nyquist at 1 %).
    """
    pixel = 192.0 / box

    def make(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        molecule = Phantom.make(radius=0.24, widths=(0.026, 0.04)) if smooth else Phantom.make()
        rot, tilt = uniform_views(n_references) if views == "uniform" else cone_views(n_references, 25.0)
        truth = draw_poses(rng, n, 2.0, box / 13)
        truth["reference"] = rng.integers(0, n_references, n)
        which = truth["reference"]
        clean = molecule.project(box, rot[which], tilt[which], truth["psi"], truth["dx"], truth["dy"])
        references = molecule.project(box, rot, tilt, 0.0, 0.0, 0.0)
        save(folder, clean, references, truth, snr=snr, rng=rng, pixel_size_angstrom=pixel)

    recipe = {
        "box": box,
        "n_references": n_references,
        "views": views,
        "n": n,
        "snr": snr,
        "seed": seed,
        "smooth": smooth,
    }
    return cached(work, "phantom", recipe, make)


def repeated(work: Path, base: TruthSet, n_rows: int) -> Path:
    """Write a STAR file beside a set that lists its images again and again, n_rows in all: size without disk."""
    path = base.folder / f"repeated{n_rows}.star"
    if not path.exists():
        rows = np.arange(n_rows) % len(base.truth["psi"])
        columns = {"rlnImageName": files.image_names(rows, "particles.mrcs")}
        columns["rlnMicrographName"] = ["micrograph1.mrc"] * n_rows
        columns.update(ctf_columns({k: v[rows] for k, v in base.truth.items() if k.startswith("defocus")}))
        draft = path.with_suffix(".draft")
        files.write_star(draft, columns, box=base.box, pixel_size_angstrom=base.pixel_size_angstrom)
        draft.rename(path)
    return path


def phase_flipped(base: TruthSet) -> Path:
    """Write the set with the signs of the CTF corrected and no CTF columns (particles as a CTF-less program wants)."""
    path = base.folder / "flipped.star"
    if not path.exists():
        size = base.box * base.pixel_size_angstrom
        fx, fy = np.fft.rfftfreq(base.box) * base.box / size, np.fft.fftfreq(base.box) * base.box / size
        ky, kx = np.meshgrid(fy, fx, indexing="ij")
        keys = ("defocus_u", "defocus_v", "defocus_angle")
        sign = np.sign(ctf_values(kx.ravel(), ky.ravel(), *(base.truth[k] for k in keys))).reshape(-1, *kx.shape)
        images = np.fft.irfft2(np.fft.rfft2(base.images()) * sign, s=(base.box, base.box))
        files.write_stack(base.folder / "flipped.mrcs", images, base.pixel_size_angstrom)
        columns = {"rlnImageName": files.image_names(np.arange(len(images)), "flipped.mrcs")}
        columns["rlnMicrographName"] = ["micrograph1.mrc"] * len(images)
        files.write_star(path, columns, box=base.box, pixel_size_angstrom=base.pixel_size_angstrom)
    return path
