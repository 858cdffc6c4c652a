"""What all commands share: an option that several of them have reaches its parameter in each, in every spelling.

Which command has which option is asked of the commands themselves: a new one is held to all of this by its line in
``COMMANDS`` and ``PARAMETERS``. What only one command has is in its own file.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from pathlib import Path

import click
import pytest

from cryoalign.cli.main import COMMANDS, cli, main
from cryoalign.core.errors import InputError
from cryoalign.jobs.commands import PARAMETERS, parameters_class
from cryoalign.runs.cpus import available_cpus

NEEDED: dict[str, tuple[str, dict[str, object]]] = {
    "align": ("--reference r.mrcs", {"reference": Path("r.mrcs")}),
    "compare": ("a.mrcs 3@b.star", {"a": "a.mrcs", "b": "3@b.star"}),
    "merge": ("out", {}),
    "select": ("--classes 1", {"classes": "1"}),
    "sync": ("graph.npz", {"graph": Path("graph.npz")}),
}
"""What commands need besides particles and a run directory, and the parameters that it becomes."""

SHARED: dict[str, list[tuple[str, object]]] = {
    "all_pairs": [("--all-pairs", True)],
    "allow_no_signal": [("--allow-no-signal", True)],
    "angpix": [("--angpix 1.25", 1.25)],
    "apply_mag_matrix": [("--apply-mag-matrix", True), ("--no-apply-mag-matrix", False)],
    "block_size": [("--block-size 128", 128)],
    "candidates": [("--candidates 0", 0)],
    "ctf": [("--ctf", True), ("--no-ctf", False)],
    "ctf_intact_first_peak": [("--ctf-intact-first-peak", True)],
    "as_json": [("--json", True)],
    "datadir": [("--datadir /data", Path("/data"))],
    "downsample": [("--downsample 48", 48)],
    "edge": [("--edge mean", "mean")],
    "export": [("--export csv", ("csv",))],
    "full_digest": [("--full-digest", True)],
    "interpolation": [("--interpolation cubic", "cubic")],
    "invert": [("--invert", True)],
    "k": [("-k 10", 10)],
    "k_max": [("--k-max 6", 6)],
    "limit": [("--limit 100", 100)],
    "mask_diameter": [("--mask-diameter 120", 120.0)],
    "max_distance": [("--max-distance 3.5", 3.5), ("--max-distance 0", 0.0)],
    "max_shift": [("--max-shift 12.5", 12.5)],
    "max_shift_px": [("--max-shift-px 6", 6.0), ("--max-shift-px 0", 0.0)],
    "memory": [
        ("--memory 268435456", 1 << 28),
        ("--memory 800M", 800 << 20),
        ("--memory 1.5G", 3 << 29),
        ("--memory 4GiB", 4 << 30),
    ],
    "min_class_size": [("--min-class-size 20", 20)],
    "mirror": [("--mirror", True), ("--no-mirror", False), ("--mirror no", False)],
    "noise_group": [("--noise-group micrograph", "micrograph")],
    "normalize": [("--normalize", True), ("--no-normalize", False)],
    "on_bad_image": [("--on-bad-image skip", "skip")],
    "output": [("-o there", Path("there")), ("--o there/", Path("there")), ("--output there", Path("there"))],
    "overwrite": [("--overwrite", True)],
    "part": [("--part 2/5", (2, 5))],
    "phase_flip": [("--phase-flip", True)],
    "plain": [("--plain", True)],
    "recenter": [("--recenter", True)],
    "resize_reference": [("--resize-reference", True)],
    "resume": [("--resume", True)],
    "scale": [("--scale", True)],
    "score": [("--score euclidean", "euclidean")],
    "seed": [("--seed 9", 9)],
    "shift_sd": [("--shift-sd 2.5", 2.5), ("--shift-sd 0", 0.0)],
    "shifts": [("--shifts", True), ("--no-shifts", False)],
    "ssnr": [("--ssnr 0.1", 0.1)],
    "threads": [("-j 3", 3), ("--j 3", 3), ("--threads 3", 3)],
    "whiten": [("--whiten", True), ("--no-whiten", False)],
}
"""Words, and what the parameter of that name then is."""

OWN = {"algorithm", "classes", "graph", "metric", "noise", "weights"}
"""Options that several commands have and each reads in its own way."""

WRONG: dict[str, list[tuple[str, str]]] = {
    "angpix": [("--angpix abc", "abc"), ("--angpix 0", "positive"), ("--angpix nan", "positive")],
    "block_size": [("--block-size 100", "multiple of 64")],
    "downsample": [("--downsample 8", "x>=16")],
    "export": [("--export pdf", "csv")],
    "interpolation": [("--interpolation sinc", "fourier")],
    "k": [("-k 0", "x>=1")],
    "k_max": [("--k-max 0", "--k-max")],
    "limit": [("--limit 0", "x>=1")],
    "mask_diameter": [("--mask-diameter nan", "positive"), ("--mask-diameter 0", "positive")],
    "max_distance": [("--max-distance -1", "must not be negative"), ("--max-distance nan", "must not be negative")],
    "max_shift": [("--max-shift 3 --max-shift-px 3", "exclude each other"), ("--max-shift -1", "not be negative")],
    "memory": [("--memory lots", "800M")],
    "min_class_size": [("--min-class-size 0", "--min-class-size")],
    "on_bad_image": [("--on-bad-image guess", "skip")],
    "output": [("--output", "needs a value")],
    "part": [("--part 3/2", "K/N"), ("--part x", "K/N"), ("--part 1/2 --overwrite", "--overwrite")],
    "phase_flip": [("--plain --phase-flip", "exclude each other")],
    "resume": [("--resume --overwrite", "exclude each other")],
    "seed": [("--seed -1", "x>=0")],
    "shift_sd": [("--shift-sd -1", "must not be negative")],
    "shifts": [("--no-shifts --shift-sd 1", "exclude each other")],
    "ssnr": [("--ssnr 0", "positive"), ("--plain --ssnr 1", "exclude each other")],
    "threads": [("-j 0", "x>=1")],
}
"""Words that cannot be meant, and what is said of them."""


def command_of(name: str) -> click.Command:
    """Return a command of the suite."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def options_of(name: str) -> dict[str, click.Option]:
    """Return the options of a command by the names of their parameters."""
    return {option.name: option for option in command_of(name).params if isinstance(option, click.Option)}


