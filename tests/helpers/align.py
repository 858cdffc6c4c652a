"""What end-to-end tests of all commands share: small particle sets, files written by hand, running a command."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
from numpy.typing import NDArray

from cryoalign.cli.main import main
from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.poses import Poses
from cryoalign.simulation.phantom import built_in_phantom
from helpers.maps import phantom_map

MAP = "aspire/clean70SRibosome_vol_65p.mrc"
RESULT_ENDINGS = (".star", ".mrcs", ".npz", ".cs", ".csv")
MARKERS = ("RELION_JOB_EXIT_SUCCESS", "RELION_JOB_EXIT_FAILURE", "RELION_JOB_EXIT_ABORTED")
FEI = {"rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit status and the lines it wrote on stderr, and on stdout."""

    status: int
    lines: list[str]
    out: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        return [line for line in self.lines if line.startswith("Error: ")]


def run(folder: Path, *words: object) -> Ran:
    """Run ``cryoalign WORDS`` in this process, with a folder as the current one."""
    err, out = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        status = main([str(word) for word in words])
    return Ran(status, [line for line in err.getvalue().splitlines() if line.strip()], out.getvalue().splitlines())


def align(folder: Path, *words: object, status: int = 0) -> Ran:
    """Run ``cryoalign align`` on one thread and hold its exit status."""
    ran = run(folder, "align", "-q", "-j", 1, *words)
    assert ran.status == status, ran.lines
    return ran


def needs(*binaries: str) -> pytest.MarkDecorator:
    """Skip a test without these RELION programs."""
    missing = [name for name in binaries if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"RELION: {', '.join(missing)} not installed")


