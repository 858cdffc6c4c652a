"""`cryoalign average`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.jobs.average.parameters import AverageParameters

BASIC = "a.star -o out"
JOB = "average"


def parameters_of(called, words: str) -> AverageParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["average", *shlex.split(words)]) == 0
    return called[0][0]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--members m.star", "members", Path("m.star")),
        ("--by rlnMicrographName", "by", "rlnMicrographName"),
        ("--all", "one_class", True),
        ("--classes 3", "classes", ((3, 3),)),
        ("--classes 1,3,5-8", "classes", ((1, 1), (3, 3), (5, 8))),
        ("--classes '1, 5 - 8'", "classes", ((1, 1), (5, 8))),
        ("--weights w", "weights", "w"),
        ("--robust sigma-clip", "robust", "sigma-clip"),
        ("--robust sigma-clip --sigma-clip 2.5", "sigma_clip", 2.5),
        ("--variance", "variance", True),
        ("--independent-halves", "independent_halves", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    parameters = parameters_of(called, f"{BASIC} {words}")
    assert getattr(parameters, name) == value
    assert AverageParameters.from_json(parameters.to_json()) == parameters


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{BASIC} --by x --all", "exclude each other"),
        (f"{BASIC} --robust median --weights w", "exclude each other"),
        (f"{BASIC} --robust median --scale", "exclude each other"),
        (f"{BASIC} --all --classes 1", "--classes"),
        (f"{BASIC} --sigma-clip 3", "--robust sigma-clip"),
        (f"{BASIC} --robust mean", "median"),
        (f"{BASIC} --classes 1,,3", "1,3,5-8"),
        (f"{BASIC} --classes 5-3", "upwards"),
        (f"{BASIC} --classes 0", "from 1"),
        (f"{BASIC} --part 1/2 --recenter", "--recenter"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["average", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []
