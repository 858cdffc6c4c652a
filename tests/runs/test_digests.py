"""Digests: whole tables, ends of stacks, and naming what changed."""

from __future__ import annotations

import hashlib
import os

import pytest

from cryoalign.core.errors import InputError
from cryoalign.runs.digests import describe_changes, digest_input, digest_inputs

MIB = 1 << 20


def test_tables_are_hashed_whole(tmp_path):
    path = tmp_path / "a.star"
    path.write_bytes(b"x" * (3 * MIB))
    expected = {"path": str(path), "size": 3 * MIB, "sha256": hashlib.sha256(b"x" * (3 * MIB)).hexdigest()}
    assert digest_input(path) == expected
    before = digest_input(path)
    path.write_bytes(b"x" * MIB + b"y" + b"x" * (2 * MIB - 1))
    assert digest_input(path) != before


@pytest.mark.parametrize("size", [0, 10, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 3 * MIB])
def test_of_stacks_the_first_and_last_mib_are_hashed(tmp_path, size):
    path = tmp_path / "a.mrcs"
    data = os.urandom(size)
    path.write_bytes(data)
    entry = digest_input(path)
    ends = data if size <= 2 * MIB else data[:MIB] + data[-MIB:]
    assert entry["sha256_first_and_last_mib"] == hashlib.sha256(ends).hexdigest()
    assert entry["mtime_ns"] == path.stat().st_mtime_ns and "sha256" not in entry


def test_a_full_digest_sees_the_middle_of_a_stack(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(b"x" * (3 * MIB))
    before = digest_input(path, full=True)
    assert "mtime_ns" not in before
    path.write_bytes(b"x" * (MIB + 5) + b"y" + b"x" * (2 * MIB - 6))
    assert digest_input(path, full=True)["sha256"] != before["sha256"]


def test_a_touched_stack_counts_as_changed(tmp_path):
    path = tmp_path / "a.mrcs"
    path.write_bytes(b"abc")
    old = digest_inputs([path])
    os.utime(path, ns=(0, 0))
    assert describe_changes(old, digest_inputs([path])) == [f"{path} changed (mtime_ns)"]


def test_only_files_of_both_runs_are_compared(tmp_path):
    one, two = tmp_path / "1.star", tmp_path / "2.star"
    one.write_text("1")
    two.write_text("2")
    assert describe_changes(digest_inputs([one]), digest_inputs([two, one])) == []
    old = digest_inputs([one, two])
    two.write_text("two")
    assert describe_changes(old, digest_inputs([one, two])) == [f"{two} changed (size, sha256)"]


def test_a_path_is_listed_once_and_in_order(tmp_path):
    paths = [tmp_path / name for name in ("b.star", "a.star")]
    for path in paths:
        path.touch()
    assert [entry["path"] for entry in digest_inputs([*paths, *paths])] == [str(path) for path in paths]


def test_unreadable_inputs_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.star: no such file"):
        digest_input(tmp_path / "absent.star")
    with pytest.raises(InputError, match="is a folder, not a file"):
        digest_input(tmp_path)
