"""STAR files in and out, cells verbatim; the library that parses and writes (starfile) is hidden behind this module.

Rows of plain words, of which large tables are made, pass it by, since it is slow with them. It never sees a cell that
it would change (quotes, ``#``, "nan", bytes that are no UTF-8): such cells travel as stand-ins through it and are put
back afterwards, in both directions.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias, cast

import pandas as pd
import starfile

from cryoalign.core.errors import InputError
from cryoalign.io.columns import text_series
from cryoalign.io.star_check import Block, scan_star
from cryoalign.io.writing import naming

Table: TypeAlias = "pd.DataFrame | dict[str, str]"
"""A loop is a DataFrame of str, a list of pairs a dict."""
Loop = dict[str, list[str]]
"""A loop to be written, as columns of text: cheap where a file has thousands of small ones."""

_SAFE = re.compile(r"[A-Za-z0-9+\-.,/@:=][\x21-\x7e]*")
_NEEDS_CARE = re.compile(r"[\s'\"#]|^$|^[_<]|^nan$|^NaN$|^(?:data_|loop_|save_|global_|stop_)|[^\x21-\x7e]")
_START_NEEDS_CARE = re.compile("\x1f(?:[\x1f_<]|nan\x1f|NaN\x1f|data_|loop_|save_|global_|stop_)")
_PLAIN_BYTES = bytes(b for b in (0x1F, *range(0x21, 0x7F)) if chr(b) not in "'\"#")
_DAMAGED = re.compile("[\x00-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")
"""Control characters, and halves of characters but those that stand for bytes that are no UTF-8."""
_LONGEST_NAME, _SHOWN = 4096, 80
_VERSION = "# version 30001"
_STAND_IN = "cell"


@dataclass
class StarFile:
    """The blocks of a STAR file in file order, and where each begins (1-based line)."""

    path: Path
    blocks: dict[str, Table]
    lines: dict[str, int] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """Return a block as a table; a list of pairs becomes a table of one row."""
        block = self.blocks[name]
        if isinstance(block, pd.DataFrame):
            return block
        return pd.DataFrame({label: [value] for label, value in block.items()}, dtype=str)

    def block_with(self, label: str) -> str | None:
        """Return the name of the first block that has a label."""
        return next((name for name, block in self.blocks.items() if label in block), None)

    def filled(self, name: str) -> pd.DataFrame:
        """Return a block as a table; raise InputError where it has no rows."""
        table = self.table(name)
        if table.empty:
            what = f"empty table: data_{name} has no rows"
            raise InputError(what, path=self.path, line=self.lines[name], kind="table")
        return table


def read_star(path: str | os.PathLike[str]) -> StarFile:
    """Read every block of a STAR file, all cells as text.

    Raises
    ------
    InputError
        One line with every problem of the file: short and long rows, blank lines inside a loop, labels without a
        block, no table at all, another kind of file.
    """
    scan = scan_star(path)
    scan.refuse()
    plain = [_is_plain(block) for block in scan.blocks]
    odd = zip(scan.blocks, plain, strict=True)
    tables = _parse([block for block, is_plain in odd if block.rows and not is_plain])
    blocks: dict[str, Table] = {}
    for block, is_plain in zip(scan.blocks, plain, strict=True):
        if is_plain:
            blocks[block.name] = _plain_table(block)
        elif block.rows:
            blocks[block.name] = tables.pop(0)
        else:
            blocks[block.name] = pd.DataFrame({label: [] for label in block.labels}, dtype=str) if block.is_loop else {}
    return StarFile(Path(path), blocks, {block.name: block.line for block in scan.blocks})


def star_text(blocks: Mapping[str, Table | Loop]) -> str:
    """Return the text of a STAR file with these blocks: no date, one row on a line, values split by tabs.

    Raises
    ------
    InputError
        If a cell is missing or cannot be written as one STAR value (a line break, both kinds of quotes).
    """
    return "\n".join(_block_text(name, block) for name, block in blocks.items())


def write_star(path: str | os.PathLike[str], blocks: Mapping[str, Table | Loop]) -> None:
    """Write a STAR file; see ``star_text``."""
    text = star_text(blocks)
    with naming(path):
        Path(path).write_bytes(text.encode("utf-8", "surrogateescape"))


def write_star_blocks(path: str | os.PathLike[str], blocks: Iterable[tuple[str, Table | Loop]]) -> None:
    """Write a STAR file of many blocks as they come: the same bytes as ``write_star``, with one block in memory."""
    with naming(path), Path(path).open("wb") as handle:
        for place, (name, block) in enumerate(blocks):
            text = ("\n" if place else "") + _block_text(name, block)
            handle.write(text.encode("utf-8", "surrogateescape"))


def write_star_loop(path: str | os.PathLike[str], name: str, pieces: Iterable[Loop]) -> None:
    """Write a STAR file of one loop whose rows come in pieces, at least one: the same bytes as ``write_star``."""
    with naming(path), Path(path).open("wb") as handle:
        start = 0
        for columns in pieces:
            columns = {label: list(column) for label, column in columns.items()}
            lines = [_VERSION, "", f"data_{name}", *_loop_head(tuple(columns))] if start == 0 else []
            lines += _loop_rows(columns, start)
            start += len(next(iter(columns.values()), ()))
            handle.write(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
        handle.write(b"\n")


def refuse_damaged_text(value: str, label: str, path: Path, row: int | None = None) -> None:
    """Refuse a text from a file of another format that STAR cannot hold, before hours of work and not after.

    Parameters
    ----------
    value, label
        The text, and what it is.
    path, row
        The file, and the 0-based row there.

    Raises
    ------
    InputError
        If it holds control characters, half a character, both kinds of quotes, or is longer than any name.
    """
    what = None
    if len(value) > _LONGEST_NAME:
        what = f"{label} is longer than any name"
    elif _DAMAGED.search(value):
        what = f"{label} is damaged text"
    else:
        try:
            _quoted(value, label, None)
        except InputError as error:
            what = error.what
    if what is not None:
        raise InputError(what, path=path, row=None if row is None else row + 1, value=value[:_SHOWN])


def _is_plain(block: Block) -> bool:
    """Tell whether the rows of a loop are nothing but words between white space, as in every large table."""
    return block.is_loop and bool(block.rows) and not block.odd and not any("#" in row for row in block.rows)


def _plain_table(block: Block) -> pd.DataFrame:
    """Read plain rows as the library does, without its search for numbers: half the time of a large table."""
    return pd.read_csv(
        io.StringIO("\n".join(block.rows)), sep=r"\s+", header=None, names=block.labels, dtype=str, na_filter=False,
        quoting=csv.QUOTE_NONE,
    )  # fmt: skip


def _parse(blocks: list[Block]) -> list[Table]:
    """Give the blocks to the library as one plain text, and put the stand-ins' cells back."""
    if not blocks:
        return []
    lines: list[str] = []
    kept: list[dict[str, dict[int, str]]] = []
    for number, block in enumerate(blocks):
        lines += [f"data_{number}", ""]
        kept.append(_plain_loop(block, lines) if block.is_loop else _plain_pairs(block, lines))
        lines.append("")
    labels = sorted({label for block in blocks for label in block.labels})
    with tempfile.TemporaryDirectory(prefix="cryoalign-") as folder:
        plain = Path(folder) / "plain.star"
        plain.write_text("\n".join(lines) + "\n", encoding="utf-8")
        parsed = starfile.read(plain, always_dict=True, parse_as_string=labels)
    return [_put_back(parsed[str(number)], cells) for number, cells in enumerate(kept)]


