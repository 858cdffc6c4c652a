"""What a check found: problems of a kind, each with its place, its value and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryoalign.core.errors import InputError
from cryoalign.core.refusals import collecting

KINDS = {
    "file": "a file that is missing, cannot be read, or is of another kind than its name says",
    "table": "rows, labels or blocks of a STAR file that do not make a table",
    "column": "a column that is needed and is not there, or contradicts another one",
    "value": "a cell that is not a number, or one that cannot be meant",
    "image-name": "a name that is no image of a stack",
    "image-index": "an image beyond the end of its stack",
    "stack-missing": "stacks that are not found, or found twice",
    "stack": "a stack that cannot be read",
    "stack-truncated": "a stack that is shorter than its header says",
    "volume": "a 3-D map where a stack should be",
    "box": "boxes that contradict each other, or are odd",
    "optics": "optics groups that are not in the optics table, or twice",
    "pixel-size": "no pixel size, or several that contradict each other",
    "ctf": "CTF values that no microscope has",
    "pose": "angles and origins that cannot be meant",
    "halves": "half sets that part nothing",
    "cs": "a .cs file that contradicts itself",
    "duplicate": "an image that is listed more than once",
    "bad-image": "images of NaN, infinite or equal pixels",
    "hot-pixels": "pixels that no microscope makes",
    "outlier": "images that stand out from their stack",
    "not-normalised": "backgrounds that are not of mean 0 and deviation 1",
    "contrast": "particles that are dark",
    "header": "an MRC header without its marks",
    "line-ends": "line ends of Windows, on which RELION stumbles",
    "relion": "what RELION needs and does not find",
    "reference": "references that cannot be used, or do not fit the particles",
    "graph": "a graph or a table of edges that cannot be used",
    "join": "files that cannot be joined in one set",
}
"""Every kind, and what it is."""


MOST_ROWS = 1000
"""Rows of one problem that are listed."""
_STAND_INS = ("table", "image-name", "image-index")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    kind
        Of ``KINDS``.
    error
        What it is, where, and what to do.
    refused
        Whether a run would refuse to start; otherwise it would warn, or say nothing.
    rows
        Rows that it is about, from 1, the first ``MOST_ROWS`` of them; empty where it is about one or none.
    files
        Files that it is about, where they are several.
    """

    kind: str
    error: InputError
    refused: bool
    rows: tuple[int, ...] = ()
    files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what programs read."""
        e = self.error
        return {
            "kind": self.kind, "refused": self.refused, "path": None if e.path is None else str(e.path), "line": e.line,
            "row": e.row, "rows": list(self.rows), "files": list(self.files), "what": e.what,
            "value": _plain(e.value), "hint": e.hint,
        }  # fmt: skip


class Problems:
    """Collects problems, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], Problem] = {}

    def __iter__(self) -> Iterator[Problem]:
        """Yield those that a run would refuse first, by kind in the order of ``KINDS``."""
        order = {kind: place for place, kind in enumerate(KINDS)}
        yield from sorted(self._found.values(), key=lambda problem: (not problem.refused, order[problem.kind]))

    def __len__(self) -> int:
        """Count the problems."""
        return len(self._found)

    @property
    def refused(self) -> bool:
        """Whether a run would refuse to start."""
        return any(problem.refused for problem in self)

    def touches(self, path: Path) -> bool:
        """Tell whether a run would refuse this file."""
        return any(problem.refused and str(problem.error.path) == str(path) for problem in self)

    def stood_in(self, path: Path | None) -> bool:
        """Tell whether images of a table stand for others whose names could not be understood."""
        return any(problem.kind in _STAND_INS and str(problem.error.path) == str(path) for problem in self)

    def add(
        self, kind: str, what: str, *, path: Path | None = None, row: int | None = None, value: object = None,
        hint: str | None = None, refused: bool = False, rows: Sequence[int] = (), files: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        """Note a problem."""
        error = InputError(what, path=path, row=row, value=value, hint=hint)
        self._note(Problem(kind, error, refused, tuple(rows), tuple(map(str, files))))

    def reading(self, kind: str) -> AbstractContextManager[None]:
        """Note within a block what a run would refuse, of a kind where the error does not know its own."""
        return collecting(lambda error: self._note(Problem(error.kind or kind, error, True)))

    def _note(self, problem: Problem) -> None:
        """Keep a problem; rows with the same problem are one, and what is refused need not be warned of."""
        e = problem.error
        key = (str(e.path), e.line, e.what) if e.row is not None else (str(e.path), e.line, e.what, str(e.value))
        known = self._found.get(key)
        if known is None or (problem.refused and not known.refused):
            self._found[key] = problem
        elif e.row is not None and not problem.rows:
            first = known.rows or (known.error.row or 0,)
            if e.row not in first and len(first) < MOST_ROWS:
                self._found[key] = replace(known, rows=(*first, e.row))


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
