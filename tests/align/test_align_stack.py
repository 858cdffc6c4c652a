"""The pixels of the aligned stack: background, noise, and the CTF that turns with them."""

from __future__ import annotations

import numpy as np
import pytest

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from helpers.align import (
    PhantomSet,
    align,
    correlation,
    disc,
    phantom_set,
    read_mrcs,
    ring_power,
    table,
)

pytestmark = pytest.mark.usefixtures("no_report")

BASIC = ("particles.star", "--reference", "ref.mrcs", "-o", "out")
POSE = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")


def test_background_of_the_aligned_stack(demo):
    folder, made = demo
    align(folder, *BASIC)
    outside = ~disc(64, 0.42 * 64)
    raw, aligned = made.images[:, outside], read_mrcs(folder / "out/aligned.mrcs")[:, outside]
    assert abs(aligned.mean() - raw.mean()) < 0.05
    assert 0.85 <= aligned.std() / raw.std() <= 1.05


def test_white_noise_keeps_its_power(tmp_path):
    rng = np.random.default_rng(4)
    made = phantom_set(192, 64, 3.0, snr=0.1, seed=6)
    noise = rng.standard_normal((192, 64, 64)).astype(np.float32)
    PhantomSet(noise, made.clean, made.references, made.poses, made.view, None, 3.0).write(tmp_path)
    align(tmp_path, *BASIC)
    aligned = read_mrcs(tmp_path / "out/aligned.mrcs")
    ratio = ring_power(aligned) / ring_power(noise)
    assert ratio[16:30].min() >= 0.95 and ratio[16:30].max() <= 1.05  # .25 to .45 cycles per pixel
    assert abs(aligned.mean()) < 0.05 and 0.85 <= aligned.std() <= 1.05


@pytest.mark.parametrize("mirror", [False, True], ids=["ordinary", "mirrored"])
def test_the_ctf_turns_with_the_pixels(tmp_path, mirror):
    """Phase flipping before the pose is applied equals flipping with the turned angle after it."""
    made = phantom_set(
        64, 96, 2.0, snr=20.0, seed=9, ctf=True, mirror=mirror, astigmatism=6000, defocus=(14000, 18000), diameter=110.0
    ).write(tmp_path)
    align(tmp_path, *BASIC, *(["--mirror"] if mirror else []))
    aligned = table(tmp_path / "out/aligned.star")

    def flip(images, angle):
        ctf = CtfParameters(
            300.0, 2.7, 0.1, made.ctf.defocus_u_angstrom, made.ctf.defocus_v_angstrom, angle.astype(float).to_numpy()
        )
        return np.fft.irfft2(np.fft.rfft2(images) * np.sign(ctf_images(ctf, 96, 2.0)), s=(96, 96))

    after = read_mrcs(tmp_path / "out/aligned.mrcs")
    right = flip(after, aligned["rlnDefocusAngle"])
    wrong = flip(after, table(tmp_path / "particles.star")["rlnDefocusAngle"])
    before = np.fft.irfft2(np.fft.rfft2(made.images) * np.sign(ctf_images(made.ctf, 96, 2.0)), s=(96, 96))
    poses = table(tmp_path / "out/particles.star")
    mirrored = poses["rlnIsFlip"].astype(int).to_numpy() == 1 if mirror else np.zeros(64, bool)
    psi, x, y = (poses[label].astype(float).to_numpy() for label in POSE)
    wanted = resample(before.astype(np.float32), Poses(psi, x / 2, y / 2, mirrored))
    agree = [np.mean([correlation(a, b, 30) for a, b in zip(one, wanted, strict=True)]) for one in (right, wrong)]
    assert agree[0] > 0.995 and 1 - agree[1] > 3 * (1 - agree[0])