def _plain_loop(block: Block, lines: list[str]) -> dict[str, dict[int, str]]:
    kept: dict[str, dict[int, str]] = {}
    lines.append("loop_")
    lines += [f"_{label}" for label in block.labels]
    if not block.odd:
        lines += block.rows
        return kept
    for row, line in enumerate(block.rows):
        tokens = block.odd.get(row)
        lines.append(line if tokens is None else " ".join(_stand_in(tokens, block.labels, row, kept)))
    return kept


def _plain_pairs(block: Block, lines: list[str]) -> dict[str, dict[int, str]]:
    kept: dict[str, dict[int, str]] = {}
    for row, label in enumerate(block.labels):
        (value,) = _stand_in(block.odd[row], [label], row, kept)
        lines.append(f"_{label} {value}")
    return kept


def _stand_in(tokens: list[str], labels: list[str], row: int, kept: dict[str, dict[int, str]]) -> list[str]:
    plain = list(tokens)
    for column, token in enumerate(tokens):
        if not _SAFE.fullmatch(token) or _NEEDS_CARE.search(token) or "\\" in token:
            kept.setdefault(labels[column], {})[row] = token
            plain[column] = _STAND_IN
    return plain


def _put_back(table: Table, kept: dict[str, dict[int, str]]) -> Table:
    for label, cells in kept.items():
        if isinstance(table, dict):
            table[label] = next(iter(cells.values()))
            continue
        column = table[label].tolist()
        for row, value in cells.items():
            column[row] = value
        table[label] = text_series(column, table.index)
    return table


