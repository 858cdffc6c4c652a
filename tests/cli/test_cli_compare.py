"""`cryoalign compare`: what it alone has; the rest is in test_shared_options.py."""

from __future__ import annotations

import shlex

import click
import pytest

from cryoalign.cli.compare import command
from cryoalign.cli.main import main
from cryoalign.jobs.compare.parameters import CompareParameters
from cryoalign.metrics.names import measure_names

BASIC = "a.mrcs 3@b.star -o out"
JOB = "compare"


def parameters_of(called, words: str) -> CompareParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["compare", *shlex.split(words)]) == 0
    return called[0][0]


def test_default_measures_are_all_that_need_no_extra(called):
    metrics = parameters_of(called, BASIC).metrics
    assert metrics == tuple(name for name in measure_names() if name != "wavelet-emd")


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--metric ncc --metric sw --metric ncc", "metric", ("ncc", "sw")),
        ("--scale-limit 1.5", "scale_limit", 1.5),
        ("--no-noise", "noise", False),
        ("--pictures 0", "pictures", 0),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    assert getattr(parameters_of(called, f"{BASIC} {words}"), name) == value


def test_every_measure_is_named_in_the_help():
    text = command.get_help(click.Context(command))
    assert [name for name in measure_names() if name not in text] == []


@pytest.mark.parametrize(
    "words", ["--reference a.mrcs --i b.star", "b.star --reference a.mrcs", "a.mrcs --in_parts b.star"]
)
def test_images_as_options(called, tmp_path, words):
    parameters = parameters_of(called, f"{words} --o {tmp_path}/ --max_shift_px 4 --j 2")
    assert (parameters.a, parameters.b, parameters.max_shift_px, parameters.threads) == ("a.mrcs", "b.star", 4, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-o out", "Missing images"),
        ("a.mrcs -o out", "Missing images"),
        (f"{BASIC} --reference c.mrcs", "A is given twice"),
        (f"{BASIC} --i c.mrcs", "B is given twice"),
        (f"{BASIC} --metric best", "mutual-information"),
        (f"{BASIC} --metric rfsw-ncc", "only ranks images"),
        (f"{BASIC} --scale-limit 1", "above 1"),
        (f"{BASIC} --scale-limit 5", "at most 4"),
    ],
)
def test_usage_errors(called, capsys, words, message):
    assert main(["compare", *shlex.split(words)]) == 2
    assert message in capsys.readouterr().err and called == []
