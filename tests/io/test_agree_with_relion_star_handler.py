"""RELION reads what we write: every column and value comes back from its own tools."""

import shutil
import subprocess

import numpy as np
import pytest

from cryoalign.io.particles import read_particles, write_particles
from cryoalign.io.stack_writer import write_stack
from cryoalign.io.stacks import StackSource
from cryoalign.io.star import read_star


def relion(program, *arguments):
    """Run a RELION program in the current folder, or skip."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (RELION)")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_same_table(ours, theirs):
    """Hold that RELION kept columns, order and values (it prints numbers that it knows with five or six decimals)."""
    assert list(theirs) == list(ours)
    for label in ours:
        for mine, its in zip(ours[label], theirs[label], strict=True):
            if its == mine:
                continue
            try:
                assert float(its) == pytest.approx(float(mine), rel=1e-6, abs=6e-6), label
            except ValueError:
                assert its == mine, label


def through_relion(path):
    """Return the optics and particle tables before and after relion_star_handler."""
    said = relion("relion_star_handler", "--i", path, "--o", "relion.star")
    assert "previous version" not in said
    before, after = read_star(path), read_star("relion.star")
    for name in ("optics", "particles"):
        assert_same_table(before.blocks[name], after.blocks[name])
    return after


def test_relion31_table_with_new_columns(project):
    particles = read_particles(["particles.star"])
    n = len(particles)
    rng = np.random.default_rng(0)
    changed = particles.with_columns(
        {
            "rlnAnglePsi": rng.uniform(-180, 180, n), "rlnOriginXAngst": rng.normal(size=n) * 1e-3,
            "rlnRandomSubset": np.arange(n) % 2 + 1, "rlnIsFlip": np.arange(n) % 2 == 0, "rlnClassNumber": np.arange(n),
            "cryoalignScore": rng.normal(size=n).astype(np.float32) * 1e-7, "cryoalignFlag": np.zeros(n, int),
            "rlnMicrographName": ["a b.mrc", "x#y.mrc", "O'Brien.mrc", "''.mrc", "café.mrc", "data_x.mrc"],
            "cryoalignNote": ["", " ", "#1", "it's mine", "_x", "nan"],
        }
    )  # fmt: skip
    assert write_particles("ours.star", changed) == []
    through_relion("ours.star")


def test_older_table(here, mrc_file, star_file, images):
    mrc_file(here / "a.mrcs", images)
    labels = ["rlnImageName", "rlnOriginX", "rlnOriginY", "rlnAnglePsi", "rlnDetectorPixelSize", "rlnMagnification"]
    labels += ["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "unknownColumn"]
    rows = [[f"{i + 1}@a.mrcs", 2.5, -1, 30, 14, mag, 300, 2.7, 0.1, f"v{i}"] for i, mag in enumerate((70000, 35000))]
    star_file(here / "old.star", labels, rows, block="images")
    assert write_particles("ours.star", read_particles(["old.star"])) == []
    after = through_relion("ours.star")
    assert after.blocks["particles"]["rlnOriginXAngst"].astype(float).tolist() == [5.0, 10.0]


def test_joined_tables(project):
    joined = read_particles(["particles.star", "particles.star"])
    assert write_particles("ours.star", joined) == []
    assert through_relion("ours.star").blocks["optics"]["rlnOpticsGroupName"].tolist() == ["grid1", "grid1_2"]


@pytest.mark.parametrize(
    "name",
    ["aspire/sample_particles_relion30.star", "aspire/sample_particles_relion31.star", "cryodrgn/relion31.v2.star",
     "aspire/rln_proj_65_shifted.star"],
)  # fmt: skip
def test_real_tables(real_data, here, name):
    particles = read_particles([real_data / name])
    assert write_particles("ours.star", particles) == []
    through_relion("ours.star")
    again = read_particles(["ours.star"])
    for part in ("psi", "dx", "dy"):
        np.testing.assert_allclose(getattr(again.poses(), part), getattr(particles.poses(), part), atol=1e-6)


def test_relion_reads_and_writes_our_stack(here):
    pixels = np.random.default_rng(1).normal(size=(5, 16, 16)).astype(np.float32)
    write_stack("ours.mrcs", pixels, 1.34)
    relion("relion_image_handler", "--i", "ours.mrcs", "--o", "theirs.mrcs", "--multiply_constant", "2")
    particles = read_particles(["theirs.mrcs"], angpix=1.34)
    np.testing.assert_allclose(StackSource(particles).read(np.arange(5)), 2 * pixels, rtol=1e-6)
