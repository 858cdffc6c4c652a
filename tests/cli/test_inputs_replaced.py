"""Inputs that are replaced while a run reads them: noticed before the commit, and then nothing is committed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from torturelib.small_runs import COMMANDS, words_of

from cryoalign.runs.rundir import RunDirectory
from helpers.align import run
from helpers.undrawn import leave_out_drawing

DRAWING = ("align", "average", "classavg", "compare", "rid-distance", "sync")


def rewritten(path: Path) -> None:
    """Other bytes of the same length in the same file."""
    with path.open("r+b") as handle:
        handle.seek(-8, os.SEEK_END)
        handle.write(b"12345678")


def replaced(path: Path) -> None:
    """Another file of the same name, size and time of change, as rsync leaves it."""
    status = path.stat()
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-8] + b"87654321")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    """The file cut short."""
    os.truncate(path, path.stat().st_size - 4)


def gone(path: Path) -> None:
    """No file any more."""
    path.unlink()


CASES = [
    ("align", "sim/particles.star", rewritten),
    ("align", "sim/particles.mrcs", rewritten),
    ("align", "sim/references.star", replaced),
    ("align", "sim/references.mrcs", replaced),
    ("average", "Aligned/particles.star", replaced),
    ("average", "sim/particles.mrcs", replaced),
    ("average", "sim/particles.mrcs", gone),
    ("classavg", "sim/particles.star", gone),
    ("classavg", "sim/particles.mrcs", rewritten),
    ("compare", "sim/references.mrcs", rewritten),
    ("compare", "Aligned/averages.mrcs", cut),
    ("rid-distance", "sim/particles.star", rewritten),
    ("rid-distance", "sim/particles.mrcs", cut),
    ("select", "Aligned/particles.star", rewritten),
    ("simulate", "sim/views.star", gone),
    ("sync", "Neighbours/graph.npz", replaced),
    ("sync", "sim/particles.star", rewritten),
]


@pytest.mark.parametrize(("command", "name", "change"), CASES)
def test_a_replaced_input_is_noticed_and_nothing_is_committed(
    small, tmp_path, monkeypatch, command: str, name: str, change: Callable[[Path], None]
):
    for folder in ("sim", "Aligned", "Neighbours"):
        shutil.copytree(small / folder, tmp_path / folder)
    if command in DRAWING:
        leave_out_drawing(monkeypatch, command.replace("-", "_"))
    commit, changed = RunDirectory.commit, []

    def late(self, **words):
        change(tmp_path / name)
        changed.append(name)
        commit(self, **words)

    monkeypatch.setattr(RunDirectory, "commit", late)
    ran = run(tmp_path, *words_of(command, "out"))
    assert changed and ran.status == 1, ran.lines
    assert len(ran.errors) == 1 and "changed while they were read" in ran.errors[0] and name in ran.errors[0]
    left = [path.suffix for path in (tmp_path / "out").glob("*")]
    assert not {".star", ".mrcs", ".npz", ".csv", ".html"} & set(left)
    assert not (tmp_path / "out" / "RELION_JOB_EXIT_SUCCESS").exists()


def test_every_command_that_reads_has_a_case():
    assert {command for command, _, _ in CASES} == set(COMMANDS) - {"simulate-graph"}
    assert len(CASES) >= 16


def test_a_file_that_was_only_looked_at_is_no_change(small, tmp_path, monkeypatch):
    """New times of access, another name for the same file, and other rights change no bytes."""
    for folder in ("sim", "Aligned"):
        shutil.copytree(small / folder, tmp_path / folder)
    commit = RunDirectory.commit

    def late(self, **words):
        table = tmp_path / "Aligned" / "particles.star"
        table.read_bytes()
        os.link(table, tmp_path / "another.star")
        table.chmod(0o600)
        commit(self, **words)

    monkeypatch.setattr(RunDirectory, "commit", late)
    assert run(tmp_path, *words_of("select", "out")).status == 0


def test_a_task_of_a_job_array_looks_again_too(small, tmp_path, monkeypatch):
    shutil.copytree(small / "sim", tmp_path / "sim")
    shutil.copytree(small / "Aligned", tmp_path / "Aligned")
    leave, stack = RunDirectory.leave_partial, tmp_path / "sim" / "particles.mrcs"

    def late(self):
        rewritten(stack)
        leave(self)

    monkeypatch.setattr(RunDirectory, "leave_partial", late)
    ran = run(tmp_path, *words_of("average", "out", "--part", "1/2"))
    assert ran.status == 1 and "particles.mrcs changed" in ran.errors[0]
    monkeypatch.undo()
    # Its parts are of other pixels: no task and no merge may go on from them.
    for words in (words_of("average", "out", "--part", "2/2"), words_of("average", "out", "--resume")):
        ran = run(tmp_path, *words)
        assert ran.status == 1 and "particles.mrcs changed" in ran.errors[0] and "--overwrite" in ran.errors[0]
