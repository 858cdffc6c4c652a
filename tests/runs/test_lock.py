"""Locks: who may work in a run directory together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from cryoalign.core.errors import InputError
from cryoalign.runs.lock import RunLock, exclusive, lock_name


@pytest.fixture
def living() -> int:
    """Process id of somebody else who is alive."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


def held_by(directory, pid, *, host=None, part=None, process_start=None) -> None:
    """Write a lock file of another process."""
    owner = {"pid": pid, "host": host or socket.gethostname(), "start": "2020-01-01T00:00:00+00:00"}
    (directory / lock_name(part)).write_text(json.dumps(owner | {"process_start": process_start}))


def dead_pid() -> int:
    """Process id of somebody who is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_lock_says_who_holds_it_and_goes_away(tmp_path):
    lock = RunLock(tmp_path)
    lock.acquire()
    owner = json.loads((tmp_path / "lock").read_text())
    assert owner["pid"] == os.getpid() and owner["host"] == socket.gethostname() and "T" in owner["start"]
    lock.release()
    lock.release()
    assert not (tmp_path / "lock").exists()


def test_a_living_process_holds_its_lock(tmp_path, living):
    held_by(tmp_path, living)
    with pytest.raises(InputError, match=rf"process {living} on .*since 2020.*remove .*lock"):
        RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == living


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    held_by(tmp_path, dead_pid())
    RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_process_id_that_was_given_again_is_not_the_owner(tmp_path, living):
    held_by(tmp_path, living, process_start=1)
    RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_another_host_cannot_be_judged_and_holds(tmp_path):
    held_by(tmp_path, dead_pid(), host="elsewhere")
    with pytest.raises(InputError, match="on elsewhere"):
        RunLock(tmp_path).acquire()


@pytest.mark.parametrize("text", ["", "not json", "[]"])
def test_a_lock_that_cannot_be_read_is_taken_over(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("theirs", "ours", "together"),
    [
        ((1, 3), (2, 3), True),
        ((1, 3), (1, 3), False),
        (None, (1, 3), False),
        ((1, 3), None, False),
        (None, None, False),
    ],
)
def test_tasks_of_an_array_share_and_whole_runs_do_not(tmp_path, living, theirs, ours, together):
    held_by(tmp_path, living, part=theirs)
    if together:
        RunLock(tmp_path, ours).acquire()
        assert len(list(tmp_path.glob("lock*"))) == 2
    else:
        with pytest.raises(InputError, match=f"process {living}"):
            RunLock(tmp_path, ours).acquire()


def test_exclusive_lets_one_process_in_at_a_time(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from cryoalign.runs.lock import exclusive\n"
        "d = Path(sys.argv[1])\n"
        "with exclusive(d):\n"
        "    n = int((d / 'n').read_text()); time.sleep(.05); (d / 'n').write_text(str(n + 1))\n"
    )
    (tmp_path / "n").write_text("0")
    with exclusive(tmp_path):
        crowd = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(timeout=30) for process in crowd] == [0] * 4
    assert (tmp_path / "n").read_text() == "4"
