"""Locks: who may work in a run directory together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

import cryoalign.runs.lock as module
from cryoalign.core.errors import InputError
from cryoalign.runs.lock import HeldElsewhereError, RunLock, exclusive, lock_name, wait_for


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
    with pytest.raises(InputError, match=rf"process {living} on .*since 2020.*wait for it"):
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


def silent_for(path, seconds: float) -> None:
    """Make a lock look as if nobody had touched it for so long."""
    os.utime(path, (time.time() - seconds,) * 2)


def test_another_machine_holds_its_lock_as_long_as_it_gives_signs_of_life(tmp_path):
    held_by(tmp_path, dead_pid(), host="elsewhere")
    with exclusive(tmp_path):
        silent_for(tmp_path / "lock", 100)
        with pytest.raises(HeldElsewhereError, match=r"on elsewhere.*last heard of 1\d\d s ago.*120 s of silence"):
            RunLock(tmp_path).acquire()
        silent_for(tmp_path / "lock", 125)
        RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("alive", [True, False])
def test_one_waits_for_a_sign_of_life_of_another_machine(tmp_path, monkeypatch, alive):
    """A task that was killed there and starts again here must not fail, and one that lives must not be joined."""
    monkeypatch.setattr(module, "POLL_S", 0.05)
    held_by(tmp_path, dead_pid(), host="elsewhere")
    silent_for(tmp_path / "lock", 119.7)
    lock, said, looks = RunLock(tmp_path), [], []

    def attempt():
        with exclusive(tmp_path):
            looks.append(1)
            if alive and len(looks) == 3:
                os.utime(tmp_path / "lock")
            lock.acquire()

    if alive:
        with pytest.raises(HeldElsewhereError):
            wait_for(attempt, said.append)
    else:
        wait_for(attempt, said.append)
        assert lock.is_mine()
    assert len(said) == 1 and "waiting for a sign of life" in said[0]


def test_a_lock_is_touched_and_whoever_lost_it_finds_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.02)
    lock = RunLock(tmp_path)
    lock.acquire()
    silent_for(tmp_path / "lock", 1000)
    deadline = time.monotonic() + 20
    while time.time() - (tmp_path / "lock").stat().st_mtime > 500 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert time.time() - (tmp_path / "lock").stat().st_mtime < 500
    lock.check()
    held_by(tmp_path, os.getpid(), host="elsewhere")  # taken over
    with pytest.raises(InputError, match="another process took this run over"):
        lock.check()
    lock.release()
    assert json.loads((tmp_path / "lock").read_text())["host"] == "elsewhere"


def test_a_process_that_is_dead_but_not_waited_for_is_dead(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        deadline = time.monotonic() + 20
        while module._process(process.pid)[0] != "Z" and time.monotonic() < deadline:
            time.sleep(0.01)
        held_by(tmp_path, process.pid)
        RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_the_same_name_of_another_machine_is_not_this_one(tmp_path):
    """As of two containers."""
    held_by(tmp_path, os.getpid())
    owner = json.loads((tmp_path / "lock").read_text()) | {"machine": "another"}
    (tmp_path / "lock").write_text(json.dumps(owner))
    with pytest.raises(HeldElsewhereError):
        RunLock(tmp_path).acquire()


@pytest.mark.parametrize(
    "pid", [0, -1, -(10**6), 2**31, 10**30, 1.5, True, None, "12", [1], {}, "9" * 5000], ids=lambda pid: str(pid)[:12]
)
def test_process_ids_that_cannot_be_are_nobody(tmp_path, pid):
    held_by(tmp_path, pid)
    RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_pipe_in_the_place_of_a_lock_stops_nobody(tmp_path):
    os.mkfifo(tmp_path / "lock")
    RunLock(tmp_path).acquire()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_work_folder_that_is_removed_while_one_waits_is_made_again(tmp_path):
    work = tmp_path / "work"
    entered = []

    def wait():
        with exclusive(work, make=True):
            entered.append((work / "begin").exists())

    with exclusive(work, make=True):
        # In a process of its own the lock would be waited for; a thread shares it, and meets the new folder.
        (work / "begin").unlink()
        work.rmdir()
        wait()
    assert entered == [True]
    with pytest.raises(FileNotFoundError), exclusive(tmp_path / "absent"):
        pass


@pytest.mark.parametrize("text", ["", "not json", "[]", "null", "{", "[" * 100_000, '"x"', "\x00" * 100, "{}"])
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
