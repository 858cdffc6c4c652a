"""What RELION means by a magnification matrix, and that ours is the same.

relion_project 3.1.3 does not distort what it projects (only its CTF knows of the matrix), so RELION is asked the other
way round: relion_reconstruct in two dimensions gets images that a formula distorted, and must give back the blobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers.align import align, call, correlation, needs, numbers, optics, read_mrcs, run, scale, star, write_mrcs
from helpers.blobs import Blobs, random_blobs
from helpers.distorted import PIXEL, matrix_columns, stored_images, stretched

pytestmark = needs("relion_reconstruct")

BOX, N = 64, 24
MATRIX = np.array([[1.06, 0.07], [-0.03, 0.95]])
"""Far from 1 and not symmetric, so that its inverse and its transpose are seen to be wrong."""


@dataclass(frozen=True)
class Particles:
    """Blobs, the poses and CTFs of 24 stored images of them."""

    blobs: Blobs
    psi: np.ndarray
    d: np.ndarray
    defocus: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return self.blobs.image(BOX)

    def write(self, folder: Path, geometry=MATRIX, matrix=MATRIX, ctf_at=None, shift_at=None, noise=0.0) -> None:
        """Write in.star and in.mrcs: images distorted in one way, and the matrix that the table says."""
        wrong = {"ctf_at": MATRIX if ctf_at is None else ctf_at, "shift_at": shift_at}
        images = stored_images(self.blobs, BOX, geometry, self.psi, self.d, defocus=self.defocus, **wrong)
        images += noise * np.random.default_rng(1).standard_normal(images.shape)
        write_mrcs(folder / "in.mrcs", images.astype(np.float32), PIXEL)
        more = {} if matrix is None else matrix_columns(matrix)
        star(
            folder / "in.star", optics=optics(BOX, PIXEL, **more),
            particles={
                "rlnImageName": [f"{i + 1:06d}@in.mrcs" for i in range(N)], "rlnOpticsGroup": [1] * N,
                "rlnAnglePsi": self.psi,
                "rlnOriginXAngst": self.d[:, 0] * PIXEL, "rlnOriginYAngst": self.d[:, 1] * PIXEL,
                "rlnDefocusU": self.defocus[:, 0], "rlnDefocusV": self.defocus[:, 1],
                "rlnDefocusAngle": self.defocus[:, 2], "rlnClassNumber": [1] * N,
            },
        )  # fmt: skip


@pytest.fixture(scope="module")
def particles() -> Particles:
    rng = np.random.default_rng(0)
    u = rng.uniform(2e4, 3.5e4, N)
    defocus = np.stack([u, u + 6000, rng.uniform(0, 180, N)], axis=1)
    blobs = random_blobs(rng, 20, count=9, width=(1.0, 1.2))
    return Particles(blobs, rng.uniform(-180, 180, N), rng.uniform(-9, 9, (N, 2)), defocus)


def reconstructed(folder: Path, star_file: str = "in.star") -> np.ndarray:
    call(
        folder, "relion_reconstruct", "--i", star_file, "--o", "rec.mrc", "--refdim", 2, "--angpix", PIXEL, "--ctf"
    )  # fmt: skip
    return read_mrcs(folder / "rec.mrc")[0]


def test_relion_takes_k_for_m_k_and_evaluates_the_ctf_there_and_shifts_stored_images(particles, tmp_path):
    particles.write(tmp_path)
    found = reconstructed(tmp_path)
    assert correlation(found, particles.truth, 25) > 0.999
    # The scale is that of the same images without distortion: no determinant, which is 1.009.
    particles.write(tmp_path, geometry=np.eye(2), matrix=None, ctf_at=np.eye(2))
    assert abs(scale(found, reconstructed(tmp_path), 25) - 1) < 0.003


@pytest.mark.parametrize(
    "wrong",
    [
        {"geometry": np.linalg.inv(MATRIX)},
        {"geometry": MATRIX.T},
        {"geometry": np.linalg.inv(MATRIX).T},
        {"matrix": None},
        {"ctf_at": np.eye(2)},
        {"ctf_at": np.linalg.inv(MATRIX)},
        {"shift_at": MATRIX},
        {"shift_at": np.linalg.inv(MATRIX)},
    ],
    ids=["M^-1", "M^T", "M^-T", "no matrix", "CTF at k", "CTF at M^-1 k", "shift of M k", "shift of M^-1 k"],
)
def test_any_other_meaning_is_seen(particles, tmp_path, wrong):
    particles.write(tmp_path, **wrong)
    assert correlation(reconstructed(tmp_path), particles.truth, 25) < 0.997


def test_our_average_is_that_of_relion(particles, tmp_path):
    particles.write(tmp_path)
    wanted = reconstructed(tmp_path)
    words = ["average", "-q", "-j", 1, "in.star", "-o", "out", "--all", "--ssnr", "1e7", "--no-normalize"]
    assert run(tmp_path, *words, "--apply-mag-matrix").status == 0
    found = read_mrcs(tmp_path / "out/averages.mrcs")[0]
    assert correlation(found, wanted, 25) > 0.999
    assert abs(scale(found, wanted, 25) - 1) < 0.01
    assert run(tmp_path, *words, "--overwrite").status == 0
    assert correlation(read_mrcs(tmp_path / "out/averages.mrcs")[0], wanted, 25) < 0.99


def test_the_poses_that_align_finds_are_those_that_relion_needs(particles, tmp_path, no_report):
    particles.write(tmp_path, matrix=stretched(3, 30), geometry=stretched(3, 30), ctf_at=stretched(3, 30), noise=0.05)
    write_mrcs(tmp_path / "ref.mrcs", particles.truth[None].astype(np.float32), PIXEL)
    words = ["in.star", "--reference", "ref.mrcs", "-o", "out", "--apply-mag-matrix", "--max-shift-px", 14]
    align(tmp_path, *words)
    x, y = numbers(tmp_path / "out/particles.star", "rlnOriginXAngst", "rlnOriginYAngst")
    np.testing.assert_allclose(np.stack([x, y], axis=1) / PIXEL, particles.d, atol=0.1)
    assert correlation(reconstructed(tmp_path, "out/particles.star"), particles.truth, 25) > 0.99
    # Corrected pixels, identities, the defocus angle turned: RELION makes the same of them.
    assert correlation(reconstructed(tmp_path, "out/aligned.star"), particles.truth, 25) > 0.99
