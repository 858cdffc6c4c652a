"""Linear resampling against ``relion_stack_create --apply_transformation``, from a STAR file to a stack."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest

from cryoalign.core.poses import Poses, rotate_points
from cryoalign.core.resample.resample import resample

BINARY = "relion_stack_create"
PIXEL_SIZE_ANGSTROM = 1.7

pytestmark = pytest.mark.skipif(shutil.which(BINARY) is None, reason=f"RELION: {BINARY} is not installed")


def write_particles(folder, images, poses):
    with mrcfile.new(folder / "in.mrcs", data=images) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = PIXEL_SIZE_ANGSTROM
    star = [
        "data_optics", "", "loop_", "_rlnOpticsGroup #1", "_rlnOpticsGroupName #2", "_rlnImagePixelSize #3",
        "_rlnImageSize #4", "_rlnImageDimensionality #5", "_rlnVoltage #6", "_rlnSphericalAberration #7",
        f"1 group1 {PIXEL_SIZE_ANGSTROM} {images.shape[1]} 2 300 2.7", "", "",
        "data_particles", "", "loop_", "_rlnImageName #1", "_rlnOpticsGroup #2", "_rlnAnglePsi #3",
        "_rlnOriginXAngst #4", "_rlnOriginYAngst #5",
    ]  # fmt: skip
    for i in range(len(images)):
        x, y = PIXEL_SIZE_ANGSTROM * poses.dx[i], PIXEL_SIZE_ANGSTROM * poses.dy[i]
        star.append(f"{i + 1:06d}@in.mrcs 1 {poses.psi[i]:.12f} {x:.12f} {y:.12f}")
    (folder / "in.star").write_text("\n".join(star) + "\n")


@pytest.fixture(scope="module", params=[64, 65])
def transformed(request, tmp_path_factory):
    """Return raw images, poses, and what RELION made of them."""
    box, n = request.param, 40
    folder = tmp_path_factory.mktemp(f"box{box}")
    rng = np.random.default_rng(box)
    images = rng.standard_normal((n, box, box)).astype(np.float32)
    psi, dx, dy = rng.uniform(-180, 180, n), rng.uniform(-9, 9, n), rng.uniform(-9, 9, n)
    psi[:6], dx[:6], dy[:6] = [0, 90, 180, -90, 0, 45], [0, 0, 0, 0, 3, 0], [0, 0, 0, 0, -2.5, 0]
    poses = Poses(psi, dx, dy)
    write_particles(folder, images, poses)
    subprocess.run(
        [BINARY, "--i", "in.star", "--o", "out", "--apply_transformation"], cwd=folder, check=True, capture_output=True
    )
    return images, poses, mrcfile.read(folder / "out.mrcs")


def relative_error(images, poses, relion):
    ours = resample(images, poses, interpolation="linear", edge="zero")
    return np.abs(ours - relion).max(axis=(1, 2)) / relion.std()


def rms_error(images, poses, relion):
    ours = resample(images, poses, interpolation="linear", edge="zero")
    return np.sqrt(np.mean((ours - relion) ** 2)) / relion.std()


def test_linear_equals_relion(transformed):
    images, poses, relion = transformed
    assert relion.std() > 0.3
    assert relative_error(images, poses, relion).max() < 1e-5


@pytest.mark.parametrize(
    "mistake",
    [
        lambda p: Poses(-p.psi, p.dx, p.dy),
        lambda p: Poses(p.psi, -p.dx, -p.dy),
        lambda p: Poses(p.psi, *rotate_points(-p.psi, p.dx, p.dy)),
        lambda p: Poses(p.psi, p.dy, p.dx),
        lambda p: Poses(p.psi, p.dx, p.dy, np.ones(len(p), bool)),
    ],
    ids=["psi sign", "origin sign", "rotation before shift", "axes of the origin", "mirrored"],
)
def test_a_wrong_convention_is_seen(transformed, mistake):
    images, poses, relion = transformed
    assert rms_error(images, mistake(poses), relion) > 0.3


def test_transposed_images_are_seen(transformed):
    images, poses, relion = transformed
    assert rms_error(images.transpose(0, 2, 1), poses, relion.transpose(0, 2, 1)) > 0.3
