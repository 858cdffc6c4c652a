"""Runs that are killed, stopped or split: what is left, and that carrying on gives the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from helpers import toyjob
from helpers.toyjob import toy

RESULTS = ("stack.bin", "sums.npy")
ROWS = 1000


@pytest.fixture
def expected(tmp_path, source) -> dict[str, bytes]:
    """The bytes of an uninterrupted run."""
    toy(tmp_path / "expected", source, ROWS)
    return {name: (tmp_path / "expected" / name).read_bytes() for name in RESULTS}


def results(directory) -> dict[str, bytes]:
    """The bytes of the results in a directory."""
    return {name: (directory / name).read_bytes() for name in RESULTS}


def test_expected_results_are_what_the_toy_says(expected):
    values = np.array([np.random.default_rng(row).normal() for row in range(ROWS)])
    np.testing.assert_array_equal(np.frombuffer(expected["stack.bin"]), values)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, run_toy, record_of, expected, workers):
    out = tmp_path / "out"
    status, _ = run_toy(out, ROWS, "--die-after", "5", "--workers", workers)
    assert status == -signal.SIGKILL
    assert record_of(out)["status"] == "running" and not (out / "stack.bin").exists()
    finished = list((out / ".cryoalign/parts").glob("part-*.npz"))
    assert 3 <= len(finished) < 16
    ages = {path: path.stat().st_mtime_ns for path in finished}

    status, message = run_toy(out, ROWS)
    assert status == 1 and "unfinished run" in message and "--resume" in message and "--overwrite" in message
    assert (out / "RELION_JOB_EXIT_FAILURE").exists()  # the killed run could not say so

    status, message = run_toy(out, ROWS, "--resume", "--part", "1/1")  # stops before the merge, to look at the parts
    assert status == 0, message
    assert {path: path.stat().st_mtime_ns for path in finished} == ages
    status, message = run_toy(out, ROWS, "--resume", "--workers", "2")
    assert status == 0, message
    assert results(out) == expected
    assert record_of(out)["status"] == "finished" and (out / "RELION_JOB_EXIT_SUCCESS").exists()
    assert not (out / "RELION_JOB_EXIT_FAILURE").exists() and not (out / ".cryoalign").exists()


def test_sigterm_stops_a_run_cleanly(tmp_path, start_toy, run_toy, record_of, expected):
    out = tmp_path / "out"
    process = start_toy(out, ROWS, "--slow", "0.05")
    assert process.stdout.readline() == "part 0\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert (out / "RELION_JOB_EXIT_ABORTED").exists() and record_of(out)["status"] == "aborted"
    assert "SIGTERM" in (out / "run.log").read_text() and not (out / "stack.bin").exists()
    assert run_toy(out, ROWS, "--resume") == (0, "")
    assert results(out) == expected


def test_relions_request_to_abort_is_obeyed(tmp_path, start_toy, record_of):
    out = tmp_path / "out"
    process = start_toy(out, ROWS, "--slow", "0.05")
    assert process.stdout.readline() == "part 0\n"
    (out / "RELION_JOB_ABORT_NOW").touch()
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert (out / "RELION_JOB_EXIT_ABORTED").exists() and record_of(out)["status"] == "aborted"


def test_a_running_run_keeps_others_out(tmp_path, start_toy, run_toy):
    out = tmp_path / "out"
    process = start_toy(out, ROWS, "--slow", "9.0")  # others start while it works, on a busy machine too
    assert process.stdout.readline() == "part 0\n"
    for words in ((), ("--resume",), ("--overwrite",), ("--part", "1/2")):
        status, message = run_toy(out, ROWS, *words)
        assert status == 1 and f"process {process.pid}" in message, words
    assert not (out / "RELION_JOB_EXIT_FAILURE").exists()  # the run that owns the directory goes on
    assert process.poll() is None


def test_parts_of_an_array_may_run_at_the_same_time_and_merge(tmp_path, start_toy, run_toy, record_of, expected):
    out = tmp_path / "out"
    tasks = [start_toy(out, ROWS, "--part", f"{k}/3", "--slow", "0.02") for k in (3, 1, 2)]
    for task in tasks:
        _, message = task.communicate(timeout=60)
        assert task.returncode == 0, message
    assert not (out / "stack.bin").exists() and record_of(out)["status"] != "finished"
    assert run_toy(out, ROWS, "--merge") == (0, "")
    assert results(out) == expected
    attempts = record_of(out)["attempts"]
    assert sorted(str(attempt["part"]) for attempt in attempts) == ["1/3", "2/3", "3/3", "None"]
    assert record_of(out)["peak_memory_bytes"] == max(attempt["peak_memory_bytes"] for attempt in attempts)


def test_a_part_that_died_can_run_again(tmp_path, run_toy, expected):
    out = tmp_path / "out"
    assert run_toy(out, ROWS, "--part", "1/2") == (0, "")
    assert run_toy(out, ROWS, "--part", "2/2", "--die-after", "1")[0] == -signal.SIGKILL
    status, message = run_toy(out, ROWS, "--merge")
    assert status == 1 and "not finished" in message
    assert run_toy(out, ROWS, "--part", "2/2") == (0, "")
    assert run_toy(out, ROWS, "--merge") == (0, "")
    assert results(out) == expected


def test_a_run_killed_within_its_commit_resumes_to_the_same_bytes(tmp_path, source, run_toy, record_of, expected):
    out = tmp_path / "out"
    program = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(toyjob.__file__).parents[1])!r})
        from helpers.toyjob import toy
        replace = Path.replace
        def deadly(self, target):
            replace(self, target)
            if self.name == "stack.bin":
                os.kill(os.getpid(), signal.SIGKILL)
        Path.replace = deadly
        toy(Path({str(out)!r}), Path({str(source)!r}), {ROWS})
    """)
    status = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60).returncode
    assert status == -signal.SIGKILL
    assert (out / "stack.bin").exists() and record_of(out)["status"] == "running"
    assert run_toy(out, ROWS, "--resume") == (0, "")
    assert results(out) == expected


def test_a_run_killed_within_its_commit_can_be_overwritten(tmp_path, source, run_toy, record_of):
    out = tmp_path / "out"
    out.mkdir()
    (out / "stack.bin").write_text("left by a commit")
    (out / ".cryoalign").mkdir()
    toy(tmp_path / "other", source, 100)
    record = record_of(tmp_path / "other") | {"status": "running", "files": ["stack.bin", "run.log"]}
    (out / "run.json").write_text(json.dumps(record))
    assert run_toy(out, ROWS, "--overwrite") == (0, "")
    assert (out / "stack.bin").stat().st_size == 8 * ROWS
