"""Streams that are closed or full stop nothing, and no signal ends in a traceback."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys

import pytest
from torturelib.disks import STREAMS
from torturelib.forked import After, Steps, forked, kill_me
from torturelib.small_runs import COMMANDS, results_of, words_of

import cryoalign.runs.interrupt as module
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory

PROGRAM = f"{shlex.quote(sys.executable)} -m cryoalign"
NO_DRAWING = ("simulate", "simulate-graph", "select")
SELECT = words_of("select", "out")


@pytest.fixture
def project(small, tmp_path):
    """A folder in which commands run on the small project's files."""
    for name in ("sim", "Aligned", "Neighbours"):
        (tmp_path / name).symlink_to(small / name)
    return tmp_path


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("command", NO_DRAWING)
def test_no_stream_stops_a_command(project, command, streams):
    words = [word for word in words_of(command, "out") if word != "-q"]
    stdout, stderr = STREAMS[streams]
    found = forked(project, words, stdout=stdout, stderr=stderr)
    assert found.status == 0, found.said
    assert (project / "out" / "RELION_JOB_EXIT_SUCCESS").exists() and results_of(project / "out")
    assert "Traceback" not in found.said


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize(
    ("words", "status"), [("select absent.star --best 3 -o out", 1), ("nonsense", 2), ("align", 2), ("--version", 0)]
)
def test_no_stream_turns_an_answer_into_another(project, words, status, streams):
    stdout, stderr = STREAMS[streams]
    found = forked(project, words.split(), stdout=stdout, stderr=stderr)
    full = words == "--version" and stdout == "/dev/full"  # there was nothing else to be had
    assert found.status == (1 if full else status) and "Traceback" not in found.said
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    "how", ["2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | head -c 1", "</dev/null 2>/dev/full >&-"]
)
def test_a_process_that_is_born_with_bad_streams_does_its_work(project, how):
    line = f"set -o pipefail; {PROGRAM} {shlex.join(SELECT)} -v {how}"
    done = subprocess.run(["bash", "-c", line], cwd=project, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done
    # Nothing that was meant for a stream went into a file which got its number.
    assert (project / "out" / "run.json").read_text().startswith("{")
    assert (project / "out" / "particles.star").read_text().startswith("# version")


def test_a_full_stdout_is_an_error_where_it_was_all_that_was_asked_for():
    done = subprocess.run(["bash", "-c", f"{PROGRAM} --help > /dev/full"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and done.stderr == "Error: standard output: No space left on device\n"


def test_the_program_alone_shows_its_help():
    done = subprocess.run(["bash", "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.startswith("Usage: cryoalign [OPTIONS] COMMAND [ARGS]...")
    assert all(name in done.stdout for name in COMMANDS) and done.stderr == ""


IMPORTING = """
import os, signal, sys
import cryoalign.cli
left = {number}
def hook(event, arguments):
    global left
    if event == "import" and "cryoalign.cli.entry" in sys.modules:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.{name})
sys.addaudithook(hook)
sys.argv = ["cryoalign", *{words!r}]
from cryoalign.cli.entry import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("number", [2, 60, 300, 700])
def test_a_signal_while_modules_are_imported_is_no_traceback(project, number, name):
    program = IMPORTING.format(number=number, name=name, words=SELECT)
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    code = getattr(signal, name)
    assert done.returncode in (-code, 128 + code), done
    assert done.stderr.lstrip("\n") in ("", "Error: interrupted\n", "Error: terminated by SIGTERM\n")
    assert not (project / "out").exists()


@pytest.mark.parametrize("again", [None, 0.02, 1.3])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_run_in_good_order(project, stop, again):
    words = [*words_of("simulate", "out"), "-n", "60000"]
    found = forked(project, words, After(0.8, stop, again))
    assert found.status == 128 + stop and "Traceback" not in found.said, found
    lines = [line for line in found.said.splitlines() if line]
    assert len(lines) <= 1 and all(line.startswith("Error: ") for line in lines), lines
    assert not results_of(project / "out")


def test_a_signal_that_comes_with_the_commit_is_too_late(project):
    """At whatever step: all of it is there, or none, and RELION's marker only with the record."""
    whole = forked(project, SELECT, Steps(project / "out"))
    expected = results_of(project / "out")
    for step in range(max(1, whole.steps - 14), whole.steps + 1):
        found = forked(project, [*SELECT, "--overwrite"], Steps(project / "out", step, _stop))
        assert found.status in (0, 130) and "Traceback" not in found.said, found
        there = results_of(project / "out")
        assert there in (expected, {})
        assert (project / "out" / "RELION_JOB_EXIT_SUCCESS").exists() == bool(there)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_process_that_ends_at_once_says_nothing(project):
    found = forked(project, SELECT, Steps(project / "out", 3, kill_me))
    assert found.status == -signal.SIGKILL and found.said == ""


def test_signals_that_are_ignored_stay_so(project):
    """nohup, and background jobs of a script."""
    for name in ("HUP", "INT"):
        line = f"trap '' {name}; {PROGRAM} {shlex.join(SELECT)} --overwrite & sleep 0.5; kill -{name} $!; wait $!"
        done = subprocess.run(["bash", "-c", line], cwd=project, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (name, done)


def test_what_python_lost_is_asked_for_again(tmp_path, monkeypatch):
    """An exception that strikes in a destructor is printed and forgotten."""
    with RunDirectory.begin(tmp_path, command="toy", argv=[], parameters={}, reads=Reads(), verbosity=-1) as run:
        assert not run.aborted()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_asked", Interrupted("terminated by SIGTERM"))
            with pytest.raises(Interrupted):
                run.aborted()
            with pytest.raises(Interrupted):
                run.commit(counts={})
        run.commit(counts={})
