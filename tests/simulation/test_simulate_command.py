import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.cli.main import main
from cryoalign.core.ctf import ctf_images
from cryoalign.core.filters import radial_average
from cryoalign.core.resample.resample import resample
from cryoalign.io.ctf_columns import read_ctf
from cryoalign.io.particles import read_particles
from cryoalign.io.references import read_references
from cryoalign.io.stacks import StackSource
from cryoalign.io.star import read_star
from cryoalign.jobs.simulate import job
from cryoalign.simulation.particles import Simulation
from cryoalign.simulation.phantom import built_in_phantom

RESULTS = ("particles.mrcs", "particles.star", "truth.star", "references.mrcs", "references.star")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def simulate(*words):
    return main(["simulate", "-q", *map(str, words)])


def result_bytes(folder, names=RESULTS):
    return {name: (folder / name).read_bytes() for name in names}


def test_what_is_written(tmp_path):
    assert simulate("-o", "sim", "-n", 70, "--box", 32, "--n-views", 2, "--ctf", "--pixel-size", 4) == 0
    particles, truth = read_particles(["sim/particles.star"]), read_particles(["sim/truth.star"])
    assert len(particles) == len(truth) == 70
    assert particles.warnings == []
    assert particles.image_names() == truth.image_names()
    assert particles.image_names()[69] == "000070@sim/particles.mrcs"
    assert particles.pixel_size_angstrom.tolist() == [4.0] * 70
    assert not (np.abs(particles.poses().psi).any() or np.abs(particles.poses().dx).any())
    assert "rlnAngleRot" not in particles.particles
    assert "rlnClassNumber" not in particles.particles
    assert truth.poses().psi.std() > 60
    assert 1 < truth.poses().dx.std() < 3
    assert set(truth.whole_numbers("rlnClassNumber")) == {1, 2}
    np.testing.assert_array_equal(read_ctf(particles).defocus_u_angstrom, read_ctf(truth).defocus_u_angstrom)
    with mrcfile.open("sim/particles.mrcs", header_only=True) as stack:
        assert int(stack.header.nz) == 70
        assert float(stack.voxel_size.x) == pytest.approx(4)
    references, pixel_size = read_references("sim/references.star")
    assert references.shape == (2, 32, 32)
    assert pixel_size == 4
    run = json.loads((tmp_path / "sim" / "run.json").read_text())
    assert run["status"] == "finished"
    assert set(RESULTS) <= set(run["files"])
    assert run["parameters"]["snr"] == 0.1


def test_files_say_exactly_what_the_pixels_hold(tmp_path):
    assert simulate("-o", "sim", "-n", 40, "--noise", "none", "--views", "single", "--ctf", "--astigmatism", 0.6) == 0
    truth = read_particles(["sim/truth.star"])
    images = StackSource(truth).read(np.arange(40))
    phantom = built_in_phantom(0.66 * 64 * 3, 1.25 * 3)
    rot, tilt = truth.numbers("rlnAngleRot"), truth.numbers("rlnAngleTilt")
    clean = phantom.project(rot, tilt, truth.poses(), 64, 3.0)
    expected = np.fft.irfft2(np.fft.rfft2(clean) * ctf_images(read_ctf(truth), 64, 3.0), s=(64, 64))
    assert np.abs(images - expected).max() < 1e-4 * expected.max()


def test_true_poses_bring_particles_onto_their_references():
    assert simulate("-o", "sim", "-n", 300, "--n-views", 3, "--snr", 0.1, "--shift-sd", 3) == 0
    truth = read_particles(["sim/truth.star"])
    images = StackSource(truth).read(np.arange(300))
    references, _ = read_references("sim/references.mrcs")
    aligned = resample(images, truth.poses())
    view = truth.whole_numbers("rlnClassNumber") - 1
    for k in range(3):
        mean = aligned[view == k].mean(0).ravel()
        own = references[k].ravel()
        assert np.corrcoef(mean, own)[0, 1] > 0.93
        assert np.dot(mean, own) / np.dot(own, own) == pytest.approx(1, abs=0.05)
        raw = images[view == k].mean(0).ravel()
        assert np.corrcoef(raw, own)[0, 1] < 0.85


