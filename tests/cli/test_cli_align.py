"""`cryoalign align`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.jobs.align.parameters import AlignParameters

BASIC = "a.star --reference r.mrcs -o out"
JOB = "align"


def parameters_of(called, words: str) -> AlignParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["align", *shlex.split(words)]) == 0
    return called[0][0]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--lowpass 8", "lowpass", 8.0),
        ("--highpass 200", "highpass", 200.0),
        ("--local 12.5", "local", 12.5),
        ("--local 5 --local-flip", "local_flip", True),
        ("--iterations 3", "iterations", 3),
        ("--no-write-stack", "write_stack", False),
        ("--normalize-stack", "normalize_stack", True),
        ("--fast", "fast", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    assert getattr(parameters_of(called, f"{BASIC} {words}"), name) == value


def test_an_external_job_of_relion(called, tmp_path):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    words = (
        f"--o {job}/ --in_parts parts.star --reference r.mrcs --mask_diameter 120 --ctf_intact_first_peak --no_ctf"
        " --write_stack No --fast Yes --local 10 --local_flip true --normalize false --invert no --j 2"
    )
    parameters = parameters_of(called, words)
    assert parameters.output == job and parameters.inputs == (Path("parts.star"),)
    assert parameters.mask_diameter == 120 and parameters.ctf_intact_first_peak and not parameters.ctf
    assert not parameters.write_stack and parameters.fast and parameters.local_flip
    assert not parameters.normalize and not parameters.invert and parameters.threads == 2


def test_a_particle_file_called_yes_is_a_file(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("yes").touch()
    parameters = parameters_of(called, "--mirror yes --reference r -o out")
    assert parameters.inputs == (Path("yes"),) and parameters.mirror


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.star -o out", "--reference"),
        (f"{BASIC} --local-flip", "--local DEG"),
        (f"{BASIC} --local 200", "180"),
        (f"{BASIC} --memory 1", "--memory must be from"),
        (f"{BASIC} --memory 70000", "--memory is less than the program itself needs"),
        (f"{BASIC} --in_3dref map.mrc", "--in"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["align", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []
