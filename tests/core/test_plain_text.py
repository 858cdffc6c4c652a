"""Text that is shown: harmless, one line, and short."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from cryoalign.core.errors import InputError
from cryoalign.core.plain_text import safe_lines, shortened, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 12 \u00c5 and \u4e2d\u6587", "plain words, 12 \u00c5 and \u4e2d\u6587"),
        ("two\nlines\r\nand\ta tab", "two lines and a tab"),
        ("    kept  blanks", "    kept  blanks"),
        ("\x1b[31mred\x1b[0m\x07", r"\x1b[31mred\x1b[0m\x07"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("a\u200bb\ufeff\u2028c", r"a\u200bb\ufeff\u2028c"),
        ("caf\udce9 \ud800", r"caf\xe9 \ud800"),
        ("\U000e0041x", r"\U000e0041x"),
        ("back\\slash", "back\\slash"),
        ("", ""),
    ],
)
def test_shown(text, expected):
    assert shown(text) == expected


def test_no_character_that_does_something_is_left():
    everything = "".join(chr(number) for number in range(sys.maxunicode + 1))
    left = shown(everything, len(everything) * 10)
    assert {unicodedata.category(character) for character in left} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert not any(unicodedata.bidirectional(c) in ("RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI")
                   for c in left)  # fmt: skip
    assert len(left.splitlines()) == 1


def test_long_text_keeps_both_ends():
    text = "Error: " + "x" * 50_000 + "; do this"
    line = shown(text)
    assert len(line) == 1500 and line.startswith("Error: xxx") and line.endswith("x; do this")
    assert "characters left out" in line
    assert shortened("abc", 3) == "abc" and shown("x" * 100_000, 0).startswith(" ... (")


def test_values_in_errors_are_short():
    error = InputError("no such column", path="a.star", value="v" * 56_000, hint="give another")
    assert len(str(error)) < 400 and str(error).endswith("vv'); give another")


def test_tracebacks_keep_their_lines():
    text = 'Traceback\n  File "\x1b[31m.py"\n    x = 1\nError: y'
    assert safe_lines(text, 100) == 'Traceback\n  File "\\x1b[31m.py"\n    x = 1\nError: y'
