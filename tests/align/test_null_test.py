"""The null test: noise through the path of ``align`` becomes the reference, the more of it the better."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.averaging.einstein import correlation_in_mask
from cryoalign.cli.main import main
from cryoalign.core.filters import radial_average
from cryoalign.io.particles import read_particles
from cryoalign.io.references import read_references
from cryoalign.jobs.align.null_test import null_plan, run_null_test, write_null_test
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.align.merge import merge_parts
from cryoalign.passes.align.part import AlignWork
from cryoalign.passes.align.plan import plan_align
from cryoalign.passes.images import ParticleImages
from cryoalign.runs.parts import plan_parts
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import run_parts

BOX, PIXEL = 64, 5.0


def simulate(folder: Path, *words: object) -> None:
    with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()):
        assert main([str(w) for w in ("simulate", "-q", "-o", "sim", "-j", 1, "--overwrite", *words)]) == 0


def nulled(folder: Path, out: str, *, block_size: int | None = None, workers: int = 1, seed: int = 1, **options):
    """Align a simulated set and noise in its place; returns the plan and what the noise became."""
    p = AlignParameters(
        inputs=(folder / "sim/particles.star",), output=folder / out, reference=folder / "sim/references.mrcs",
        datadir=folder, iterations=1, halves=False, **options,
    )  # fmt: skip
    particles = read_particles(p.inputs, datadir=folder)
    references, pixel = read_references(p.reference)
    (folder / out).mkdir(exist_ok=True)
    images = ParticleImages.of(particles, p, scratch=folder, warn=lambda text: None)
    plan = plan_align(p, images, references, pixel, warn=lambda text: None)
    ranges = plan_parts(len(particles), block_size or 512)
    with RunDirectory.begin(
        p.output, command="align", argv=["align"], parameters={}, reads=Reads(), threads=workers
    ) as run:
        store = run.parts("real")
        run_parts(ranges, AlignWork(plan), store, workers=workers)
        real = merge_parts(plan, store, ranges)
        null = run_null_test(plan, run, ranges, real, seed)
        write_null_test(null, run, plan.class_numbers, pixel)
        run.commit(counts={})
    return plan, null


@pytest.fixture(scope="module")
def ribosomes(real_data, tmp_path_factory) -> Path:
    """2,048 particles of one view of the 70S ribosome."""
    folder = tmp_path_factory.mktemp("ribosomes")
    (folder / "view.star").write_text("data_\n\nloop_\n_rlnAngleRot\n_rlnAngleTilt\n40 75\n")
    source = real_data / "aspire" / "clean70SRibosome_vol_65p.mrc"
    simulate(
        folder, "--map", source, "--map-angpix", PIXEL, "--box", BOX, "--pixel-size", PIXEL, "-n", 2048, "--views",
        folder / "view.star", "--noise", "white", "--snr", 0.05,
    )  # fmt: skip
    return folder


def test_the_curve_of_noise_is_einsteins(ribosomes):
    plan, null = nulled(ribosomes, "null", mask_diameter=200.0)
    assert null.counts == (128, 256, 512, 1024, 2048)
    assert (np.diff(null.noise_correlation) > 0).all()
    for count, expected in ((128, 0.66), (512, 0.81), (2048, 0.87)):
        assert null.noise_correlation[null.counts.index(count)] == pytest.approx(expected, abs=0.05)
    assert (null.real_correlation > null.noise_correlation).all()
    assert null.members.tolist() == [2048]
    shown = correlation_in_mask(null.averages[0], plan.references[0], 40.0)
    assert shown > 0.8
    # What is written is what was found.
    assert np.array_equal(mrcfile.read(ribosomes / "null/null_averages.mrcs").reshape(-1, BOX, BOX), null.averages)
    table = starfile.read(ribosomes / "null/null_test.star")
    assert table["curve"]["cryoalignCount"].tolist() == list(null.counts)
    assert table["curve"]["cryoalignNoiseCorrelation"].to_numpy() == pytest.approx(null.noise_correlation, abs=1e-5)
    assert table["curve"]["cryoalignCorrelation"].to_numpy() == pytest.approx(null.real_correlation, abs=1e-5)
    assert int(np.ravel(table["classes"]["cryoalignCount"])[0]) == 2048


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """150 particles of three views with CTF and coloured noise in two optics groups."""
    folder = tmp_path_factory.mktemp("phantoms")
    words = "-n 150 --box 32 --pixel-size 5 --n-views 3 --ctf --snr 0.2 --optics-groups 2"
    simulate(folder, *words.split())
    return folder


def test_noise_has_the_spectrum_of_the_data_and_keeps_its_ctf(phantoms):
    plan, _ = nulled(phantoms, "out")
    noise = null_plan(plan, 1)
    assert noise.ctf is plan.ctf
    (real,), (made,) = plan.geometries, noise.geometries
    images = made.source.read(np.arange(150))
    power = radial_average(np.abs(np.fft.rfft2(images)) ** 2, 32).mean(axis=0) / 32**2
    expected = real.noise_power[plan.images.noise_group_of].mean(axis=0)
    assert power[1:] == pytest.approx(expected[1:], rel=0.3)
    assert power[4:].mean() == pytest.approx(expected[4:].mean(), rel=0.05)
    assert abs(np.corrcoef(images.ravel(), real.source.read(np.arange(150)).ravel())[0, 1]) < 0.02


def test_threads_and_parts_change_nothing_and_the_seed_does(phantoms):
    _, first = nulled(phantoms, "a")
    _, second = nulled(phantoms, "b", block_size=64, workers=2)
    _, third = nulled(phantoms, "c", seed=2)
    assert np.array_equal(first.averages, second.averages)
    assert first.members.sum() == 150
    assert np.array_equal(first.noise_correlation, second.noise_correlation)
    assert not np.array_equal(first.averages, third.averages)


def test_a_class_of_few_particles_leaves_gaps_in_their_curve(phantoms):
    _, null = nulled(phantoms, "gaps")
    assert len(null.counts) == len(null.real_correlation) == 1
    written = starfile.read(phantoms / "gaps/null_test.star")["curve"]
    value = float(np.ravel(written["cryoalignCorrelation"])[0])
    assert value == pytest.approx(null.real_correlation[0], abs=1e-5) if np.isfinite(null.real_correlation[0]) else -2.0
