"""RELION 3.1 runs cryoalign as an External job of its pipeline, without a GUI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import starfile

from cryoalign.cli.main import main

pytestmark = pytest.mark.skipif(shutil.which("relion_pipeliner") is None, reason="relion_pipeliner is not installed")

PIPELINE = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter                       1\n \n"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A RELION project with simulated particles, and a `cryoalign` that runs this interpreter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default_pipeline.star").write_text(PIPELINE)
    words = "-n 128 --n-views 2 --box 32 --pixel-size 6 --snr 1 -q"
    assert main(["simulate", "-o", "sim", *words.split()]) == 0
    program = tmp_path / "bin" / "cryoalign"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cryoalign.cli.main "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run_external_job(project: Path, options: str) -> Path:
    """Add an External job to the project's pipeline, run it, and return its directory."""
    environment = os.environ | {"PATH": f"{project / 'bin'}:{os.environ['PATH']}"}
    fields = f"fn_exe == cryoalign align;in_part == sim/particles.star;{options};nr_threads == 2"
    for words in (
        ["--addJob", "External", "--addJobOptions", fields],
        ["--RunJobs", "External/job001/", "--schedule", "s1", "--sec_wait_after", "1"],
    ):
        done = subprocess.run(
            ["relion_pipeliner", *words], env=environment, cwd=project, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    return project / "External" / "job001"


def pipeline_status(project: Path) -> int:
    """Return what RELION's pipeline says of the job: 2 finished, 3 failed."""
    return int(
        starfile.read(project / "default_pipeline.star")["pipeline_processes"]["rlnPipeLineProcessStatus"].iloc[0]
    )


def test_relion_runs_align_and_knows_its_results(project):
    job = run_external_job(
        project,
        "param1_label == reference;param1_value == sim/references.mrcs;param2_label == mask_diameter;"
        "param2_value == 150;param3_label == no_ctf;param4_label == fast;param4_value == Yes",
    )
    assert (job / "RELION_JOB_EXIT_SUCCESS").exists() and (job / "run.err").read_text().count("\n") == 0
    assert "128 aligned" in (job / "run.out").read_text()
    pipeline = starfile.read(project / "default_pipeline.star")
    nodes = pipeline["pipeline_nodes"].set_index("rlnPipeLineNodeName")["rlnPipeLineNodeType"]
    assert nodes["External/job001/particles.star"] == 3 and nodes["External/job001/averages.star"] == 5
    assert pipeline_status(project) == 2


@pytest.mark.parametrize(
    "options",
    [
        "param1_label == reference;param1_value == absent.mrcs",
        "param1_label == reference",
        "param1_label == no_such_option;param1_value == 3",
    ],
)
def test_relion_learns_that_a_job_failed(project, options):
    job = run_external_job(project, options)
    assert (job / "RELION_JOB_EXIT_FAILURE").exists() and not (job / "RELION_JOB_EXIT_SUCCESS").exists()
    assert "Error: " in (job / "run.err").read_text() and not (job / "particles.star").exists()
    assert pipeline_status(project) != 2
