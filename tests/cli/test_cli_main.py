"""The command line as a whole: help is quick, errors are one line, exit codes mean what is written."""

from __future__ import annotations

import importlib
import os
import resource
import subprocess
import sys

import click
import pytest

from cryoalign import __version__
from cryoalign.cli.main import COMMANDS, cli, main
from cryoalign.core.errors import InputError
from cryoalign.runs.interrupt import Interrupted

PYTHON = [sys.executable, "-m", "cryoalign.cli.main"]


@pytest.fixture
def raising(monkeypatch):
    """Put a command `boom` into the suite that raises what the test wants, or returns it."""

    def arrange(outcome):
        @click.command("boom")
        @click.option("-o", "--output", "--o", "output")
        @click.option("-v", "--verbose", count=True)
        def command(output, verbose):
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setitem(COMMANDS, "boom", "Raise.")
        module = type(sys)("cryoalign.cli.boom")
        module.command = command
        monkeypatch.setitem(sys.modules, "cryoalign.cli.boom", module)

    return arrange


@pytest.mark.parametrize(
    ("outcome", "status", "line"),
    [
        (None, 0, ""),
        (0, 0, ""),
        (3, 3, ""),
        (InputError("short row", path="a.star", line=7), 1, "Error: a.star:7: short row\n"),
        (OSError(28, "No space left on device"), 1, "Error: No space left on device\n"),
        (OSError(13, "Permission denied", "a.star"), 1, "Error: a.star: Permission denied\n"),
        (OSError("8 requested and 2 written"), 1, "Error: 8 requested and 2 written\n"),
        (MemoryError(), 1, "Error: out of memory; give less with --block-size or -j\n"),
        (ZeroDivisionError("two\nlines"), 1, "Error: unexpected ZeroDivisionError: two lines\n"),
        (KeyboardInterrupt(), 130, "Error: interrupted\n"),
        (Interrupted("terminated by SIGTERM"), 143, "Error: terminated by SIGTERM\n"),
    ],
)
def test_every_outcome_has_its_exit_status_and_at_most_one_line(raising, capsys, outcome, status, line):
    raising(outcome)
    assert main(["boom"]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.lstrip("\n") == line


@pytest.mark.parametrize("outcome", [KeyboardInterrupt(), Interrupted("terminated by SIGTERM")])
def test_an_interrupted_run_names_the_way_on(raising, capsys, tmp_path, outcome):
    raising(outcome)
    (tmp_path / ".cryoalign").mkdir()
    assert main(["boom", "-o", str(tmp_path)]) in (130, 143)
    assert capsys.readouterr().err.endswith("; --resume carries it on\n")


def test_a_traceback_only_with_verbose(raising, capsys):
    raising(ZeroDivisionError("x"))
    assert main(["boom", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_points_to_the_log(raising, capsys, tmp_path):
    raising(ZeroDivisionError("x"))
    (tmp_path / "run.log").touch()
    assert main(["boom", "-o", str(tmp_path)]) == 1
    assert f"details in {tmp_path / 'run.log'}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"], ["align"], ["align", "--nonsense"]])
def test_usage_errors_exit_with_two(capsys, words):
    assert main(words) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-V"], ["--version"]])
def test_version(capsys, words):
    assert main(words) == 0
    assert __version__ in capsys.readouterr().out


def test_relion_is_told_when_a_job_fails_before_it_begins(tmp_path, capsys):
    job = tmp_path / "External" / "job001"
    job.mkdir(parents=True)
    words = ["align", "--o", str(job), "--nonsense"]
    assert main(words) == 2
    assert list(job.iterdir()) == []  # not a job of RELION: nothing is littered
    (job / "job.star").touch()
    assert main(words) == 2
    assert (job / "RELION_JOB_EXIT_FAILURE").exists()


@pytest.mark.parametrize("words", [["-o{}"], ["--output={}"], ["--o={}"]])
def test_other_spellings_of_output_find_the_log(raising, tmp_path, capsys, words):
    raising(ZeroDivisionError("x"))
    (tmp_path / "run.log").touch()
    assert main(["boom", *[word.format(tmp_path) for word in words]]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_help_takes_less_than_a_third_of_a_second():
    def cpu_seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    best = 9.0
    for _ in range(3):
        before = cpu_seconds()
        done = subprocess.run([*PYTHON, "--help"], capture_output=True, text=True, check=True)
        best = min(best, cpu_seconds() - before)
        assert all(name in done.stdout for name in COMMANDS)
    assert best < 0.3 * 1.15


def test_help_imports_no_library_and_no_command():
    program = (
        "import sys; from cryoalign.cli.main import main; main(sys.argv[1:])\n"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in"
        " ('numpy', 'scipy', 'numba', 'finufft', 'pandas', 'matplotlib') or m.startswith('cryoalign.cli.')),"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['cryoalign.cli.main', 'cryoalign.cli.options', 'cryoalign.cli.streams']"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_quick_help_with_two_examples(name, capsys):
    command = importlib.import_module(f"cryoalign.cli.{name.replace('-', '_')}").command
    assert command.name == name
    assert command.short_help == COMMANDS[name]
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.partition("Examples:")[2].count(f"cryoalign {name} ") >= 2


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_imports_nothing_heavy(name):
    program = (
        "import sys; from cryoalign.cli.main import main; main(sys.argv[1:])\n"
        "print([m for m in ('numpy', 'numba', 'pandas', 'matplotlib') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, name, "--help"], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_reader_of_help_may_go_away():
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {' '.join(PYTHON)} align --help | head -c 1"], capture_output=True, text=True
    )
    assert done.stdout == "U" and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [
        ("cryoalign al", 1, "plain,align"),
        ("cryoalign align --mask", 2, "plain,--mask-diameter"),
        ("cryoalign align --interpolation q", 3, "plain,quintic"),
        ("cryoalign align --reference ", 3, "file,"),
    ],
)
def test_shells_can_complete(words, index, expected):
    environment = os.environ | {
        "_CRYOALIGN_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(index),
    }
    done = subprocess.run(PYTHON, env=environment, capture_output=True, text=True)
    assert expected in done.stdout.splitlines() and "Traceback" not in done.stderr


def test_commands_are_found_with_underscores_too():
    context = click.Context(cli)
    assert cli.get_command(context, "align").name == "align"
    assert cli.get_command(context, "nonsense") is None
