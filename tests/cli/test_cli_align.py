"""`cryoalign align`: every option reaches its parameter, RELION's way of calling included."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click
import pytest

from cryoalign.cli.align import command
from cryoalign.cli.main import main
from cryoalign.core.errors import InputError
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.runs.cpus import available_cpus

BASIC = "a.star --reference r.mrcs -o out"
JOB = "align"


def parameters_of(called, words: str) -> AlignParameters:
    """Run the command line and return the parameters it made."""
    called.clear()
    assert main(["align", *shlex.split(words)]) == 0
    return called[0][0]


def test_defaults_are_the_parameters_own(called):
    expected = AlignParameters(
        inputs=(Path("a.star"),), output=Path("out"), reference=Path("r.mrcs"), threads=available_cpus()
    )
    assert parameters_of(called, BASIC) == expected
    assert called[0][1:] == (["align", *BASIC.split()], 0)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--datadir /data", "datadir", Path("/data")),
        ("--angpix 1.25", "angpix", 1.25),
        ("--mask-diameter 120", "mask_diameter", 120.0),
        ("--mask_diameter 120", "mask_diameter", 120.0),
        ("--no-ctf", "ctf", False),
        ("--no_ctf", "ctf", False),
        ("--ctf-intact-first-peak", "ctf_intact_first_peak", True),
        ("--no-whiten", "whiten", False),
        ("--lowpass 8", "lowpass", 8.0),
        ("--highpass 200", "highpass", 200.0),
        ("--max-shift 20", "max_shift", 20.0),
        ("--max-shift-px 6", "max_shift_px", 6.0),
        ("--local 12.5", "local", 12.5),
        ("--local 5 --local-flip", "local_flip", True),
        ("--mirror", "mirror", True),
        ("--iterations 3", "iterations", 3),
        ("--invert", "invert", True),
        ("--interpolation cubic", "interpolation", "cubic"),
        ("--edge mean", "edge", "mean"),
        ("--no-write-stack", "write_stack", False),
        ("--resize-reference", "resize_reference", True),
        ("--normalize", "normalize", True),
        ("--fast", "fast", True),
        ("-j 3", "threads", 3),
        ("--j 3", "threads", 3),
        ("--threads 3", "threads", 3),
        ("--resume", "resume", True),
        ("--overwrite", "overwrite", True),
        ("--limit 100", "limit", 100),
        ("--block-size 128", "block_size", 128),
        ("--seed 9", "seed", 9),
        ("--on-bad-image skip", "on_bad_image", "skip"),
        ("--noise-group micrograph", "noise_group", "micrograph"),
        ("--memory 800M", "memory", 800 << 20),
        ("--memory 1.5G", "memory", 3 << 29),
        ("--memory 4GiB", "memory", 4 << 30),
        ("--memory 268435456", "memory", 1 << 28),
        ("--part 2/5", "part", (2, 5)),
        ("--full-digest", "full_digest", True),
        ("--allow-no-signal", "allow_no_signal", True),
    ],
)
def test_every_option_reaches_its_parameter(called, words, name, value):
    assert getattr(parameters_of(called, f"{BASIC} {words}"), name) == value


def test_every_parameter_has_an_option():
    names = {parameter.name for parameter in command.params} - {"particles", "more_particles", "verbose", "quiet"}
    assert names == {field.name for field in dataclasses.fields(AlignParameters)} - {"inputs"}


@pytest.mark.parametrize(("words", "verbosity"), [("-q", -1), ("", 0), ("-v", 1), ("-vv", 2), ("-v -v", 2)])
def test_verbosity(called, words, verbosity):
    parameters_of(called, f"{BASIC} {words}")
    assert called[0][2] == verbosity


@pytest.mark.parametrize(
    "words",
    [
        "a.star b.cs --reference r -o out",
        "--i a.star --i b.cs --reference r --o out",
        "--i a.star b.cs --reference r --o out",
        "--in_parts a.star --in-parts b.cs --reference r --output out",
    ],
)
def test_several_inputs_in_any_spelling(called, words):
    assert set(parameters_of(called, words).inputs) == {Path("a.star"), Path("b.cs")}


def test_an_external_job_of_relion(called, tmp_path):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    words = (
        f"--o {job}/ --in_parts parts.star --reference r.mrcs --mask_diameter 120 --ctf_intact_first_peak --no_ctf"
        " --write_stack No --fast Yes --local 10 --local_flip true --normalize false --invert no --j 2"
    )
    parameters = parameters_of(called, words)
    assert parameters.output == job and parameters.inputs == (Path("parts.star"),)
    assert parameters.mask_diameter == 120 and parameters.ctf_intact_first_peak and not parameters.ctf
    assert not parameters.write_stack and parameters.fast and parameters.local_flip
    assert not parameters.normalize and not parameters.invert and parameters.threads == 2


def test_no_after_a_switch_that_says_no_means_yes(called):
    assert parameters_of(called, f"{BASIC} --no-ctf No").ctf
    assert not parameters_of(called, f"{BASIC} --no-ctf Yes").ctf
    assert not parameters_of(called, f"{BASIC} --ctf No").ctf


def test_a_particle_file_called_yes_is_a_file(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("yes").touch()
    parameters = parameters_of(called, "--mirror yes --reference r -o out")
    assert parameters.inputs == (Path("yes"),) and parameters.mirror


@pytest.mark.parametrize("label", ["--local", "--mask_diameter", "--reference", "--datadir", "--o"])
def test_a_bare_label_that_needs_a_value_is_named(called, capsys, label):
    words = {"--reference": "a.star -o out", "--o": "a.star --reference r"}.get(label, BASIC)
    assert main(["align", *words.split(), label, "--j", "2"]) == 2
    assert f"'{label}' needs a value" in capsys.readouterr().err
    assert main(["align", *words.split(), label]) == 2
    assert f"'{label}' needs a value" in capsys.readouterr().err
    assert called == []


def test_words_after_two_hyphens_are_files(called):
    assert parameters_of(called, "--reference r -o out -- --mirror").inputs == (Path("--mirror"),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--reference r -o out", "Missing particles"),
        ("a.star -o out", "--reference"),
        ("a.star --reference r", "--output"),
        (f"{BASIC} --resume --overwrite", "exclude each other"),
        (f"{BASIC} --max-shift 3 --max-shift-px 3", "exclude each other"),
        (f"{BASIC} --local-flip", "--local DEG"),
        (f"{BASIC} --local 200", "180"),
        (f"{BASIC} --interpolation sinc", "fourier"),
        (f"{BASIC} --memory lots", "800M"),
        (f"{BASIC} --memory 1", "--memory is less than the program itself needs (1); give 150M or more"),
        (f"{BASIC} --part 3/2", "K/N"),
        (f"{BASIC} --part x", "K/N"),
        (f"{BASIC} --block-size 100", "multiple of 64"),
        (f"{BASIC} -j 0", "0"),
        (f"{BASIC} --angpix abc", "abc"),
        (f"{BASIC} --in_3dref map.mrc", "--in"),
    ],
)
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, words, message):
    assert main(["align", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_exit_status_of_the_job_is_passed_on(called, status):
    called.outcome = status
    assert main(["align", *BASIC.split()]) == status


def test_errors_of_the_job_are_one_line(called, capsys):
    called.outcome = InputError("index 0", path="a.star", row=4, value="000000@s.mrcs", hint="count from 1")
    assert main(["align", *BASIC.split()]) == 1
    assert capsys.readouterr().err == "Error: a.star, row 4: index 0 ('000000@s.mrcs'); count from 1\n"


def test_shared_spellings_do_not_clash():
    seen: dict[str, str] = {}
    for option in command.params:
        if isinstance(option, click.Option):
            for name in (*option.opts, *option.secondary_opts):
                assert seen.setdefault(name.replace("_", "-"), option.name) == option.name
