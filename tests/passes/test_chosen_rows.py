"""Particles that a user chose, by row or by name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cryoalign.core.errors import InputError
from cryoalign.passes.chosen import chosen_file, chosen_rows
from helpers.align import star

NAMES = [f"{i + 1:06d}@s.mrcs" for i in range(9)] + ["000001@s.mrcs"]


class Table(SimpleNamespace):
    def image_names(self):
        return NAMES

    def __len__(self):
        return len(NAMES)


def rows(text) -> list[int]:
    """Chosen rows among ten particles, the first and last of which share a name."""
    found = chosen_rows(str(text), Table(), option="--queries")
    assert found.dtype == np.int64
    return found.tolist()


def test_lists_count_from_one_and_keep_their_order():
    assert rows("3") == [2]
    assert rows("7, 1-3,2,10") == [6, 0, 1, 2, 9]
    assert chosen_file("7, 1-3") is None and chosen_file("rows.txt") == Path("rows.txt")


def test_files_of_numbers(tmp_path):
    (tmp_path / "a.txt").write_text("# chosen by eye\n4\n\n2  # a nice one\n4\n")
    assert rows(tmp_path / "a.txt") == [3, 1]


def test_star_files_name_images(tmp_path):
    star(tmp_path / "a.star", optics={"rlnOpticsGroup": 1}, particles={"rlnImageName": [NAMES[5], NAMES[1]]})
    assert rows(tmp_path / "a.star") == [5, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "no list of rows"),
        ("5-3", "no list of rows"),
        ("11", r"row that is not there \(11\); rows count from 1 to 10"),
        ("9-4000000000", "no list"),
        ("9-2000000000", r"not there \(11\)"),
        ("absent.txt", "neither rows such as 1,5-8 nor a file"),
    ],
)
def test_lists_that_cannot_be_meant(text, message):
    with pytest.raises(InputError, match=message):
        rows(text)


def test_files_that_cannot_be_meant(tmp_path):
    bad = tmp_path / "a.txt"
    for content, message in [
        ("1\n12\n", r"a.txt:2: --queries names a row that is not there \(12\)"),
        ("1\n2.5\n", r"a.txt:2: a row number is expected on each line \('2.5'\)"),
        ("# none\n", "names no rows"),
    ]:
        bad.write_text(content)
        with pytest.raises(InputError, match=message):
            rows(bad)
    bad.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        rows(bad)


def test_star_files_that_cannot_be_meant(tmp_path):
    other = star(tmp_path / "a.star", particles={"rlnImageName": [NAMES[3], "000099@s.mrcs"]})
    with pytest.raises(InputError, match=r"a.star:\d+: this image is not among the particles \('000099@s.mrcs'\)"):
        rows(other)
    twice = star(tmp_path / "b.star", particles={"rlnImageName": [NAMES[0]]})
    with pytest.raises(InputError, match="more than once"):
        rows(twice)
    empty = star(tmp_path / "c.star", particles={"rlnAnglePsi": [1]})
    with pytest.raises(InputError, match="no table with rlnImageName"):
        rows(empty)