def takes_particles(name: str) -> bool:
    """Tell whether a command has the arguments and options of tables of particles."""
    return "more_particles" in options_of(name)


def basic(name: str, *, particles: str = "a.star", output: str = "-o out") -> list[str]:
    """Return the least words that a command runs with."""
    words = [particles if takes_particles(name) else "", NEEDED.get(name, ("", {}))[0]]
    return shlex.split(" ".join([*words, output if "output" in options_of(name) else ""]))


def cases(table: dict[str, list[tuple]]) -> list:
    """Return each row of a table for each command that has its option."""
    return [
        pytest.param(name, option, words, said, id=f"{name} {words}")
        for name in PARAMETERS
        for option in sorted(set(table) & set(options_of(name)))
        for words, said in table[option]
    ]


def with_underscores(words: str) -> str:
    """Return words with their option spelled as RELION spells it."""
    option, _, value = words.partition(" ")
    return f"--{option[2:].replace('-', '_')} {value}" if option.startswith("--") else words


every_command = pytest.mark.parametrize("name", sorted(COMMANDS))
every_run = pytest.mark.parametrize("name", sorted(PARAMETERS))
every_reader = pytest.mark.parametrize("name", [name for name in sorted(PARAMETERS) if takes_particles(name)])


@pytest.mark.parametrize(("name", "option", "words", "value"), cases(SHARED))
def test_a_shared_option_reaches_its_parameter(called, name, option, words, value):
    for spelled in {words, with_underscores(words)}:
        assert main([name, *basic(name), *spelled.split()]) == 0
        parameters = called.pop()[0]
        assert getattr(parameters, option) == value
        assert type(parameters).from_json(parameters.to_json()) == parameters


def test_whatever_commands_share_is_in_the_table():
    count = Counter(option for name in PARAMETERS for option in options_of(name))
    shared = {option for option, commands in count.items() if commands > 1}
    assert shared - {"more_particles", "verbose", "quiet"} <= set(SHARED) | OWN


@every_run
def test_defaults_are_the_parameters_own(called, name):
    made = NEEDED.get(name, ("", {}))[1] | ({"inputs": (Path("a.star"),)} if takes_particles(name) else {})
    assert main([name, *basic(name)]) == 0
    expected = parameters_class(name)(**made, output=Path("out"), threads=available_cpus())
    assert called == [(expected, [name, *basic(name)], 0)]


