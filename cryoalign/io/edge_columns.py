"""Columns of a table of edges: what they may be called, and from their cells to numbers, checked.

An edge is two nodes and an angle; a weight, a distance, a shift and a mirror may go with it. Node ids are whole numbers
or names, kept as given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError

NEEDED = ("i", "j", "angle_deg")
SYNONYMS: dict[str, tuple[str, ...]] = {
    "i": ("i", "source", "from", "node_i", "node1", "node_1", "row_i", "cryoalignRowI", "cryoalignNodeI"),
    "j": ("j", "target", "to", "node_j", "node2", "node_2", "row_j", "cryoalignRowJ", "cryoalignNodeJ"),
    "angle_deg": ("angle_deg", "angle", "psi", "psi_deg", "cryoalignAngle", "rlnAnglePsi"),
    "angle_rad": ("angle_rad", "psi_rad"),
    "weight": ("weight", "w", "cryoalignWeight"),
    "distance": ("distance", "dist", "cryoalignDistance"),
    "shift_x_px": ("shift_x_px", "shift_x", "dx", "cryoalignShiftX"),
    "shift_y_px": ("shift_y_px", "shift_y", "dy", "cryoalignShiftY"),
    "mirror": ("mirror", "mirrored", "flip", "cryoalignMirror", "rlnIsFlip"),
}
"""What each column may be called; small and large letters, blanks, brackets and hyphens make no difference."""

_MIRROR_WORDS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}
_NO_NODE = ("", "nan", "<na>", "none", "null")
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,17}))(?:\.0*)?")


def plain_label(word: str) -> str:
    """Return a column's name without what makes no difference: "Angle (deg)" becomes angle_deg."""
    return re.sub(r"[^a-z0-9]+", "_", word.strip().casefold()).strip("_")


_MEANING = {plain_label(word): field for field, words in SYNONYMS.items() for word in words}


def meaning_of(label: str) -> str | None:
    """Return the field that a column of this name holds, None where it holds none of them."""
    return _MEANING.get(plain_label(label))


def fields_of(labels: Sequence[str], *, path: Path, line: int | None) -> dict[str, int]:
    """Return the place of each field among the columns' names.

    Raises
    ------
    InputError
        If two columns mean the same, one of the nodes or the angle is missing, or one coordinate of the shift.
    """
    found: dict[str, int] = {}
    for place, label in enumerate(labels):
        field = meaning_of(label)
        if field is None:
            continue
        if field in found:
            raise InputError(
                f"columns {labels[found[field]]} and {label} both mean {field}", path=path, line=line,
                hint="rename or remove one",
            )  # fmt: skip
        found[field] = place
    if "angle_deg" in found and "angle_rad" in found:
        raise InputError("one angle in degrees and one in radians", path=path, line=line, hint="remove one")
    missing = [field for field in NEEDED if field not in found and not (field == "angle_deg" and "angle_rad" in found)]
    if missing:
        have = ", ".join(str(label) for label in labels[:12] if str(label).strip())
        raise InputError(
            f"no column {' and no column '.join(missing)}", path=path, line=line, value=have,
            hint=f"{missing[0]} may be called {', '.join(SYNONYMS[missing[0]])}",
        )  # fmt: skip
    if ("shift_x_px" in found) != ("shift_y_px" in found):
        raise InputError("only one of shift_x_px and shift_y_px", path=path, line=line, hint="give both or none")
    return found


