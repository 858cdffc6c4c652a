"""`cryoalign compare`: every option reaches its parameter, RELION's way of calling included."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click
import pytest

from cryoalign.cli.compare import command
from cryoalign.cli.main import main
from cryoalign.core.errors import InputError
from cryoalign.jobs.compare.parameters import CompareParameters
from cryoalign.metrics.names import measure_names
from cryoalign.runs.cpus import available_cpus

BASIC = "a.mrcs 3@b.star -o out"
JOB = "compare"


def parameters_of(called, words: str) -> CompareParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["compare", *shlex.split(words)]) == 0
    return called[0][0]


def test_defaults_are_the_parameters_own(called):
    expected = CompareParameters(a="a.mrcs", b="3@b.star", output=Path("out"), threads=available_cpus())
    assert parameters_of(called, BASIC) == expected
    assert called[0][1:] == (["compare", *BASIC.split()], 0)


def test_default_measures_are_all_that_need_no_extra(called):
    metrics = parameters_of(called, BASIC).metrics
    assert metrics == tuple(name for name in measure_names() if name != "wavelet-emd")


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--metric ncc --metric sw --metric ncc", "metric", ("ncc", "sw")),
        ("--all-pairs", "all_pairs", True),
        ("--max-shift 12.5", "max_shift", 12.5),
        ("--max-shift-px 0", "max_shift_px", 0),
        ("--mirror", "mirror", True),
        ("--mirror yes", "mirror", True),
        ("--scale", "scale", True),
        ("--scale-limit 1.5", "scale_limit", 1.5),
        ("--mask-diameter 150", "mask_diameter", 150),
        ("--no-noise", "noise", False),
        ("--angpix 1.25", "angpix", 1.25),
        ("--datadir /data", "datadir", Path("/data")),
        ("--invert", "invert", True),
        ("--resize-reference", "resize_reference", True),
        ("--pictures 0", "pictures", 0),
        ("--export csv", "export", ("csv",)),
        ("-j 3", "threads", 3),
        ("--resume", "resume", True),
        ("--overwrite", "overwrite", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    assert getattr(parameters_of(called, f"{BASIC} {words}"), name) == value


def test_every_parameter_has_an_option():
    names = {parameter.name for parameter in command.params} - {"more_a", "more_b", "verbose", "quiet"}
    assert names == {field.name for field in dataclasses.fields(CompareParameters)}


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
        ("a.mrcs b.mrcs", "--output"),
        (f"{BASIC} --reference c.mrcs", "A is given twice"),
        (f"{BASIC} --i c.mrcs", "B is given twice"),
        (f"{BASIC} --resume --overwrite", "exclude each other"),
        (f"{BASIC} --max-shift 3 --max-shift-px 3", "exclude each other"),
        (f"{BASIC} --metric best", "mutual-information"),
        (f"{BASIC} --metric rfsw-ncc", "only ranks images"),
        (f"{BASIC} --max-shift -1", "must not be negative"),
        (f"{BASIC} --mask-diameter 0", "positive"),
        (f"{BASIC} --angpix nan", "positive"),
        (f"{BASIC} --scale-limit 1", "above 1"),
        (f"{BASIC} --scale-limit 5", "at most 4"),
        (f"{BASIC} --export pdf", "csv"),
        (f"{BASIC} --metric", "needs a value"),
    ],
)
def test_usage_errors(called, capsys, words, message):
    assert main(["compare", *shlex.split(words)]) == 2
    assert message in capsys.readouterr().err and called == []


def test_input_errors_are_one_line(called, capsys):
    called.outcome = InputError("is odd", path="a.mrcs")
    assert main(["compare", *BASIC.split()]) == 1
    assert capsys.readouterr().err == "Error: a.mrcs: is odd\n"