@every_run
def test_every_parameter_has_an_option(name):
    # A measure of images is a --metric too.
    parameters = {field.name for field in dataclasses.fields(parameters_class(name))} - {"inputs", "measure"}
    given = {p.name for p in command_of(name).params if not p.name.startswith("more_")} - {"verbose", "quiet"}
    assert given - ({"particles"} if takes_particles(name) else set()) == parameters


@every_run
@pytest.mark.parametrize(("words", "verbosity"), [("-q", -1), ("", 0), ("-v", 1), ("-vv", 2), ("-v -v", 2)])
def test_verbosity(called, name, words, verbosity):
    assert main([name, *basic(name), *words.split()]) == 0
    assert called[0][2] == verbosity


@every_reader
@pytest.mark.parametrize(
    "words", ["a.star b.cs", "--i a.star --i b.cs", "--i a.star b.cs", "--in_parts a.star --in-parts b.cs"]
)
def test_several_inputs_in_any_spelling(called, name, words):
    assert main([name, *basic(name, particles=words)]) == 0
    assert sorted(called[0][0].inputs) == [Path("a.star"), Path("b.cs")]


@every_reader
def test_words_after_two_hyphens_are_files(called, name):
    assert main([name, *basic(name, particles=""), "--", "--invert"]) == 0
    assert called[0][0].inputs == (Path("--invert"),)


@every_run
def test_an_external_job_of_relion(called, name, tmp_path):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    words = [*basic(name, particles="--in_parts parts.star", output=f"--o {job}/"), "--j", "2"]
    assert main([name, *words]) == 0
    parameters = called[0][0]
    assert parameters.output == job and parameters.threads == 2
    assert not takes_particles(name) or parameters.inputs == (Path("parts.star"),)


@every_command
def test_every_switch_may_be_followed_by_yes_or_no(name):
    command = command_of(name)
    for option in options_of(name).values():
        for word in (*option.opts, *option.secondary_opts) if option.is_bool_flag else ():
            meant = word in option.opts
            other = not meant if option.secondary_opts else False
            for answer, value in (("Yes", meant), ("true", meant), ("No", other), ("FALSE", other)):
                words = [*basic(name), *with_underscores(word).split(), answer]
                context = command.make_context(name, words, token_normalize_func=_hyphens)
                assert context.params[option.name] is value, (word, answer)


@every_command
def test_a_bare_label_that_needs_a_value_is_named(called, capsys, name):
    for option in options_of(name).values():
        if option.is_flag or option.count:
            continue
        for label in {option.opts[0], with_underscores(option.opts[-1]).strip()}:
            for following in ([], ["--j", "2"]):
                assert main([name, *basic(name), label, *following]) == 2
                assert f"'{label}' needs a value" in capsys.readouterr().err
    assert called == []


@pytest.mark.parametrize(("name", "option", "words", "message"), cases(WRONG))
def test_wrong_usage_exits_with_two_and_says_why(called, capsys, name, option, words, message):
    assert main([name, *basic(name), *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert called == []


@every_run
def test_the_run_directory_is_never_guessed(called, capsys, name):
    assert main([name, *basic(name, output="")]) == 2
    assert "--output" in capsys.readouterr().err
    assert called == []


@every_reader
def test_missing_particles_are_named(called, capsys, name):
    assert main([name, *basic(name, particles="")]) == 2
    assert "Missing particles" in capsys.readouterr().err
    assert called == []


@every_run
@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_exit_status_of_the_job_is_passed_on(called, name, status):
    called.outcome = status
    assert main([name, *basic(name)]) == status


@every_run
def test_errors_of_the_job_are_one_line(called, capsys, name):
    called.outcome = InputError("index 0", path="a.star", row=4, value="000000@s.mrcs", hint="count from 1")
    assert main([name, *basic(name)]) == 1
    assert capsys.readouterr().err == "Error: a.star, row 4: index 0 ('000000@s.mrcs'); count from 1\n"


@every_command
def test_spellings_do_not_clash(name):
    seen: dict[str, str] = {}
    for option in options_of(name).values():
        for word in (*option.opts, *option.secondary_opts):
            assert seen.setdefault(_hyphens(word), option.name) == option.name


def _hyphens(word: str) -> str:
    return word.replace("_", "-")
