"""run.json as others, accidents and attackers leave it: one line, never a traceback, and nothing of it is touched."""

from __future__ import annotations

import json
import os

import pytest

from cryoalign.core.errors import InputError
from cryoalign.jobs.loaded import load_run
from cryoalign.jobs.merge import run_merge
from cryoalign.runs.record import read_record, record_text
from helpers.toyjob import toy

STRANGE = [
    "", "null", "[]", "[1, 2]", '"finished"', "12", "1e999", "NaN", "{", "{}", "\ufeff{}", "[" * 200_000,
    '{"a":' * 100_000, "9" * 10_000, '{"program": "cryoalign"}', '{"program": "cryoalign", "schema_version": 1}',
    '{"program": "cryoalign", "schema_version": "1"}', '{"program": "cryoalign", "schema_version": 2}',
    '{"program": "cryoalign", "schema_version": null, "status": "finished"}', '{"program": ["cryoalign"]}',
]  # fmt: skip
OTHERWISE = {
    "status": [None, 3, "Finished", "done", []],
    "files": [None, "x", {}, [1], [None], [["a"]], [""], ["a\0b"]],
    "parameters": [None, [], "x"],
    "versions": [None, [], "x"],
    "inputs": [None, {}, ["x"], [{"path": 3}], [{}]],
    "attempts": [None, {}, [1], "x"],
    "command": [None, 3, ["align"]],
    "working_directory": [None, 7],
    "exit_status": [None, "0"],
    "counts": [None, []],
}


def refused(out, source) -> None:
    """Hold that every use of a directory says one line, and changes nothing."""
    before = (out / "run.json").read_bytes()
    for options in ({}, {"overwrite": True}, {"resume": True}, {"part": (1, 2)}):
        with pytest.raises(InputError, match=r"run\.json: ") as error:
            toy(out, source, 64, **options)
        assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    for function in (read_record, load_run, lambda path: run_merge(path, argv=[], threads=1)):
        with pytest.raises(InputError, match=r"run\.json: "):
            function(out)
    assert (out / "run.json").read_bytes() == before
    assert [path.name for path in out.iterdir()] == ["run.json"]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_what_is_no_record_is_refused(tmp_path, source, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text(text)
    refused(out, source)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\x00" * 1000, bytes(range(256))])
def test_bytes_that_are_no_text_are_refused(tmp_path, source, data):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_bytes(data)
    refused(out, source)


@pytest.mark.parametrize("key", OTHERWISE)
def test_a_record_with_a_value_of_another_kind_is_refused(tmp_path, source, record_of, key):
    toy(tmp_path / "model", source, 64)
    model = record_of(tmp_path / "model")
    for number, value in enumerate(OTHERWISE[key]):
        out = tmp_path / f"out{number}"
        out.mkdir()
        (out / "run.json").write_text(json.dumps(model | {key: value}))
        refused(out, source)


def test_a_record_that_was_cut_off_is_refused(tmp_path, source):
    toy(tmp_path / "model", source, 64)
    whole = (tmp_path / "model" / "run.json").read_bytes()
    for number, length in enumerate(range(1, len(whole) - 2, len(whole) // 7)):
        out = tmp_path / f"out{number}"
        out.mkdir()
        (out / "run.json").write_bytes(whole[:length])
        refused(out, source)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused(tmp_path, source, make):
    make(tmp_path / "run.json")
    with pytest.raises(InputError, match=r"run\.json: this file was not written by cryoalign"):
        toy(tmp_path, source, 64)


def test_a_large_file_is_not_read(tmp_path, source):
    with (tmp_path / "run.json").open("wb") as handle:
        handle.truncate(1 << 40)
    with pytest.raises(InputError, match="not written by cryoalign"):
        toy(tmp_path, source, 64)


def test_names_that_are_no_text_come_back_and_a_terminal_does_not_obey_the_file():
    record = {"files": ["\udcff\udc00.star", "\x1b[31m\x9b\u202e", "\u00e9 \U0001f600"]}
    data = record_text(record)
    assert json.loads(data) == record and json.loads(data.decode("utf-8")) == record
    text = data.decode()
    assert not any(character in text for character in "\x1b\x9b\u202e") and "\u00e9 \U0001f600" in text
