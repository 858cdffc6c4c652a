"""`cryoalign rid-distance`: every option reaches its parameter, RELION's way of calling included."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click
import pytest

from cryoalign.cli.comparison_options import COMPONENTS
from cryoalign.cli.main import main
from cryoalign.cli.rid_distance import command
from cryoalign.core.errors import InputError
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.metrics.names import measure_names, ranking_names
from cryoalign.runs.cpus import available_cpus

BASIC = "a.star -o out"
JOB = "rid_distance"


def parameters_of(called, words: str) -> RidDistanceParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["rid-distance", *shlex.split(words)]) == 0
    return called[0][0]


def test_defaults_are_the_parameters_own(called):
    expected = RidDistanceParameters(inputs=(Path("a.star"),), output=Path("out"), threads=available_cpus())
    assert parameters_of(called, BASIC) == expected
    assert called[0][1:] == (["rid-distance", *BASIC.split()], 0)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--datadir /data", "datadir", Path("/data")),
        ("--angpix 1.25", "angpix", 1.25),
        ("-k 10", "k", 10),
        ("--score euclidean", "score", "euclidean"),
        ("--metric fourier-bessel", "metric", "fourier-bessel"),
        ("--metric rfsw", "measure", "rfsw"),
        ("--metric rfsw", "downsample", 64),
        ("--metric rfsw", "whiten", False),
        ("--metric rfsw --whiten", "whiten", True),
        ("--no-mirror", "mirror", False),
        ("--mirror no", "mirror", False),
        ("--no-shifts", "shifts", False),
        ("--shift-sd 2.5", "shift_sd", 2.5),
        ("--shift_sd 0", "shift_sd", 0.0),
        ("--candidates 0", "candidates", 0),
        ("--mask-diameter 120", "mask_diameter", 120.0),
        ("--no-ctf", "ctf", False),
        ("--ctf-intact-first-peak", "ctf_intact_first_peak", True),
        ("--no-whiten", "whiten", False),
        ("--noise-group micrograph", "noise_group", "micrograph"),
        ("--downsample 48", "downsample", 48),
        ("--invert", "invert", True),
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
        ("--max-distance 3.5", "max_distance", 3.5),
        ("--max-distance 0", "max_distance", 0.0),
        ("--all-pairs", "all_pairs", True),
        ("--queries 1,5-8", "queries", "1,5-8"),
        ("--queries chosen.star", "queries", "chosen.star"),
        ("--export csv", "export", ("csv",)),
        ("--export star --export csv --export star", "export", ("csv", "star")),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    parameters = parameters_of(called, f"{BASIC} {words}")
    assert getattr(parameters, name) == value
    assert RidDistanceParameters.from_json(parameters.to_json()) == parameters


def test_every_parameter_has_an_option():
    names = {parameter.name for parameter in command.params} - {"particles", "more_particles", "verbose", "quiet"}
    # A measure of images is a --metric too.
    assert names == {field.name for field in dataclasses.fields(RidDistanceParameters)} - {"inputs", "measure"}


def test_all_measures_have_a_name_on_the_command_line():
    choices = next(parameter.type.choices for parameter in command.params if parameter.name == "metric")
    assert choices == (*COMPONENTS, *ranking_names())
    assert set(ranking_names()) - set(measure_names()) == {"rfsw-ncc"}


@pytest.mark.parametrize("words", ["--score llr", "--score euclidean", "--candidates 100"])
def test_what_is_about_components_is_refused_with_measures_of_images(called, words, capsys):
    called.clear()
    assert main(["rid-distance", *shlex.split(f"{BASIC} --metric rfsw {words}")]) == 2
    assert f"{words.split()[0]} and --metric rfsw exclude each other" in capsys.readouterr().err
    assert not called


def test_an_external_job_of_relion(called, tmp_path):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    words = f"--o {job}/ --in_parts parts.star --mask_diameter 120 --no_mirror Yes --downsample 40 --j 2"
    parameters = parameters_of(called, words)
    assert parameters.output == job and parameters.inputs == (Path("parts.star"),)
    assert not parameters.mirror and parameters.downsample == 40 and parameters.threads == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o out", "Missing particles"),
        ("a.star", "--output"),
        (f"{BASIC} --resume --overwrite", "exclude each other"),
        (f"{BASIC} --no-shifts --shift-sd 1", "exclude each other"),
        (f"{BASIC} --shift-sd -1", "negative"),
        (f"{BASIC} -k 0", "x>=1"),
        (f"{BASIC} --downsample 8", "x>=16"),
        (f"{BASIC} --mask-diameter nan", "positive"),
        (f"{BASIC} --part 1/2 --overwrite", "--overwrite"),
        (f"{BASIC} --part 3/2", "K/N"),
        (f"{BASIC} --block-size 100", "multiple of 64"),
        (f"{BASIC} --all-pairs -k 5", "--all-pairs and -k exclude each other"),
        (f"{BASIC} --all-pairs --max-distance 2", "exclude each other"),
        (f"{BASIC} --all-pairs --queries 1", "exclude each other"),
        (f"{BASIC} --max-distance 2 --queries 1", "-k"),
        (f"{BASIC} --max-distance -1", "negative"),
        (f"{BASIC} --max-distance 1 --shift-sd 2", "without shifts"),
        (f"{BASIC} --all-pairs --candidates 20", "all pairs are compared"),
        (f"{BASIC} --export json", "csv"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["rid-distance", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_exit_status_of_the_job_is_passed_on(called, status):
    called.outcome = status
    assert main(["rid-distance", *BASIC.split()]) == status


def test_errors_of_the_job_are_one_line(called, capsys):
    called.outcome = InputError("index 0", path="a.star", row=4, value="000000@s.mrcs", hint="count from 1")
    assert main(["rid-distance", *BASIC.split()]) == 1
    assert capsys.readouterr().err == "Error: a.star, row 4: index 0 ('000000@s.mrcs'); count from 1\n"


def test_shared_spellings_do_not_clash():
    seen: dict[str, str] = {}
    for option in command.params:
        if isinstance(option, click.Option):
            for name in (*option.opts, *option.secondary_opts):
                assert seen.setdefault(name.replace("_", "-"), option.name) == option.name