def _block_text(name: str, block: Table | Loop) -> str:
    if isinstance(block, dict) and block and all(isinstance(column, list) for column in block.values()):
        return _loop_text(name, {label: list(column) for label, column in block.items()})
    if isinstance(block, dict):
        pairs = "".join(f"_{label}\t{_quoted(value, label, None)}\n" for label, value in block.items())
        return f"{_VERSION}\n\ndata_{name}\n\n{pairs}\n"
    if block.shape[1] == 0:
        return f"{_VERSION}\n\ndata_{name}\n\n"
    return _loop_text(name, {label: block[label].tolist() for label in block.columns})


def _loop_text(name: str, columns: Mapping[str, list]) -> str:
    # The library writes the head; row by row it would be slow, and the rows are plain text by now.
    lines = [f"data_{name}", *_loop_head(tuple(columns)), *_loop_rows(columns)]
    return f"{_VERSION}\n\n" + "\n".join(lines) + "\n\n"


def _loop_rows(columns: Mapping[str, list], start: int = 0) -> Iterator[str]:
    """Return the lines of rows, the first of which is row `start` of its loop; cells are quoted in place."""
    for label, column in columns.items():
        for row in _rows_that_need_care(column):
            column[row] = _quoted(column[row], label, start + row)
    return map("\t".join, zip(*columns.values(), strict=True))


@lru_cache(maxsize=8)
def _loop_head(labels: tuple[str, ...]) -> list[str]:
    """Return the lines of a loop after its name and before its rows: many blocks of a file may be alike."""
    head = starfile.to_string({_STAND_IN: pd.DataFrame({label: [_STAND_IN] for label in labels})}, sep="\t")
    # Its first line carries a date.
    lines = head[head.index("data_") :].split("\n")
    return lines[1 : lines.index("loop_") + 1 + len(labels)]


def _rows_that_need_care(column: list[object]) -> list[int]:
    """List the cells that cannot go through the library as they are; a column without any is the fast way out."""
    try:
        text = "\x1f" + "\x1f".join(cast("list[str]", column)) + "\x1f"
    except TypeError:  # a cell that is no text: the slow way finds it
        text = ""
    plain = not text.encode("utf-8", "surrogateescape").translate(None, _PLAIN_BYTES)
    if plain and text.count("\x1f") == len(column) + 1 and not _START_NEEDS_CARE.search(text):
        return []
    return [row for row, value in enumerate(column) if not isinstance(value, str) or _NEEDS_CARE.search(value)]


def _quoted(value: object, label: str, row: int | None) -> str:
    """Return one cell as STAR writes it, quoted where it must be."""
    row = None if row is None else row + 1
    if not isinstance(value, str):
        raise InputError(f"{label} has no value", row=row, value=value)
    if any(c in value for c in "\n\r\0"):
        raise InputError(f"{label} holds a line break or a NUL, which STAR cannot", row=row, value=value)
    if not re.search(r"[\s]|^$|^['\"#_]|^(?:data_|loop_|save_|global_|stop_)", value):
        return value
    for quote in "\"'":
        if not re.search(quote + r"(?=[ \t]|$)", value):
            return f"{quote}{value}{quote}"
    raise InputError(f"{label} holds both kinds of quotes, which STAR cannot", row=row, value=value)
