"""`cryoalign sync`: every option reaches its parameter, RELION's way of calling included."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.cli.sync import command
from cryoalign.core.errors import InputError
from cryoalign.jobs.sync.parameters import SyncParameters, parse_anchor
from cryoalign.runs.cpus import available_cpus

BASIC = "graph.npz -o out"
JOB = "sync"


def parameters_of(called, words: str) -> SyncParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["sync", *shlex.split(words)]) == 0
    return called[0][0]


def test_defaults_are_the_parameters_own(called):
    expected = SyncParameters(graph=Path("graph.npz"), output=Path("out"), threads=available_cpus())
    assert parameters_of(called, BASIC) == expected
    assert called[0][1:] == (["sync", *BASIC.split()], 0)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--particles a.star --particles b.star", "particles", (Path("a.star"), Path("b.star"))),
        ("--i a.star", "particles", (Path("a.star"),)),
        ("--in_parts a.star", "particles", (Path("a.star"),)),
        ("--datadir /data", "datadir", Path("/data")),
        ("--angpix 1.25", "angpix", 1.25),
        ("--algorithm ppe", "algorithm", "ppe"),
        ("--k-max 16", "k_max", 16),
        ("--no-weights", "weights", False),
        ("--weights no", "weights", False),
        ("--anchor 3=90 --anchor 'a=b=-4.5'", "anchor", ("3=90", "a=b=-4.5")),
        ("--max-distance 2.5", "max_distance", 2.5),
        ("--allow-no-signal", "allow_no_signal", True),
        ("--seed 9", "seed", 9),
        ("-j 3", "threads", 3),
        ("--resume", "resume", True),
        ("--overwrite", "overwrite", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    assert getattr(parameters_of(called, f"{BASIC} {words}"), name) == value


def test_every_parameter_has_an_option():
    names = {parameter.name for parameter in command.params} - {"more_graph", "verbose", "quiet"}
    assert names == {field.name for field in dataclasses.fields(SyncParameters)}


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
        ("graph.npz", "--output"),
        (f"{BASIC} --graph g.npz", "give one of them"),
        (f"{BASIC} --resume --overwrite", "exclude each other"),
        (f"{BASIC} --algorithm best", "auto"),
        (f"{BASIC} --k-max 0", "1<=x<=256"),
        (f"{BASIC} --k-max 4 --algorithm spectral", "has one frequency"),
        (f"{BASIC} --anchor 12", "--anchor is NODE=DEG"),
        (f"{BASIC} --anchor 12=north", "--anchor is NODE=DEG"),
        (f"{BASIC} --anchor 12=nan", "--anchor is NODE=DEG"),
        (f"{BASIC} --max-distance -1", "must not be negative"),
        (f"{BASIC} --max-distance nan", "must not be negative"),
        (f"{BASIC} --angpix 0", "positive"),
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


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_exit_status_of_the_job_is_passed_on(called, status):
    called.outcome = status
    assert main(["sync", *BASIC.split()]) == status


def test_errors_of_the_job_are_one_line(called, capsys):
    called.outcome = InputError("angle_deg is not a number", path="e.csv", line=4, value="x")
    assert main(["sync", *BASIC.split()]) == 1
    assert capsys.readouterr().err == "Error: e.csv:4: angle_deg is not a number ('x')\n"


def test_parameters_are_kept_as_json_can_hold_them():
    parameters = SyncParameters(graph=Path("g"), output=Path("o"), particles=(Path("p"),), anchor=("1=2",))
    assert parameters.to_json()["particles"] == ["p"] and parameters.to_json()["anchor"] == ["1=2"]
