"""RELION's own programs on what ``align`` writes: they read it, and get the same pictures out of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers.align import (
    MARKERS,
    Truth,
    align,
    angle_difference,
    call,
    correlation,
    needs,
    numbers,
    read_mrcs,
    relion_particles,
    rms,
    run,
    scale,
    star,
    table,
    write_mrcs,
)

pytestmark = needs("relion_project")

VIEWS = [(40, 60), (100, 120), (-60, 20)]
PIXEL = 5.0
MASK_RADIUS = 0.4 * 64  # pixels: the default mask


@dataclass(frozen=True)
class Case:
    """A particle set, its truth, and the folder ``out`` of its alignment."""

    folder: Path
    truth: Truth

    @property
    def averages(self) -> np.ndarray:
        """Plain means of the aligned stack: RELION's programs are run without CTF and without filters here."""
        aligned = read_mrcs(self.folder / "out/aligned.mrcs")
        return np.stack([aligned[self.classes == number].mean(axis=0) for number in (1, 2, 3)])

    @property
    def classes(self) -> np.ndarray:
        return table(self.folder / "out/particles.star")["rlnClassNumber"].astype(int).to_numpy()


@pytest.fixture(scope="module", params=[False, True], ids=["white", "ctf"])
def case(request, tmp_path_factory) -> Case:
    """360 particles in three views at SNR 0.2, aligned to the clean views with the defaults."""
    folder = tmp_path_factory.mktemp("ctf" if request.param else "white")
    truth = relion_particles(folder, n=360, views=VIEWS, snr=0.2, ctf=request.param, seed=11)
    align(folder, "particles.star", "--reference", "ref.mrcs", "-o", "out")
    return Case(folder, truth)


def class_average(folder: Path, star_file: Path | str, number: int = 1) -> np.ndarray:
    """Let relion_refine average one class with the poses of a table; says nothing of normalisation."""
    rows = ["--select", "rlnClassNumber", "--minval", number, "--maxval", number]
    call(folder, "relion_star_handler", "--i", star_file, "--o", "one.star", *rows)
    (folder / "refine").mkdir(exist_ok=True)
    # One class, poses kept, no Wiener filter, all resolutions: then a class average is nothing but an average.
    said = call(
        folder, "relion_refine", "--i", "one.star", "--o", "refine/run", "--K", 1, "--iter", 1, "--skip_align",
        "--particle_diameter", 256, "--pad", 2, "--tau2_fudge", 1e6, "--ini_high", 10, "--no_norm", "--j", 1,
    )  # fmt: skip
    assert "normalised" not in said
    return read_mrcs(folder / "refine/run_it001_classes.mrcs")[0]


def applied_average(folder: Path, star_file: str) -> np.ndarray:
    """Let RELION apply the poses of a table, and average its stack."""
    call(folder, "relion_stack_create", "--i", star_file, "--o", "applied", "--apply_transformation")
    return read_mrcs(folder / "applied.mrcs").mean(axis=0)


def reconstruction(folder: Path, star_file: str, number: int) -> np.ndarray:
    """Let relion_reconstruct average one class in Fourier space."""
    call(
        folder, "relion_reconstruct", "--i", star_file, "--o", "rec.mrc", "--refdim", 2, "--class", number,
        "--angpix", PIXEL,
    )  # fmt: skip
    return read_mrcs(folder / "rec.mrc")[0]


def spoiled(case: Case, name: str, sign_of: tuple[str, ...]) -> str:
    """Write the first class with some columns negated."""
    rows = table(case.folder / "out/particles.star").query("rlnClassNumber == '1'").copy()
    for label in sign_of:
        rows[label] = -rows[label].astype(float)
    optics = table(case.folder / "out/particles.star", "optics")
    star(case.folder / name, optics=optics.to_dict("list"), particles=rows.to_dict("list"))
    return name


