"""Folders and files whose names hold any byte: commands work, or refuse in one line, and nothing obeys the name."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from torturelib.small_runs import COMMANDS, words_of

from cryoalign.cli.main import main
from cryoalign.core.plain_text import shown
from helpers.align import run
from helpers.undrawn import leave_out_drawing

NAMES = {
    "latin-1": b"caf\xe9",
    "no-utf-8": b"a\xff\xfe\x80b",
    "escape": b"\x1b[2J\x1b[31mred\x07",
    "direction": "user\u202ertar".encode(),
    "blanks": b" two  words ",
    "quotes": b"'one\" & <b>two",
    "line": b"one\nError: two\r",
    "dash": b"-o",
    "long": b"x" * 200,
    "wide": "\u4e2d\u6587\U0001f600\u0301".encode(),
    "percent": b"%s %n {0} $HOME `id`",
}


def no_harm(text: str) -> None:
    """Hold that a terminal or a page can show this."""
    assert text.replace("\n", "") == shown(text.replace("\n", ""), 10**9), ascii(text)


def one_line(said: str) -> None:
    """Hold that all that was said is warnings, and at most one error, each of one line."""
    lines = [line for line in said.split("\n") if line]
    assert all(line.startswith(("Warning: ", "Error: ", "Usage: ")) for line in lines), lines
    assert sum(line.startswith("Error: ") for line in lines) <= 1 and "unexpected" not in said, lines
    no_harm(said)


@pytest.mark.parametrize("name", NAMES)
def test_select_in_odd_folders(small, tmp_path, name):
    """The project, the tables and the results are all below a folder of that name."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAMES[name]))
    folder.mkdir()
    for part in ("sim", "Aligned"):
        shutil.copytree(small / part, folder / part)
    for place, start in ((folder, Path()), (tmp_path, Path(folder.name))):
        said = io.StringIO()
        first = ["./"] if name == "dash" and start != Path() else [""]
        table = f"{first[0]}{start / 'Aligned' / 'particles.star'}"
        with contextlib.chdir(place), contextlib.redirect_stderr(said):
            status = main(["select", table, "--best", "50", "-q", "-o", f"{first[0]}{start / 'out'}"])
        one_line(said.getvalue())
        assert status in (0, 1)
        out = folder / "out"
        if status == 0:
            assert json.loads((out / "run.json").read_bytes())["status"] == "finished"
            no_harm((out / "run.json").read_text())
            no_harm((out / "run.log").read_text())
            (out / "particles.star").read_bytes()
        else:  # a name that a STAR file cannot hold
            assert name in ("line", "quotes") and not out.exists(), said.getvalue()
        shutil.rmtree(out, ignore_errors=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_a_folder_that_is_no_utf_8(small, tmp_path, monkeypatch, command):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAMES["no-utf-8"]))
    folder.mkdir()
    for part in ("sim", "Aligned", "Neighbours"):
        shutil.copytree(small / part, folder / part)
    if command not in ("simulate", "simulate-graph", "select", "compare", "sync"):
        leave_out_drawing(monkeypatch, command.replace("-", "_"))  # the others have their pages drawn
    inside = [
        f"{folder.name}/{word}" if word.startswith(("sim/", "Aligned/", "Neighbours/")) else word
        for word in words_of(command, f"{folder.name}/out")
    ]
    ran = run(tmp_path, *inside, "--datadir", folder.name) if command in ("align", "classavg", "rid-distance", "sync",
        "average", "compare") else run(tmp_path, *inside)  # fmt: skip
    one_line("\n".join(ran.lines))
    assert ran.status == 0, ran.lines
    record = json.loads((folder / "out" / "run.json").read_bytes())
    assert record["status"] == "finished" and record["parameters"]["output"] == f"{folder.name}/out"
    again = run(tmp_path, *inside, "--resume")
    assert again.status in (0, 1)
    for path in (folder / "out").glob("*"):
        if path.suffix in (".html", ".json", ".log"):
            no_harm(path.read_text(encoding="utf-8"))
