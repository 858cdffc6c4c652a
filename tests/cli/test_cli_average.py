"""`cryoalign average`: every option reaches its parameter, RELION's way of calling included."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click
import pytest

from cryoalign.cli.average import command
from cryoalign.cli.main import main
from cryoalign.core.errors import InputError
from cryoalign.jobs.average.parameters import AverageParameters
from cryoalign.runs.cpus import available_cpus

BASIC = "a.star -o out"
JOB = "average"


def parameters_of(called, words: str) -> AverageParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["average", *shlex.split(words)]) == 0
    return called[0][0]


def test_defaults_are_the_parameters_own(called):
    expected = AverageParameters(inputs=(Path("a.star"),), output=Path("out"), threads=available_cpus())
    assert parameters_of(called, BASIC) == expected
    assert called[0][1:] == (["average", *BASIC.split()], 0)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--datadir /data", "datadir", Path("/data")),
        ("--angpix 1.25", "angpix", 1.25),
        ("--members m.star", "members", Path("m.star")),
        ("--by rlnMicrographName", "by", "rlnMicrographName"),
        ("--all", "one_class", True),
        ("--classes 3", "classes", ((3, 3),)),
        ("--classes 1,3,5-8", "classes", ((1, 1), (3, 3), (5, 8))),
        ("--classes '1, 5 - 8'", "classes", ((1, 1), (5, 8))),
        ("--plain", "plain", True),
        ("--phase-flip", "phase_flip", True),
        ("--phase_flip Yes", "phase_flip", True),
        ("--ctf-intact-first-peak", "ctf_intact_first_peak", True),
        ("--ssnr 0.1", "ssnr", 0.1),
        ("--weights w", "weights", "w"),
        ("--robust sigma-clip", "robust", "sigma-clip"),
        ("--robust sigma-clip --sigma-clip 2.5", "sigma_clip", 2.5),
        ("--variance", "variance", True),
        ("--scale", "scale", True),
        ("--recenter", "recenter", True),
        ("--independent-halves", "independent_halves", True),
        ("--mask-diameter 120", "mask_diameter", 120.0),
        ("--invert", "invert", True),
        ("--interpolation cubic", "interpolation", "cubic"),
        ("--edge mean", "edge", "mean"),
        ("--no-normalize", "normalize", False),
        ("-j 3", "threads", 3),
        ("--memory 4G", "memory", 4 << 30),
        ("--limit 100", "limit", 100),
        ("--block-size 128", "block_size", 128),
        ("--seed 9", "seed", 9),
        ("--on-bad-image skip", "on_bad_image", "skip"),
        ("--resume", "resume", True),
        ("--overwrite", "overwrite", True),
        ("--part 2/5", "part", (2, 5)),
        ("--full-digest", "full_digest", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    parameters = parameters_of(called, f"{BASIC} {words}")
    assert getattr(parameters, name) == value
    assert AverageParameters.from_json(parameters.to_json()) == parameters


def test_every_parameter_has_an_option():
    names = {parameter.name for parameter in command.params} - {"particles", "more_particles", "verbose", "quiet"}
    assert names == {field.name for field in dataclasses.fields(AverageParameters)} - {"inputs"}


def test_an_external_job_of_relion(called, tmp_path):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    words = f"--o {job}/ --in_parts parts.star --recenter Yes --variance no --mask_diameter 120 --classes 1-3 --j 2"
    parameters = parameters_of(called, words)
    assert parameters.output == job and parameters.inputs == (Path("parts.star"),)
    assert parameters.recenter and not parameters.variance and parameters.classes == ((1, 3),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o out", "Missing particles"),
        ("a.star", "--output"),
        (f"{BASIC} --resume --overwrite", "exclude each other"),
        (f"{BASIC} --plain --phase-flip", "exclude each other"),
        (f"{BASIC} --plain --ssnr 1", "exclude each other"),
        (f"{BASIC} --by x --all", "exclude each other"),
        (f"{BASIC} --robust median --weights w", "exclude each other"),
        (f"{BASIC} --robust median --scale", "exclude each other"),
        (f"{BASIC} --all --classes 1", "--classes"),
        (f"{BASIC} --sigma-clip 3", "--robust sigma-clip"),
        (f"{BASIC} --robust mean", "median"),
        (f"{BASIC} --classes 1,,3", "1,3,5-8"),
        (f"{BASIC} --classes 5-3", "upwards"),
        (f"{BASIC} --classes 0", "from 1"),
        (f"{BASIC} --ssnr 0", "positive"),
        (f"{BASIC} --mask-diameter nan", "positive"),
        (f"{BASIC} --part 1/2 --recenter", "--recenter"),
        (f"{BASIC} --part 1/2 --overwrite", "--overwrite"),
        (f"{BASIC} --part 3/2", "K/N"),
        (f"{BASIC} --block-size 100", "multiple of 64"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["average", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []


@pytest.mark.parametrize("status", [0, 1])
def test_the_exit_status_of_the_job_is_passed_on(called, status):
    called.outcome = status
    assert main(["average", *BASIC.split()]) == status


def test_errors_of_the_job_are_one_line(called, capsys):
    called.outcome = InputError("index 0", path="a.star", row=4, value="000000@s.mrcs", hint="count from 1")
    assert main(["average", *BASIC.split()]) == 1
    assert capsys.readouterr().err == "Error: a.star, row 4: index 0 ('000000@s.mrcs'); count from 1\n"


def test_shared_spellings_do_not_clash():
    seen: dict[str, str] = {}
    for option in command.params:
        if isinstance(option, click.Option):
            for name in (*option.opts, *option.secondary_opts):
                assert seen.setdefault(name.replace("_", "-"), option.name) == option.name