def call(folder: Path, *words: object) -> str:
    """Run another program in a folder; returns all it said."""
    done = subprocess.run([str(w) for w in words], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# ---- STAR and MRC files ------------------------------------------------------------------------------------------


def star(path: Path, **blocks: Mapping[str, Sequence | object]) -> Path:
    """Write blocks of columns as loops, without the code under test; a value that is no list is repeated."""
    text = ""
    for name, columns in blocks.items():
        count = max((len(v) for v in columns.values() if not isinstance(v, str) and np.ndim(v)), default=1)
        cells = [[str(v)] * count if np.ndim(v) == 0 else [str(x) for x in v] for v in columns.values()]
        labels = "".join(f"_{label} #{i + 1}\n" for i, label in enumerate(columns))
        rows = "".join(" ".join(row) + "\n" for row in zip(*cells, strict=True))
        text += f"\ndata_{name}\n\nloop_\n{labels}{rows}\n"
    path.write_text(text)
    return path


def optics(box: int, pixel: float, **more: object) -> dict[str, object]:
    """One optics group."""
    size = {"rlnImagePixelSize": pixel, "rlnImageSize": box, "rlnImageDimensionality": 2}
    return {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "g1", **size, **FEI, **more}


def table(path: Path, block: str = "particles") -> pd.DataFrame:
    """Read a block with every cell as text, without the code under test."""
    labels = [line[1:].split()[0] for line in path.read_text().splitlines() if line.startswith("_")]
    return starfile.read(path, always_dict=True, parse_as_string=labels)[block]


def numbers(path: Path, *labels: str) -> list[NDArray[np.float64]]:
    """Read columns of the particle table as numbers."""
    particles = table(path)
    return [particles[label].astype(float).to_numpy() for label in labels]


def write_mrcs(path: Path, images: NDArray, pixel: float) -> Path:
    """Write a stack as others do."""
    with mrcfile.new(path, data=np.asarray(images), overwrite=True) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = pixel
    return path


def read_mrcs(path: Path) -> NDArray[np.float32]:
    """Read images as (n, L, L)."""
    data = mrcfile.read(path)
    return data if data.ndim == 3 else data[None]


def results(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every result file of a run; none where there is no folder."""
    if not folder.exists():
        return {}
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in RESULT_ENDINGS}


# ---- measures ----------------------------------------------------------------------------------------------------


def disc(box: int, radius: float) -> NDArray[np.bool_]:
    """Pixels within a radius of the centre pixel."""
    y, x = np.mgrid[:box, :box] - box // 2
    return x * x + y * y <= radius * radius


def correlation(a: NDArray, b: NDArray, radius: float | None = None) -> float:
    """Correlate two images, within a radius of the centre."""
    inside = disc(a.shape[-1], a.shape[-1] if radius is None else radius)
    return float(np.corrcoef(a[inside], b[inside])[0, 1])


def scale(a: NDArray, b: NDArray, radius: float) -> float:
    """Slope of a on b within a radius, offsets apart."""
    inside = disc(a.shape[-1], radius)
    x, y = b[inside] - b[inside].mean(), a[inside] - a[inside].mean()
    return float(x @ y / (x @ x))


def ring_power(images: NDArray) -> NDArray[np.float64]:
    """Mean of |F|^2 / L^2 over rings 0 .. L // 2 and images."""
    box = images.shape[-1]
    k = np.fft.fftfreq(box) * box
    ring = np.rint(np.hypot(k[:, None], k[None, :])).astype(int)
    power = (np.abs(np.fft.fft2(images)) ** 2).mean(axis=0) / box**2
    return np.bincount(ring.ravel(), power.ravel())[: box // 2 + 1] / np.bincount(ring.ravel())[: box // 2 + 1]


def angle_difference(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Return a - b in degrees, in [-180, 180)."""
    return (np.asarray(a) - b + 180.0) % 360.0 - 180.0


def rms(values: NDArray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


# ---- particles ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """True poses in pixels, and the 1-based view of each particle."""

    psi: NDArray[np.float64]
    d: NDArray[np.float64]
    view: NDArray[np.int64]


def normalised(images: NDArray, radius: float) -> NDArray[np.float32]:
    """Bring every background to mean 0 and deviation 1, as RELION wants particles."""
    outside = ~disc(images.shape[-1], radius)
    level = images[:, outside].mean(axis=1)[:, None, None]
    return ((images - level) / images[:, outside].std(axis=1)[:, None, None]).astype(np.float32)


def particle_map(box: int, pixel: float) -> NDArray[np.float32]:
    """Return the 70S ribosome of the real files where they are (its own pixel size is 5 A), else the phantom."""
    file = Path(os.environ.get("CRYOALIGN_TEST_DATA", "")) / MAP
    if file.is_file():
        return np.ascontiguousarray(mrcfile.read(file)[:box, :box, :box])
    return phantom_map(built_in_phantom(0.75 * box * pixel, pixel), box, pixel)


def relion_particles(
    folder: Path, *, n: int, views: Sequence[tuple[float, float]], snr: float, ctf: bool, seed: int
) -> Truth:
    """Make particles.mrcs + particles.star and ref.mrcs (clean views) with relion_project: 64 px, 5 A."""
    box, pixel = 64, 5.0
    mrcfile.write(folder / "map.mrc", particle_map(box, pixel), voxel_size=pixel)
    rng = np.random.default_rng(seed)
    view = rng.integers(len(views), size=n)
    psi, d = rng.uniform(-180, 180, n), rng.normal(0, 2, (n, 2))
    d *= np.minimum(1, 5 / np.hypot(*d.T))[:, None]
    rot, tilt = np.array(views, float).T
    poses = {
        "rlnAngleRot": rot[view], "rlnAngleTilt": tilt[view], "rlnAnglePsi": np.round(psi, 6),
        "rlnOriginXAngst": np.round(pixel * d[:, 0], 6), "rlnOriginYAngst": np.round(pixel * d[:, 1], 6),
        "rlnOpticsGroup": 1,
    }  # fmt: skip
    defocus = {}
    if ctf:
        u = np.round(rng.uniform(10000, 25000, n), 2)
        v, angle = np.round(u - rng.uniform(0, 1000, n), 2), np.round(rng.uniform(0, 180, n), 2)
        defocus = {"rlnDefocusU": u, "rlnDefocusV": v, "rlnDefocusAngle": angle}
    zeros = dict.fromkeys(("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"), 0)
    star(folder / "angles.star", optics=optics(box, pixel), particles=poses | defocus)
    ends = {"rlnAngleRot": rot, "rlnAngleTilt": tilt, **zeros, "rlnOpticsGroup": 1}
    star(folder / "ref_angles.star", optics=optics(box, pixel), particles=ends)
    for angles, out, more in (("angles.star", "clean", ["--ctf"] if ctf else []), ("ref_angles.star", "ref", [])):
        call(folder, "relion_project", "--i", "map.mrc", "--o", out, "--ang", angles, "--angpix", pixel, *more)
    clean = read_mrcs(folder / "clean.mrcs")
    sigma = np.sqrt(clean.var(axis=(1, 2)).mean() / snr)
    noisy = normalised(clean + sigma * rng.standard_normal(clean.shape), 0.4 * box)
    write_mrcs(folder / "particles.mrcs", noisy, pixel)
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(n)]
    star(
        folder / "particles.star", optics=optics(box, pixel),
        particles={"rlnImageName": names, "rlnOpticsGroup": 1, **defocus},
    )  # fmt: skip
    return Truth(psi, d, view + 1)


@dataclass(frozen=True)
class PhantomSet:
    """Particles of the built-in phantom, as arrays; `write` puts them into files.

    ``clean`` are the images without noise, ``references`` the views at psi 0, without CTF or shift.
    """

    images: NDArray[np.float32]
    clean: NDArray[np.float32]
    references: NDArray[np.float32]
    poses: Poses
    view: NDArray[np.int64]
    ctf: CtfParameters | None
    pixel: float

    @property
    def columns(self) -> dict[str, object]:
        """CTF columns."""
        if self.ctf is None:
            return {}
        names = {"U": "defocus_u_angstrom", "V": "defocus_v_angstrom", "Angle": "defocus_angle_deg"}
        return {f"rlnDefocus{end}": getattr(self.ctf, name) for end, name in names.items()}

    def write(self, folder: Path, **columns: object) -> PhantomSet:
        """Write particles.mrcs, particles.star and ref.mrcs; further particle columns as told."""
        box = self.images.shape[-1]
        write_mrcs(folder / "particles.mrcs", self.images, self.pixel)
        write_mrcs(folder / "ref.mrcs", self.references, self.pixel)
        names = [f"{i + 1:06d}@particles.mrcs" for i in range(len(self.images))]
        particles = {"rlnImageName": names, "rlnOpticsGroup": 1, **self.columns, **columns}
        star(folder / "particles.star", optics=optics(box, self.pixel), particles=particles)
        return self

    def errors(self, star_file: Path, rows: NDArray | slice = slice(None)) -> tuple[float, float]:
        """RMS of angles in degrees and of origins in pixels, of rows whose mirror is right."""
        psi, x, y = numbers(star_file, "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
        d = np.hypot(x / self.pixel - self.poses.dx, y / self.pixel - self.poses.dy)
        return rms(angle_difference(psi, self.poses.psi)[rows]), rms(d[rows])


def phantom_set(
    n: int, box: int, pixel: float, *, snr: float, seed: int, views: int = 1, ctf: bool = False, mirror: bool = False,
    shift_sd: float = 1.5, coloured: bool = False, diameter: float | None = None,
    defocus: tuple[float, float] = (10000, 20000), astigmatism: float = 800,
) -> PhantomSet:  # fmt: skip
    """Make particles in memory: analytic projections, CTF, noise of background variance 1."""
    rng = np.random.default_rng(seed)
    phantom = built_in_phantom(0.6 * box * pixel if diameter is None else diameter, 4.0)
    rot, tilt = np.array([(40, 60), (100, 120), (-60, 20)][:views], float).T
    view = rng.integers(views, size=n)
    dx, dy = np.clip(rng.normal(0, shift_sd, (2, n)), -box / 20, box / 20)
    poses = Poses(rng.uniform(-180, 180, n), dx, dy, rng.random(n) < 0.5 if mirror else np.zeros(n, bool))
    # A mirrored particle is the flipped image of an ordinary one.
    clean = phantom.project(rot[view], tilt[view], replace(poses, mirror=np.zeros(n, bool)), box, pixel)
    clean = np.where(poses.mirror[:, None, None], flipped(clean), clean)
    parameters = None
    if ctf:
        u = np.round(rng.uniform(*defocus, n), 2)
        v, angle = np.round(u - rng.uniform(0, astigmatism, n), 2), np.round(rng.uniform(0, 180, n), 2)
        parameters = CtfParameters(300.0, 2.7, 0.1, u, v, angle)
        clean = np.fft.irfft2(np.fft.rfft2(clean) * ctf_images(parameters, box, pixel), s=(box, box))
    references = phantom.project(rot, tilt, Poses.identity(views), box, pixel)
    gain = np.sqrt(snr / clean.var(axis=(1, 2)).mean())
    noise = rng.standard_normal(clean.shape)
    if coloured:
        k = np.hypot(np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)[None, :])
        noise = np.fft.irfft2(np.fft.rfft2(noise) * np.sqrt(0.4 + 4 * np.exp(-((k / 0.1) ** 2))), s=(box, box))
        noise /= noise.std()
    images = (gain * clean + noise).astype(np.float32)
    return PhantomSet(
        images, (gain * clean).astype(np.float32), (gain * references).astype(np.float32), poses, view, parameters,
        pixel,
    )  # fmt: skip


def flipped(images: NDArray) -> NDArray:
    """Flip x about the centre pixel."""
    return np.roll(images[..., ::-1], 1, axis=-1) if images.shape[-1] % 2 == 0 else images[..., ::-1]
