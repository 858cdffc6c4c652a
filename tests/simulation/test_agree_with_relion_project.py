import mrcfile
import numpy as np
import pytest
import scipy.fft

from cryoalign.core.ctf import CtfParameters, ctf_images
from cryoalign.core.poses import Poses
from cryoalign.io.particles import read_particles
from cryoalign.io.stacks import StackSource
from cryoalign.jobs.simulate.job import run_simulate
from cryoalign.jobs.simulate.parameters import SimulateParameters
from cryoalign.simulation.phantom import built_in_phantom
from cryoalign.simulation.project import MapProjector
from helpers.maps import phantom_map

N = 6


def truth(seed):
    rng = np.random.default_rng(seed)
    rot, tilt = rng.uniform(0, 360, N), np.degrees(np.arccos(rng.uniform(-1, 1, N)))
    poses = Poses(rng.uniform(-180, 180, N), *rng.normal(0, 3, (2, N)))
    u, v, angle = rng.uniform(8e3, 2e4, N), rng.uniform(8e3, 2e4, N), rng.uniform(0, 180, N)
    extras = rng.uniform(0, 90, N), rng.uniform(0, 100, N), rng.uniform(0.8, 1.2, N)
    return rot, tilt, poses, CtfParameters(300, 2.7, 0.1, u, v, angle, *extras)


def assert_same_images(ours, relion, box):
    if box % 2:
        # relion_project puts odd boxes one pixel to the right and down, at every pose: its centre is N // 2 + 1.
        relion = np.roll(relion, (-1, -1), (-2, -1))
    for a, b in zip(ours.reshape(N, -1), relion.reshape(N, -1), strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.999
        assert np.dot(a, b) / np.dot(a, a) == pytest.approx(1, abs=0.02)


def multiply(images, ctf, pixel_size):
    box = images.shape[-1]
    return scipy.fft.irfft2(scipy.fft.rfft2(images) * ctf_images(ctf, box, pixel_size), s=(box, box))


@pytest.mark.parametrize("with_ctf", [False, True])
@pytest.mark.parametrize("box", [64, 65])
def test_agree_with_relion_project_on_the_phantom(relion_project, box, with_ctf):
    rot, tilt, poses, ctf = truth(3)
    phantom = built_in_phantom(0.6 * box * 3.0, 4.0)
    voxels = phantom_map(phantom, box, 3.0)
    relion = relion_project.project(voxels, 3.0, rot, tilt, poses, ctf if with_ctf else None)
    for projector in (phantom, MapProjector(voxels, 3.0)):
        ours = projector.project(rot, tilt, poses, box, 3.0)
        assert_same_images(multiply(ours, ctf, 3.0) if with_ctf else ours, relion, box)


@pytest.mark.parametrize("with_ctf", [False, True])
@pytest.mark.parametrize("box", [64, 65])
def test_agree_with_relion_project_on_a_ribosome(relion_project, real_data, box, with_ctf):
    rot, tilt, poses, ctf = truth(4)
    voxels = mrcfile.read(real_data / "aspire" / "clean70SRibosome_vol_65p.mrc")[:box, :box, :box]
    relion = relion_project.project(voxels, 5.0, rot, tilt, poses, ctf if with_ctf else None)
    ours = MapProjector(voxels, 5.0).project(rot, tilt, poses, box, 5.0)
    assert_same_images(multiply(ours, ctf, 5.0) if with_ctf else ours, relion, box)


@pytest.mark.parametrize("box", [64, 65])
def test_agree_with_relion_project_on_the_ctf_at_every_frequency(relion_project, box):
    rot, tilt, poses, ctf = truth(5)
    voxels = np.zeros((box, box, box))
    voxels[(box // 2,) * 3] = 1.0  # power everywhere
    plain, with_ctf = (relion_project.project(voxels, 3.0, rot, tilt, poses, c) for c in (None, ctf))
    plain, with_ctf = scipy.fft.rfft2(plain), scipy.fft.rfft2(with_ctf)
    power = np.abs(plain) ** 2
    seen = power > 0.1 * power.max()
    seen[:, box // 2] = seen[:, :, box // 2] = False  # at Nyquist a real image cannot hold an astigmatic CTF
    ratio = np.real(with_ctf * np.conj(plain))[seen] / power[seen]
    assert seen.sum() > 0.5 * seen.size
    np.testing.assert_allclose(ratio, ctf_images(ctf, box, 3.0)[seen], atol=1e-4)


def test_agree_with_relion_project_on_the_files_of_simulate(relion_project, monkeypatch):
    folder = relion_project.folder
    monkeypatch.chdir(folder)
    phantom = built_in_phantom(0.6 * 64 * 3.0, 4.0)
    voxels = phantom_map(phantom, 64, 3.0)
    mrcfile.write(folder / "model.mrc", voxels, voxel_size=3.0)
    parameters = SimulateParameters(
        output=folder / "sim", map=folder / "model.mrc", count=N, ctf=True, astigmatism=0.5, noise="none", shift_sd=3.0
    )
    assert run_simulate(parameters, argv=["simulate"], verbosity=-1) == 0
    relion = relion_project.run(voxels, 3.0, folder / "sim" / "truth.star", "--ctf")
    ours = StackSource(read_particles([folder / "sim" / "particles.star"])).read(np.arange(N))
    assert_same_images(ours, relion, 64)