def test_the_poses_are_those_of_relion_project(case):
    psi, x, y = numbers(case.folder / "out/particles.star", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    assert np.mean(case.classes == case.truth.view) > 0.99
    assert rms(angle_difference(psi, case.truth.psi)) < 1.0
    assert rms(np.hypot(x / PIXEL - case.truth.d[:, 0], y / PIXEL - case.truth.d[:, 1])) < 0.3


@needs("relion_stack_create")
def test_relion_applies_the_poses_to_the_same_average(case):
    ours = read_mrcs(case.folder / "out/aligned.mrcs").mean(axis=0)
    assert correlation(ours, applied_average(case.folder, "out/particles.star"), MASK_RADIUS) >= 0.995


@needs("relion_reconstruct")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_our_average_is_what_relion_reconstructs_filtered(case, number):
    """averages.mrcs is Wiener-filtered: its correlation with a reconstruction that is not is that of the filter."""
    ours = read_mrcs(case.folder / "out/averages.mrcs")[number - 1]
    ctf = [] if "rlnDefocusU" not in table(case.folder / "out/particles.star") else ["--ctf"]
    call(
        case.folder, "relion_reconstruct", "--i", "out/particles.star", "--o", "rec.mrc", "--refdim", 2, "--class",
        number, "--angpix", PIXEL, *ctf,
    )  # fmt: skip
    clean = read_mrcs(case.folder / "ref.mrcs")[number - 1]
    theirs = correlation(read_mrcs(case.folder / "rec.mrc")[0], clean, MASK_RADIUS)
    assert correlation(ours, clean, MASK_RADIUS) > max(theirs, 0.98)


@needs("relion_refine", "relion_star_handler")
@pytest.mark.parametrize("which", ["particles", "aligned"])
def test_relion_refine_takes_the_particles_and_finds_our_average(case, which):
    theirs = class_average(case.folder, f"out/{which}.star")
    assert correlation(theirs, case.averages[0], MASK_RADIUS) >= 0.99


@needs("relion_refine", "relion_star_handler")
def test_relion_refine_would_have_complained(case):
    """The check that the aligned stack passes is one that a stack of half the deviation fails."""
    write_mrcs(case.folder / "half.mrcs", 0.5 * read_mrcs(case.folder / "out/aligned.mrcs"), PIXEL)
    text = (case.folder / "out/aligned.star").read_text().replace("out/aligned.mrcs", "half.mrcs")
    (case.folder / "half.star").write_text(text)
    with pytest.raises(AssertionError, match="normalised"):
        class_average(case.folder, "half.star")


@needs("relion_reconstruct")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_relion_reconstruct_finds_our_average_on_our_scale(case, number):
    theirs = reconstruction(case.folder, "out/particles.star", number)
    ours = case.averages[number - 1]
    assert correlation(theirs, ours, MASK_RADIUS) >= 0.99
    assert 0.97 <= scale(theirs, ours, MASK_RADIUS) <= 1.03


@needs("relion_stack_create", "relion_reconstruct")
@pytest.mark.parametrize(
    "sign_of", [("rlnAnglePsi",), ("rlnOriginXAngst", "rlnOriginYAngst")], ids=["psi negated", "origin negated"]
)
def test_a_wrong_sign_would_be_seen(case, sign_of):
    wrong, right = spoiled(case, "wrong.star", sign_of), spoiled(case, "right.star", ())
    ours = case.averages[0]
    assert correlation(ours, reconstruction(case.folder, right, 1), MASK_RADIUS) >= 0.99
    assert correlation(ours, applied_average(case.folder, right), MASK_RADIUS) >= 0.99
    assert correlation(ours, reconstruction(case.folder, wrong, 1), MASK_RADIUS) < 0.9
    assert correlation(ours, applied_average(case.folder, wrong), MASK_RADIUS) < 0.9


@needs("relion_star_handler")
@pytest.mark.parametrize("which", ["particles", "aligned"])
def test_relion_star_handler_keeps_every_column(case, which):
    ours = case.folder / f"out/{which}.star"
    call(case.folder, "relion_star_handler", "--i", ours, "--o", "back.star")
    for block in ("particles", "optics"):
        before, after = table(ours, block), table(case.folder / "back.star", block)
        assert set(before) == set(after) and len(before) == len(after)
        for label in before:
            try:
                numbers_before = before[label].astype(float)
            except ValueError:
                assert before[label].tolist() == after[label].tolist(), label
            else:
                np.testing.assert_allclose(after[label].astype(float), numbers_before, rtol=1e-5, atol=1e-5)


@needs("relion_star_handler")
def test_what_the_handler_wrote_aligns_to_the_same_poses(case):
    """RELION's formatting of our table comes back in: local search round it stays where it was."""
    call(case.folder, "relion_star_handler", "--i", "out/particles.star", "--o", "back.star")
    align(case.folder, "back.star", "--reference", "ref.mrcs", "-o", "again", "--local", 5, "--no-write-stack",
          "--max-shift-px", 1)  # fmt: skip
    labels = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    first, second = (numbers(case.folder / f"{o}/particles.star", *labels) for o in ("out", "again"))
    assert np.median(np.abs(angle_difference(first[0], second[0]))) < 0.02
    assert np.median(np.abs(first[1] - second[1])) < 0.05 and np.median(np.abs(first[2] - second[2])) < 0.05


# ---- an External job -------------------------------------------------------------------------------------------


@pytest.fixture
def project(case, tmp_path) -> Path:
    """A project folder with particles and references."""
    for name in ("particles.mrcs", "ref.mrcs"):
        (tmp_path / name).symlink_to(case.folder / name)
    shutil.copy(case.folder / "particles.star", tmp_path / "parts.star")
    return tmp_path


def check_job(job: Path) -> None:
    """Hold that a job directory says SUCCESS, and lists files that are there."""
    assert [name for name in MARKERS if (job / name).exists()] == ["RELION_JOB_EXIT_SUCCESS"]
    assert (job / "RELION_JOB_EXIT_SUCCESS").stat().st_size == 0
    nodes = table(job / "RELION_OUTPUT_NODES.star", "output_nodes")
    kinds = dict(zip(nodes["rlnPipeLineNodeName"], nodes["rlnPipeLineNodeType"], strict=True))
    prefix = "External/job001/"
    assert kinds == {f"{prefix}particles.star": "3", f"{prefix}aligned.star": "3", f"{prefix}averages.star": "5"}
    assert all((job.parents[1] / name).is_file() for name in kinds)
    assert set(nodes["rlnPipeLineNodeTypeLabel"]) == {
        "ParticleGroupMetadata.star.relion", "Image2DGroupMetadata.star.relion"
    }  # fmt: skip


@pytest.mark.parametrize("case", [True], indirect=True, ids=["ctf"])
def test_called_as_relion_calls_an_external_job(case, project):
    job = project / "External/job001"
    job.mkdir(parents=True)
    (job / "note.txt").write_text("RELION was here\n")
    (job / "RELION_JOB_EXIT_FAILURE").touch()  # stale
    words = "align --o External/job001/ --in_parts parts.star --reference ref.mrcs --j 1"
    assert run(project, *words.split()).status == 0
    check_job(job)
    assert (job / "note.txt").read_text() == "RELION was here\n"
    assert table(job / "aligned.star")["rlnImageName"][0] == "000001@External/job001/aligned.mrcs"
    assert class_average(project, "External/job001/aligned.star").std() > 0


@pytest.mark.parametrize("case", [True], indirect=True, ids=["ctf"])
@pytest.mark.parametrize(
    "words",
    [
        "--in_parts missing.star --reference ref.mrcs",
        "--in_parts parts.star --reference missing.mrcs",
        "--in_parts parts.star --reference",
    ],
)
def test_an_external_job_that_fails_says_so_to_relion(case, project, words):
    job = project / "External/job001"
    job.mkdir(parents=True)
    (job / "job.star").touch()
    assert run(project, *f"align --o External/job001/ {words} --j 1".split()).status in (1, 2)
    assert [name for name in MARKERS if (job / name).exists()] == ["RELION_JOB_EXIT_FAILURE"]
    assert not list(job.glob("*.mrcs"))


@needs("relion_pipeliner")
@pytest.mark.parametrize("case", [True], indirect=True, ids=["ctf"])
def test_run_by_the_pipeliner(case, project):
    scripts = sysconfig.get_path("scripts")
    if not (Path(scripts) / "cryoalign").exists():
        pytest.skip(f"cryoalign is not installed beside {sys.executable}")
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    (project / "default_pipeline.star").write_text("\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 1\n\n")
    options = "fn_exe == cryoalign align;in_part == parts.star;param1_label == reference;param1_value == ref.mrcs"
    for words in (
        ["--addJob", "External", "--addJobOptions", f"{options};nr_threads == 1"],
        ["--RunJobs", "External/job001/", "--schedule", "s1", "--sec_wait_after", "1"],
    ):
        subprocess.run(
            ["relion_pipeliner", *words], cwd=project, env=environment, check=True, capture_output=True, timeout=240
        )
    check_job(project / "External/job001")
    nodes = table(project / "default_pipeline.star", "pipeline_nodes")
    assert {f"External/job001/{name}.star" for name in ("particles", "aligned", "averages")} < set(
        nodes["rlnPipeLineNodeName"]
    )
    status = table(project / "default_pipeline.star", "pipeline_processes")
    assert status["rlnPipeLineProcessStatus"].tolist() == ["2"]  # finished
