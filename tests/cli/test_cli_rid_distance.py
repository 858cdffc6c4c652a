"""`cryoalign rid-distance`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import shlex

import pytest

from cryoalign.cli.comparison_options import COMPONENTS
from cryoalign.cli.main import main
from cryoalign.cli.rid_distance import command
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.metrics.names import measure_names, ranking_names

BASIC = "a.star -o out"
JOB = "rid_distance"


def parameters_of(called, words: str) -> RidDistanceParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["rid-distance", *shlex.split(words)]) == 0
    return called[0][0]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--metric fourier-bessel", "metric", "fourier-bessel"),
        ("--metric rfsw", "measure", "rfsw"),
        ("--metric rfsw", "downsample", 64),
        ("--metric rfsw", "whiten", False),
        ("--metric rfsw --whiten", "whiten", True),
        ("--queries 1,5-8", "queries", "1,5-8"),
        ("--queries chosen.star", "queries", "chosen.star"),
        ("--export star --export csv --export star", "export", ("csv", "star")),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    parameters = parameters_of(called, f"{BASIC} {words}")
    assert getattr(parameters, name) == value
    assert RidDistanceParameters.from_json(parameters.to_json()) == parameters


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{BASIC} --all-pairs -k 5", "--all-pairs and -k exclude each other"),
        (f"{BASIC} --all-pairs --max-distance 2", "exclude each other"),
        (f"{BASIC} --all-pairs --queries 1", "exclude each other"),
        (f"{BASIC} --max-distance 2 --queries 1", "-k"),
        (f"{BASIC} --max-distance 1 --shift-sd 2", "without shifts"),
        (f"{BASIC} --all-pairs --candidates 20", "all pairs are compared"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["rid-distance", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []
