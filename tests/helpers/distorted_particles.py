"""Particle sets of one view, distorted by a formula, in files: for the commands that take ``--apply-mag-matrix``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.align import angle_difference, numbers, rms, star, write_mrcs
from helpers.align import optics as one_group
from helpers.blobs import Blobs, random_blobs
from helpers.distorted import PIXEL, matrix_columns, stored_images, stretched

MATRIX = stretched(3, 30)
FLAG = "--apply-mag-matrix"
IGNORED = "magnification matrices of the optics table are ignored"


@dataclass(frozen=True)
class Distorted:
    """Particles of one view, poses in RELION's terms, and how far a table is from them."""

    blobs: Blobs
    psi: np.ndarray
    d: np.ndarray
    mirror: np.ndarray

    def errors(self, path: Path) -> tuple[float, float]:
        """RMS of angles in degrees, and of origins in pixels of the stored images."""
        psi, x, y = numbers(path, "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
        return rms(angle_difference(psi, self.psi)), rms(np.hypot(*(np.stack([x, y]) / PIXEL - self.d.T)))


def distorted(
    folder: Path, n=96, box=64, groups=(MATRIX,), written=None, snr=0.5, ctf=False, mirrors=False, seed=1, spread=1.5,
    poses=False, **columns,
) -> Distorted:  # fmt: skip
    """Write particles.star, particles.mrcs and ref.mrcs; particles take turns among the groups.

    ``written`` are the matrices that the table says, if not the true ones; with ``poses`` it holds the true poses.
    """
    rng = np.random.default_rng(seed)
    blobs = random_blobs(rng, 0.3 * box, count=20, width=(1.2, 2.2))
    psi, d = rng.uniform(-180, 180, n), np.clip(rng.normal(0, spread, (n, 2)), -4, 4)
    mirror = rng.random(n) < 0.5 if mirrors else np.zeros(n, bool)
    u = np.round(rng.uniform(12000, 22000, n), 1)
    defocus = np.stack([u, u - 700, np.round(rng.uniform(0, 180, n), 1)], axis=1)
    noise, group = rng.standard_normal((n, box, box)), np.arange(n) % len(groups)
    images = np.empty((n, box, box))
    for g, matrix in enumerate(groups):
        mine = group == g
        images[mine] = stored_images(
            blobs, box, matrix, psi[mine], d[mine], mirror=mirror[mine], defocus=defocus[mine] if ctf else None
        )
    gain = np.sqrt(snr / images.var(axis=(1, 2)).mean())
    write_mrcs(folder / "particles.mrcs", (gain * images + noise).astype(np.float32), PIXEL)
    write_mrcs(folder / "ref.mrcs", (gain * blobs.images(box)).astype(np.float32), PIXEL)
    names = [f"g{g + 1}" for g in range(len(groups))]
    more = {"rlnOpticsGroup": list(range(1, len(groups) + 1)), "rlnOpticsGroupName": names}
    if poses:
        columns |= {"rlnAnglePsi": psi, "rlnOriginXAngst": d[:, 0] * PIXEL, "rlnOriginYAngst": d[:, 1] * PIXEL}
        columns |= {"rlnClassNumber": [1] * n} | ({"rlnIsFlip": mirror.astype(int)} if mirrors else {})
    particles = {"rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(n)], "rlnOpticsGroup": group + 1}
    if ctf:
        particles |= {f"rlnDefocus{end}": defocus[:, c] for c, end in enumerate(("U", "V", "Angle"))}
    optics = one_group(box, PIXEL) | more | matrix_columns(*(groups if written is None else written))
    star(folder / "particles.star", optics=optics, particles=particles | columns)
    return Distorted(blobs, psi, d, mirror)
