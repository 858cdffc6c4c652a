"""`cryoalign select`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cryoalign.cli.main import main
from cryoalign.jobs.select.parameters import SelectParameters

BASIC = "a.star -o out --classes 1"
JOB = "select"


def parameters_of(called, words: str) -> SelectParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["select", *shlex.split(words)]) == 0
    return called[0][0]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--classes 1,3,5-8", "classes", "1,3,5-8"),
        ("--exclude_classes 2", "exclude_classes", "2"),
        ("--classes-from b.star", "classes_from", Path("b.star")),
        ("--class-table t.star --min-class-quality 0", "class_table", Path("t.star")),
        ("--min-class-quality 0", "min_class_quality", 0.0),
        ("--max-class-resolution 12", "max_class_resolution", 12.0),
        ("--class-where 'a > 1' --class-where 'b == c'", "class_where", ("a > 1", "b == c")),
        ("--where 'rlnDefocusU < 2e4' --where '_x != y'", "where", ("rlnDefocusU < 2e4", "_x != y")),
        ("--min-score -0.1", "min_score", -0.1),
        ("--max-psi-error 2", "max_psi_error", 2.0),
        ("--max-shift-error 3", "max_shift_error", 3.0),
        ("--good-flags", "good_flags", True),
        ("--unique", "unique", True),
        ("--min-distance 0", "min_distance", 0.0),
        ("--min-distance 9 --coordinate-angpix 0.8", "coordinate_angpix", 0.8),
        ("--best 10%", "best", "10%"),
        ("--best 5 --rank-by rlnX", "rank_by", "rlnX"),
        ("--best 5 --rank-by rlnX --rank-lowest", "rank_lowest", True),
        ("--random 500", "random", "500"),
        ("--invert-selection", "invert_selection", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    parameters = parameters_of(called, f"{BASIC} {words}")
    assert getattr(parameters, name) == value
    json.dumps(parameters.to_json())


@pytest.mark.parametrize(
    "criterion",
    ["--classes 1", "--exclude-classes 1", "--classes-from f", "--min-class-size 1", "--min-class-quality 0",
     "--max-class-resolution 9", "--class-where 'a > 0'", "--where 'a > 0'", "--min-score 0", "--max-psi-error 0",
     "--max-shift-error 0", "--good-flags", "--unique", "--min-distance 0", "--best 1", "--random 1"],
)  # fmt: skip
def test_one_criterion_is_enough(called, criterion):
    parameters_of(called, f"a.star -o out {criterion}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.star -o out", "nothing to select by"),
        ("a.star -o out --invert-selection --seed 3", "nothing to select by"),
        ("a.star -o out --classes 1;2", "--classes is not a list of class numbers"),
        ("a.star -o out --classes 5-2", "--classes must count from 1"),
        (f"{BASIC} --exclude-classes x", "--exclude-classes is not a list"),
        (f"{BASIC} --where rlnDefocusU", "--where is not a condition"),
        (f"{BASIC} --where rlnDefocusU=3", "equality is =="),
        (f"{BASIC} --class-where 'a > b'", "--class-where > needs a number"),
        (f"{BASIC} --best 0", "--best must be above 0"),
        (f"{BASIC} --random 110%", "--random cannot be more than 100 %"),
        (f"{BASIC} --random many", "--random is not a number of particles"),
        (f"{BASIC} --min-score nan", "--min-score must be a number"),
        (f"{BASIC} --max-psi-error -1", "--max-psi-error"),
        (f"{BASIC} --min-distance inf", "--min-distance"),
        (f"{BASIC} --coordinate-angpix 1", "--min-distance"),
        (f"{BASIC} --rank-by x", "--rank-by goes with"),
        (f"{BASIC} --best 3 --rank-lowest", "--rank-lowest goes with --rank-by"),
        (f"{BASIC} --class-table t.star", "--class-table is not used"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["select", *shlex.split(words)]) == 2
    assert message in capsys.readouterr().err
    assert called == []
