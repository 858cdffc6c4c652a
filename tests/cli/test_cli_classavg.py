"""`cryoalign classavg`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.jobs.classavg.parameters import ClassavgParameters

BASIC = "a.star -o out"
JOB = "classavg"


def parameters_of(called, words: str) -> ClassavgParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["classavg", *shlex.split(words)]) == 0
    return called[0][0]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--metric fourier-bessel", "metric", "fourier-bessel"),
        ("--classes 30", "classes", 30),
        ("--every-particle", "every_particle", True),
        ("--particles 1,5-8", "rows", "1,5-8"),
        ("--graph g.npz", "graph", Path("g.npz")),
        ("--graph g.npz --reweight", "reweight", True),
        ("--algorithm mfca", "algorithm", "mfca"),
        ("--rounds 3", "rounds", 3),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    parameters = parameters_of(called, f"{BASIC} {words}")
    assert getattr(parameters, name) == value
    assert ClassavgParameters.from_json(parameters.to_json()) == parameters


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{BASIC} --classes 5 --every-particle", "exclude each other"),
        (f"{BASIC} --classes 5 --particles 1", "--classes and --particles exclude each other"),
        (f"{BASIC} --reweight", "--graph only"),
        (f"{BASIC} --graph g.npz --candidates 10", "exclude each other"),
        (f"{BASIC} --algorithm pca", "mfvdm"),
        (f"{BASIC} --algorithm vdm --k-max 3", "no meaning"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["classavg", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []
