"""`cryoalign sync`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.jobs.sync.parameters import SyncParameters, parse_anchor

BASIC = "graph.npz -o out"
JOB = "sync"


def parameters_of(called, words: str) -> SyncParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["sync", *shlex.split(words)]) == 0
    return called[0][0]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--particles a.star --particles b.star", "particles", (Path("a.star"), Path("b.star"))),
        ("--i a.star", "particles", (Path("a.star"),)),
        ("--in_parts a.star", "particles", (Path("a.star"),)),
        ("--algorithm ppe", "algorithm", "ppe"),
        ("--no-weights", "weights", False),
        ("--weights no", "weights", False),
        ("--anchor 3=90 --anchor 'a=b=-4.5'", "anchor", ("3=90", "a=b=-4.5")),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    assert getattr(parameters_of(called, f"{BASIC} {words}"), name) == value


def test_an_external_job_of_relion(called, tmp_path):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    parameters = parameters_of(called, f"--o {job}/ --in_parts p.star --graph g.npz --max_distance 4 --j 2")
    assert parameters.output == job and parameters.graph == Path("g.npz") and parameters.max_distance == 4
    assert parameters.particles == (Path("p.star"),) and parameters.threads == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o out", "Missing graph"),
        (f"{BASIC} --graph g.npz", "give one of them"),
        (f"{BASIC} --algorithm best", "auto"),
        (f"{BASIC} --k-max 300", "1<=x<=256"),
        (f"{BASIC} --k-max 4 --algorithm spectral", "has one frequency"),
        (f"{BASIC} --anchor 12", "--anchor is NODE=DEG"),
        (f"{BASIC} --anchor 12=north", "--anchor is NODE=DEG"),
        (f"{BASIC} --anchor 12=nan", "--anchor is NODE=DEG"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["sync", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []


@pytest.mark.parametrize(
    ("text", "node", "angle"), [("3=90", "3", 90), ("a=b=-4.5", "a=b", -4.5), ("1@s.mrcs = 1e1 ", "1@s.mrcs", 10)]
)
def test_anchors(text, node, angle):
    assert parse_anchor(text) == (node, angle)


def test_parameters_are_kept_as_json_can_hold_them():
    parameters = SyncParameters(graph=Path("g"), output=Path("o"), particles=(Path("p"),), anchor=("1=2",))
    assert parameters.to_json()["particles"] == ["p"] and parameters.to_json()["anchor"] == ["1=2"]