def test_same_bytes_for_any_threads_and_parts_and_after_a_broken_run(tmp_path, monkeypatch):
    words = ["-n", 300, "--box", 32, "--n-views", 2, "--ctf", "--seed", 5]
    assert simulate("-o", "sim", "-j", 1, *words) == 0
    whole = result_bytes(tmp_path / "sim")
    monkeypatch.setattr(job, "_PART_PIXELS", 64 * 32 * 32)
    assert simulate("-o", "sim", "-j", 3, "--overwrite", *words) == 0
    assert result_bytes(tmp_path / "sim") == whole

    made = Simulation.images
    with monkeypatch.context() as broken:
        broken.setattr(Simulation, "images", lambda self, rows: made(self, rows) if rows[0] < 128 else 1 / 0)
        assert simulate("-o", "sim", "-j", 1, "--overwrite", *words) == 1
    assert not (tmp_path / "sim" / "particles.star").exists()
    rows = []
    monkeypatch.setattr(Simulation, "images", lambda self, r: rows.append(int(r[0])) or made(self, r))
    assert simulate("-o", "sim", "-j", 1, "--resume", *words) == 0
    assert rows == [128, 192, 256]
    assert result_bytes(tmp_path / "sim") == whole


def test_stacks_and_optics_groups_share_the_particles():
    assert simulate("-o", "one", "-n", 10, "--box", 32) == 0
    assert simulate("-o", "many", "-n", 10, "--box", 32, "--stacks", 3, "--optics-groups", 2) == 0
    one, many = read_particles(["one/particles.star"]), read_particles(["many/particles.star"])
    assert [str(s.name) for s in many.stacks] == [f"particles_0{k}.mrcs" for k in (1, 2, 3)]
    assert np.bincount(many.stack_index).tolist() == [3, 3, 4]
    assert len(set(many.micrograph_names())) == 3
    assert np.bincount(many.optics_index).tolist() == [5, 5]
    rows = np.arange(10)
    np.testing.assert_array_equal(StackSource(one).read(rows), StackSource(many).read(rows))
    assert read_ctf(one) is None


def test_views_of_a_file_and_noise_of_a_table(tmp_path):
    (tmp_path / "views.star").write_text("data_\nloop_\n_rlnAngleTilt\n_rlnAngleRot\n90 10\n20 200\n")
    shells = "\n".join(f"{k} {1 + 30 / (1 + k)}" for k in range(33))
    (tmp_path / "noise.star").write_text(f"data_model_group_1\nloop_\n_rlnSpectralIndex\n_rlnSigma2Noise\n{shells}\n")
    words = ["--views", "views.star", "--noise", "noise.star", "--snr", "1e-6", "-n", 400]
    assert simulate("-o", "sim", *words) == 0
    listed = read_star("sim/references.star").table("references")
    assert listed["rlnAngleRot"].astype(float).tolist() == [10, 200]
    assert listed["rlnAngleTilt"].astype(float).tolist() == [90, 20]
    with mrcfile.open("sim/particles.mrcs") as stack:
        power = radial_average((np.abs(np.fft.rfft2(stack.data)) ** 2).mean(0), 64)
    expected = 1 + 30 / (1 + np.arange(33))
    ratio = power[2:] / expected[2:]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.06)


def test_noise_of_a_real_run(real_data):
    assert simulate("-o", "sim", "-n", 8, "--noise", real_data / "sod-cryoem" / "model.star") == 0


def test_map_gives_box_and_pixel_size(real_data):
    path = real_data / "aspire" / "clean70SRibosome_vol_65p.mrc"  # its header holds no voxel size
    assert simulate("-o", "sim", "-n", 3, "--map", path) == 1
    assert simulate("-o", "sim", "-n", 3, "--map", path, "--map-angpix", 5, "--overwrite") == 0
    particles = read_particles(["sim/particles.star"])
    assert (particles.box[0], particles.pixel_size_angstrom[0]) == (65, 5.0)
    warnings = json.loads(Path("sim/run.json").read_text())["warnings"]
    assert any("odd" in text for text in warnings)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--snr", "0"], 2, "--snr must be a positive number"),
        (["--defocus-min", "3"], 2, "--defocus-min must not exceed --defocus-max"),
        (["--views", "single", "--n-views", "3"], 2, "--n-views spreads views evenly"),
        (["--stacks", "2000"], 2, "more stacks or optics groups than particles"),
        (["--views", "missing.star"], 1, "missing.star"),
        (["--views", "empty.star"], 1, "empty.star: no table with rlnAngleRot and rlnAngleTilt"),
        (["--noise", "empty.star"], 1, "empty.star: no table with rlnSpectralIndex and rlnSigma2Noise"),
        (["--map", "flat.mrc"], 1, "flat.mrc: a map must be a cube"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, status, message):
    (tmp_path / "empty.star").write_text("data_\nloop_\n_rlnAngleRot\n1\n")
    mrcfile.write(tmp_path / "flat.mrc", np.zeros((3, 8, 8), np.float32))
    assert main(["simulate", "-o", "sim", *words]) == status
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "sim" / "particles.star").exists()
