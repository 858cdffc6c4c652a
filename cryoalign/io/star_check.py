"""The line checker for STAR files: blocks, labels, rows, and everything wrong with them before anyone speaks.

It knows the grammar that cryo-EM programs write, a subset of STAR (Hall 1991, J. Chem. Inf. Comput. Sci. 31, 326):
one loop or one list of pairs in a block, one row on a line. A quote opens a value only at its start and closes it
only before white space; a ``#`` starts a comment only where a value could start.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryoalign.core.errors import InputError
from cryoalign.core.refusals import AllNoted, collected, refuse
from cryoalign.io.file_kind import open_file, read_head, refuse_unless_text

_TOKEN = re.compile(
    r"""[ \t]*(?:(#.*)|'((?:[^']|'(?=[^ \t]))*)'(?=[ \t]|$)|"((?:[^"]|"(?=[^ \t]))*)"(?=[ \t]|$)|([^ \t]+))"""
)
_PLAIN_BYTES = bytes(b for b in (9, 10, 13, *range(32, 127)) if chr(b) not in "'\"")
_ODD = re.compile(r"[^\t\x20-\x7e]|['\"]")
_MISSING_WORDS = ("nan", "NaN", "<NA>")
_SHOWN = 5
_LONGEST = 60


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a STAR file; ``line`` is 1-based. The table can be read ``without`` it, or not at all."""

    line: int
    what: str
    value: str | None = None
    hint: str | None = None
    without: bool = False


@dataclass
class Block:
    """One data block as it stands in the file.

    ``rows`` are the raw lines of a loop (or the value lines of a list), ``odd`` the tokens of those rows that a plain
    split at white space would get wrong, by row index; ``row_lines`` the 1-based line of each row.
    """

    name: str
    line: int
    is_loop: bool = False
    labels: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    odd: dict[int, list[str]] = field(default_factory=dict)
    row_lines: list[int] = field(default_factory=list)


@dataclass
class StarScan:
    """All blocks of a file and all problems found in it."""

    path: Path
    blocks: list[Block]
    problems: list[Problem]

    def refuse(self) -> None:
        """Raise one InputError that carries every problem (the first in full), if there is any.

        Where mistakes are collected, each is one; a table with problems in single rows is read.
        """
        if not self.problems:
            return
        if collected():
            for p in self.problems:
                refuse(InputError(p.what, path=self.path, line=p.line, value=p.value, hint=p.hint, kind="table"))
            if not all(p.without for p in self.problems):
                raise AllNoted("the table cannot be read", path=self.path)
            return
        first, *others = self.problems
        what = first.what if first.value is None else f"{first.what} ({first.value!r})"
        if others:
            what += "; also " + "; ".join(f"line {p.line}: {p.what}" for p in others[: _SHOWN - 1])
        if len(others) >= _SHOWN:
            what += f"; and {len(others) - _SHOWN + 1} more problems"
        raise InputError(what, path=self.path, line=first.line, hint=first.hint, kind="table")


def split_values(line: str, *, comments: bool = True) -> list[str] | None:
    """Split a row into its values, without quotes and comment; None where a quote is not closed.

    Without ``comments``, words that start with ``#`` are values.
    """
    values, position, end = [], 0, len(line.rstrip(" \t"))
    while position < end:
        match = _TOKEN.match(line, position)
        if match is None:
            return None
        comment, single, double, plain = match.groups()
        position = match.end()
        if comment is not None:
            if comments:
                break
            plain = comment.split()[0]
            position = match.start(1) + len(plain)
        if plain is not None and plain[0] in "'\"":
            return None
        values.append(next(v for v in (plain, single, double) if v is not None))
    return values


def scan_star(path: str | os.PathLike[str]) -> StarScan:
    """Read a STAR file line by line and list its blocks and problems.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or no text file at all (an MRC file, a Git LFS pointer).
    """
    refuse_unless_text(read_head(path), path)
    with open_file(path) as stream:
        raw = stream.read().removeprefix(b"\xef\xbb\xbf")
    scanner = _Scanner(
        odd=bool(raw.translate(None, _PLAIN_BYTES)), missing=any(w.encode() in raw for w in _MISSING_WORDS)
    )
    # Bytes that are no UTF-8 survive as surrogates and go back out as they came.
    text = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        scanner.take(number, line)
    scanner.finish()
    return StarScan(Path(path), scanner.blocks, sorted(scanner.problems, key=lambda p: p.line))


class _Scanner:
    """The state machine over lines: before any block, in a block, in a loop's header, in its rows, in pairs."""

    def __init__(self, *, odd: bool, missing: bool) -> None:
        self.blocks: list[Block] = []
        self.problems: list[Problem] = []
        self._odd, self._missing = odd, missing
        self._state = "start"
        self._blank = 0  # first blank line after the last row of a loop, 0 if none
        self._lines_by_name: dict[str, int] = {}

    def take(self, number: int, line: str) -> None:
        """Take the next line."""
        text = line.strip(" \t\f\v")
        if not text:
            if not self._blank and self._state in ("header", "rows"):
                self._blank = number
        elif text[0] == "#":
            return
        elif self._state == "rows":
            self._row_or_block(number, line, text)
        elif text.startswith("data_") and not (self._state == "header" and self._fits(line)):
            self._open(number, text)
        elif self._state == "start":
            if text[0] == "_" or text == "loop_":
                self._problem(
                    number, "label outside of any block", text.split()[0], "a 'data_' line is missing above it"
                )
                self._state = "orphan"
        elif self._state == "orphan":
            return
        elif text.split()[0] == "loop_":
            self._loop(number)
        elif self._state == "header":
            self._header(number, line, text)
        elif text[0] == "_":
            self._pair(number, line)
        else:
            self._problem(number, "text that belongs to no table", _short(text))

    def finish(self) -> None:
        """Say what is missing at the end of the file."""
        if not self.blocks and not self.problems:
            self._problem(
                1, "no table: no line starts with 'data_'", hint="this is not a STAR file, or its header is lost"
            )
        for block in self.blocks:
            if block.is_loop and not block.labels:
                self._problem(block.line, f"the loop of data_{block.name} has no labels")

    def _problem(
        self, line: int, what: str, value: str | None = None, hint: str | None = None, *, without: bool = False
    ) -> None:
        self.problems.append(Problem(line, what, value, hint, without))

    def _open(self, number: int, text: str) -> None:
        name = text.split()[0][len("data_") :]
        if name in self._lines_by_name:
            self._problem(
                number, f"second block named data_{name} (the first is at line {self._lines_by_name[name]})",
                hint="a reader would see only one of them: rename or remove one",
            )  # fmt: skip
        self._lines_by_name.setdefault(name, number)
        self.blocks.append(Block(name, number))
        self._state, self._blank = "block", 0

    def _loop(self, number: int) -> None:
        block = self.blocks[-1]
        if self._state != "block":
            self._problem(number, f"second table in block data_{block.name}", hint="give it a 'data_' line of its own")
            block = Block(block.name, number)
            self.blocks.append(block)
        block.is_loop = True
        self._state, self._blank = "header", 0

    def _header(self, number: int, line: str, text: str) -> None:
        block = self.blocks[-1]
        words = text.split()
        follows = len(words) > 1 and words[1][0] != "#"
        if text[0] != "_" or (follows and self._fits(line)):
            self._state, self._blank = "rows", 0  # a blank line between labels and rows is harmless
            self._row_or_block(number, line, text)
            return
        if self._blank:
            self._problem(self._blank, f"blank line between the labels of data_{block.name}", hint="delete it")
            self._blank = 0
        if follows:
            self._problem(number, "label of a loop followed by a value", _short(text))
        self._label(number, words[0])

    def _fits(self, line: str) -> bool:
        """Tell whether a line that begins with a keyword is rather a row: as many values as labels, and several."""
        values, count = split_values(line), len(self.blocks[-1].labels)
        return values is not None and len(values) == count > 1

    def _label(self, number: int, word: str) -> None:
        block, label = self.blocks[-1], word[1:]
        if not label or any("\udc80" <= c <= "\udcff" for c in label):
            self._problem(number, "label without a readable name", word)
        elif label in block.labels:
            self._problem(number, f"second column {label} in data_{block.name}", hint="remove or rename one of them")
        block.labels.append(label)

    def _pair(self, number: int, line: str) -> None:
        self._state = "pairs"
        block, values = self.blocks[-1], split_values(line)
        if values is None:
            self._problem(number, "quote that is not closed", _short(line))
            values = [line.split()[0], ""]
        self._label(number, values[0])
        if len(values) > 2:
            self._problem(
                number, f"label with {len(values) - 1} values", _short(line), "put quotes round a value with spaces"
            )
        block.odd[len(block.rows)] = [*values, ""][1:2]
        block.rows.append(line)
        block.row_lines.append(number)

    def _row_or_block(self, number: int, line: str, text: str) -> None:
        block = self.blocks[-1]
        tokens = None
        if (
            "#" in line
            or text.startswith(("data_", "loop_", "_"))
            or (self._odd and _ODD.search(line))
            or (self._missing and any(word in line for word in _MISSING_WORDS))
        ):
            tokens = split_values(line)
            if text.startswith("data_") and not self._fits(line):
                self._open(number, text)
                return
            if text == "loop_":
                self._loop(number)
                return
            if tokens is None:
                self._problem(number, "quote that is not closed", _short(text))
                tokens = line.split()
            elif len(tokens) < len(block.labels) and "#" in line:
                # RELION writes values that start with '#' without quotes.
                values = split_values(line, comments=False)
                tokens = values if values is not None and len(values) == len(block.labels) else tokens
            block.odd[len(block.rows)] = tokens
        if self._blank:
            self._problem(
                self._blank, f"blank line inside the table data_{block.name}", hint="RELION would silently drop the "
                "rows below it: delete the line if they belong to the table", without=True,
            )  # fmt: skip
            self._blank = 0
        count = len(line.split()) if tokens is None else len(tokens)
        if count != len(block.labels):
            kind = "short" if count < len(block.labels) else "long"
            self._problem(
                number, f"{kind} row: {count} values where data_{block.name} has {len(block.labels)} columns",
                hint="quote values with spaces, write empty ones as \"\"" if kind == "long" or count else None,
                without=bool(block.rows),
            )  # fmt: skip
            if block.rows:  # whoever goes on takes the row before it twice, so that others keep their numbers
                line, before = block.rows[-1], block.odd.get(len(block.rows) - 1)
                block.odd.pop(len(block.rows), None)
                if before is not None:
                    block.odd[len(block.rows)] = before
        block.rows.append(line)
        block.row_lines.append(number)


def _short(text: str) -> str:
    """Return a text that fits into a message."""
    text = text.strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
