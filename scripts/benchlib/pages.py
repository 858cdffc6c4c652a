"""The pages of docs/benchmarks: every room's table between its marks on the page of its topic, and tables read back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .results import Figure

HEAD = ["figure", "measured", "bar", "verdict", "note"]
INDEX = "README.md"
"""The page of the summary, which holds no room's table."""
SHORT = "FALLS SHORT"


@dataclass(frozen=True)
class Row:
    """One figure as a page shows it."""

    page: str
    room: str
    name: str
    measured: str
    bar: str
    verdict: str
    note: str

    @property
    def value(self) -> float:
        """The measured value; not a number where there is none."""
        return float(self.measured.replace(",", "") or "nan")

    def noted(self, word: str) -> float:
        """Return the number that follows a word in the note, such as a peer's value."""
        found = re.search(rf"{re.escape(word)} (\d[\d.]*\d|\d)", self.note)
        if found is None:
            raise ValueError(f"{self.room}, {self.name}: no number after {word!r} in {self.note!r}")
        return float(found[1])


def topic_pages(folder: Path) -> list[Path]:
    """Return the pages that hold tables."""
    return [path for path in sorted(folder.glob("*.md")) if path.name != INDEX]


def rooms_of(text: str) -> list[str]:
    """Return the rooms whose tables a page holds."""
    return re.findall(r"^<!-- begin ([\w-]+) -->$", text, re.MULTILINE)


def put_between_marks(text: str, name: str, content: str) -> str:
    """Return a text with what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"


def fill_pages(folder: Path, work: Path) -> tuple[list[str], list[str]]:
    """Put every result of WORK/results on the page of its room; return the rooms filled, and those without a page."""
    contents = [json.loads(path.read_text()) for path in sorted((work / "results").glob("*.json"))]
    results = {content["room"]: content for content in contents}
    filled: list[str] = []
    for page in topic_pages(folder):
        text = page.read_text(encoding="utf-8")
        for room in (room for room in rooms_of(text) if room in results):
            text = put_between_marks(text, room, _table(results[room]))
            filled.append(room)
        page.write_text(text, encoding="utf-8")
    return filled, sorted(set(results) - set(filled))


def _table(content: dict) -> str:
    setup = ", ".join(f"{k} {v}" for k, v in content["settings"].items())
    where = content["machine"]
    lines = [f"{content['date']}; {where['cpu']}; BLAS {where['blas']}; {where['versions']}; {setup}.", ""]
    lines += [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for stored in content["figures"]:
        value = float("nan") if stored["value"] is None else stored["value"]
        cells = Figure(**{**stored, "value": value}).cells()
        cells[1] = cells[1] if np.isfinite(value) else ""
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def read_rows(folder: Path) -> list[Row]:
    """Return every figure of every page."""
    rows: list[Row] = []
    for page in topic_pages(folder):
        text = page.read_text(encoding="utf-8")
        for room in rooms_of(text):
            table = text.split(f"<!-- begin {room} -->", 1)[1].split(f"<!-- end {room} -->", 1)[0]
            lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("| ")]
            for cells in lines[1:]:
                rows.append(Row(page.name, room, *(cell.strip().replace("\\|", "|") for cell in cells)))
    return rows
