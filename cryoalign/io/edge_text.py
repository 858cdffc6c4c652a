"""Edges from text with separators, as tables and scripts write them: what separates, and whether a header is there.

The first line tells. The separator is the first of tab, semicolon and comma that splits it into three cells or more,
else white space. It is a header if no cell of it is a number; a comment above the rows that names all columns is one as
well (numpy.savetxt writes it so). Without a header the columns are i, j, angle_deg and, if there is a fourth, weight.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from cryoalign.core.errors import InputError
from cryoalign.io.edge_columns import NEEDED, EdgeCells, fields_of, meaning_of
from cryoalign.io.file_kind import open_text
from cryoalign.io.star_check import split_values

_WITHOUT_HEADER = (*NEEDED, "weight")
_AT_ONCE = 1 << 17


def read_edge_text(path: Path) -> tuple[EdgeCells, list[str]]:
    """Read a table of edges, and the names of the columns that are not used.

    Raises
    ------
    InputError
        With the line, where a row has not as many cells as the first one, or a cell is not what it should be.
    """
    with open_text(path) as handle:
        lines = enumerate(handle, 1)
        comment, first = _first_line(lines)
        if first is None:
            raise InputError("no edges: the file is empty", path=path)
        number, text = first
        separator = _separator(text)
        labels = _split(text, separator, path, number)
        if any(_is_number(cell) for cell in labels):
            above = [] if comment is None else _split(comment[1].lstrip("# \t"), separator, path, comment[0])
            fields, named, count = _without_header(path, number, labels, comment, above)
            pending = [(number, text)]
        else:
            fields, named, count = fields_of(labels, path=path, line=number), labels, len(labels)
            pending = []
        unused = [label.strip() for label in named if label.strip() and meaning_of(label) is None]
        cells = EdgeCells(path, list(fields), decimal_comma=separator == ";")
        rows = _rows(pending, lines)
        while block := list(islice(rows, _AT_ONCE)):
            split = [_split(text, separator, path, number) for number, text in block]
            for (number, _), row in zip(block, split, strict=True):
                if len(row) != count:
                    kind = "short" if len(row) < count else "long"
                    raise InputError(
                        f"{kind} row: {len(row)} values where the first line has {count}", path=path, line=number,
                        hint="put quotes round names with separators in them" if kind == "long" else None,
                    )  # fmt: skip
            columns = list(zip(*split, strict=True))
            numbers = np.array([number for number, _ in block], np.int64)
            cells.take({field: columns[place] for field, place in fields.items()}, numbers)
    return cells, unused


def _first_line(lines: Iterator[tuple[int, str]]) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
    """Return the last comment before the first line that is none, and that line."""
    comment = None
    for number, line in lines:
        text = line.rstrip("\n")
        if text.lstrip().startswith("#"):
            comment = (number, text)
        elif text.strip():
            return comment, (number, text)
    return comment, None


def _rows(pending: list[tuple[int, str]], lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold edges: no blank lines, no comments."""
    yield from pending
    for number, line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.rstrip("\n")


def _separator(text: str) -> str | None:
    """Return what separates the cells of the first line; None is white space."""
    counts = {separator: len(next(csv.reader([text], delimiter=separator))) for separator in "\t;,"}
    for separator, count in counts.items():
        if count >= len(NEEDED):
            return separator
    if len(text.split()) >= len(NEEDED):
        return None
    return max(counts, key=lambda separator: counts[separator]) if max(counts.values()) > 1 else None


def _split(text: str, separator: str | None, path: Path, line: int) -> list[str]:
    if separator is None:
        values = split_values(text, comments=False) if "'" in text or '"' in text else text.split()
        if values is None:
            raise InputError("quote that is not closed", path=path, line=line)
        return values
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(f"cannot be split into cells: {error}", path=path, line=line) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _without_header(
    path: Path, line: int, first: list[str], comment: tuple[int, str] | None, above: list[str]
) -> tuple[dict[str, int], list[str], int]:
    """Return fields, names and number of columns where the first line that is no comment holds numbers."""
    count = len(first)
    if comment is not None and len(above) == count and all(n in map(meaning_of, above) for n in ("i", "j")):
        return fields_of(above, path=path, line=comment[0]), above, count
    if not len(NEEDED) <= count <= len(_WITHOUT_HEADER):
        raise InputError(
            f"{count} columns without a header", path=path, line=line,
            hint=f"name them in a first line, such as {','.join(_WITHOUT_HEADER)}",
        )  # fmt: skip
    return {field: place for place, field in enumerate(_WITHOUT_HEADER[:count])}, [], count


def looks_like_star(handle: TextIO) -> bool:
    """Tell whether a text is a STAR file: the first line that is neither blank nor a comment begins a block."""
    first = next((line for line in handle if line.strip() and not line.lstrip().startswith("#")), "")
    return first.startswith("data_")