class EdgeCells:
    """Takes the cells of edges, part by part, and returns them as numbers.

    Parameters
    ----------
    path
        The file, for messages.
    fields
        The fields that every part has.
    decimal_comma
        Whether 0,5 is a half.
    """

    def __init__(self, path: Path, fields: Sequence[str], *, decimal_comma: bool = False) -> None:
        self._path, self._fields, self._comma = path, list(fields), decimal_comma
        self._code_of: dict[str, int] = {}
        self._codes: list[NDArray[np.int64]] = []
        self._numbers: dict[str, list[NDArray[np.float64]]] = {f: [] for f in self._fields if f not in ("i", "j")}
        self._lines: list[NDArray[np.int64]] = []

    def take(self, cells: Mapping[str, Sequence[str]], lines: NDArray[np.int64]) -> None:
        """Take edges: the cells of each field (m,), and the 1-based line of each edge (m,).

        Raises
        ------
        InputError
            At the first cell that is not what its column should hold.
        """
        ends = np.empty((len(lines), 2), dtype=object)
        ends[:, 0], ends[:, 1] = ([cell.strip() for cell in cells[end]] for end in ("i", "j"))
        codes, words = pd.factorize(ends.ravel())
        for word in words:
            if word.casefold() in _NO_NODE:
                row = int(np.flatnonzero((ends == word).any(axis=1))[0])
                raise InputError("a node without an id", path=self._path, line=int(lines[row]), value=word)
        known = np.array([self._code_of.setdefault(word, len(self._code_of)) for word in words], np.int64)
        self._codes.append(known[codes].reshape(-1, 2))
        self._lines.append(np.asarray(lines, np.int64))
        for field, parts in self._numbers.items():
            parts.append(self._number(field, cells[field], lines))

    def _number(self, field: str, cells: Sequence[str], lines: NDArray[np.int64]) -> NDArray[np.float64]:
        if field == "mirror":
            words = [cell.strip().casefold() for cell in cells]
            odd = {word for word in set(words) if word not in _MIRROR_WORDS}
            # 1.0 and 1e0 are fine, too: some programs write every number so.
            known = _MIRROR_WORDS | dict(zip(odd, _to_numbers(list(odd)), strict=True))
            values = np.array([known[word] for word in words], np.float64)
            wrong, what = ~np.isin(values, (0.0, 1.0)), "mirror is none of 0, 1, yes, no"
        else:
            values = _to_numbers([cell.replace(",", ".") for cell in cells] if self._comma else cells)
            wrong, what = ~np.isfinite(values), f"{field} is not a number"
            if not wrong.any() and field in ("weight", "distance"):
                wrong, what = values < 0, f"{field} is negative"
        rows = np.flatnonzero(wrong)
        if len(rows):
            more = f" ({len(rows)} such edges from here on)" if len(rows) > 1 else ""
            line = int(lines[rows[0]])
            raise InputError(f"{what}{more}", path=self._path, line=line, value=str(cells[rows[0]]).strip())
        return values

    def _ids(self) -> tuple[NDArray, NDArray[np.int64]]:
        """Return the ids, and the place of each code among them."""
        words = list(self._code_of)
        matches = [_WHOLE.fullmatch(word) for word in words]
        if words and all(matches):
            numbers = np.array([int(match[1]) for match in matches if match is not None], np.int64)
            ids, place = np.unique(numbers, return_inverse=True)
            return ids, place.astype(np.int64)
        return np.array(words, dtype=np.str_), np.arange(len(words))

    def finish(self) -> tuple[NDArray, dict[str, NDArray], NDArray[np.int64]]:
        """Return the ids (n,), the arrays of all fields (E,), i and j as 0-based places among the ids, and the lines.

        Raises
        ------
        InputError
            If there are no edges, or one joins a node with itself.
        """
        if not self._lines or not sum(map(len, self._lines)):
            raise InputError("no edges", path=self._path, hint="a table of edges has a row for each")
        ids, place = self._ids()
        ends, lines = place[np.concatenate(self._codes)], np.concatenate(self._lines)
        loops = np.flatnonzero(ends[:, 0] == ends[:, 1])
        if len(loops):
            more = f" ({len(loops)} such edges)" if len(loops) > 1 else ""
            raise InputError(
                f"an edge joins a node with itself{more}", path=self._path, line=int(lines[loops[0]]),
                value=ids[ends[loops[0], 0]].item(), hint="remove it",
            )  # fmt: skip
        columns: dict[str, NDArray] = {"i": ends[:, 0].copy(), "j": ends[:, 1].copy()}
        columns |= {field: np.concatenate(parts) for field, parts in self._numbers.items()}
        if "angle_rad" in columns:
            columns["angle_deg"] = np.rad2deg(columns.pop("angle_rad"))
        return ids, columns, lines


def _to_numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return cells as float64, NaN where a cell is no number."""
    column = pd.Series(list(cells), dtype=object)
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
