"""The summary: ratios to peers and to theory, and what falls short, drawn from the tables of the pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .pages import INDEX, SHORT, Row, put_between_marks, read_rows, topic_pages

RELION, ASPIRE = "RELION 3.1.3", "ASPIRE 0.14.3"
RELION_FINE = f"{RELION}, steps of 1.5 deg, 0.5 px"


@dataclass(frozen=True)
class Line:
    """One ratio of the summary: a figure, or a figure over the number that its note has after the word `over`."""

    words: str
    room: str
    figure: str
    peer: str
    over: str = ""
    inverse: bool = False
    """The figure is a cost: the line gives how many times as fast, or as small."""
    first: bool = False
    """The line is in the README too."""

    def ratio(self, row: Row) -> float:
        """Return the ratio."""
        ratio = row.value / row.noted(self.over) if self.over else row.value
        return 1 / ratio if self.inverse else ratio

    def bar(self, row: Row) -> str:
        """Return the bar and whether it holds; nothing where the figure has none, or its bar is no ratio."""
        if not row.bar or self.over:
            return ""
        sense, bar = row.bar.split()
        if self.inverse:
            sense, bar = {"<=": ">=", ">=": "<="}[sense], f"{1 / float(bar):.3g}"
        return f"{sense} {bar}{', **falls short**' if row.verdict == SHORT else ''}"


ACCURACY = [
    Line("psi, 70S, SNR 0.1, known reference", "accuracy", "70S, SNR 0.1: psi RMS, deg",
         "the Cramer-Rao bound", "Cramer-Rao", first=True),
    Line("the same", "accuracy", "70S, SNR 0.1: psi RMS, deg", RELION_FINE, "RELION fine grid", first=True),
    Line("shift, 70S, SNR 0.1, known reference", "accuracy", "70S, SNR 0.1: shift RMS, px", "the Cramer-Rao bound",
         "Cramer-Rao"),
    Line("the same", "accuracy", "70S, SNR 0.1: shift RMS, px", RELION_FINE, "RELION fine grid"),
    Line("psi, 70S, CTF, coloured noise, SNR 0.1", "ctf", "70S, 5 A/px, SNR 0.1: psi over ML",
         "maximum likelihood, started at the truth"),
    Line("psi, 70S, CTF, coloured noise, SNR 0.05: 2 of 3,000 on a wrong peak", "ctf",
         "70S, 5 A/px, SNR 0.05: psi over ML", "maximum likelihood, started at the truth", first=True),
    Line("the same", "ctf", "70S, 5 A/px, SNR 0.05: psi over RELION's fine grid", RELION_FINE),
    Line("angle to the 10 nearest views, 70S, SNR 0.1", "classavg", "70S, SNR 0.1: view error over ASPIRE's", ASPIRE),
    Line("the same, CTF", "classavg", "70S, SNR 0.1, CTF: view error over ASPIRE's", ASPIRE),
    Line("the same, shifts of 1.5 px", "classavg", "70S, SNR 0.1, shift 1.5 px: view error over ASPIRE's", ASPIRE),
    Line("angle to the 10 nearest views, 70S, SNR 0.05", "classavg", "70S, SNR 0.05: view error over ASPIRE's", ASPIRE,
         first=True),
    Line("angle to the 10 nearest views, elongated molecule, CTF, shifts", "classavg",
         "elongated, SNR 0.1, shift 1 px, CTF, coloured: view error over ASPIRE's", ASPIRE, first=True),
    Line("angle to the 10 nearest views, 80S, SNR 0.05 (both are lost: 64 and 90 deg)", "classavg",
         "80S, SNR 0.05: view error over ASPIRE's", ASPIRE),
    Line("angle between the views of a class", "partition", "view angle of pairs in a class, mean, deg",
         f"{RELION}, Class2D", "Class2D"),
    Line("angle to the 5 nearest clean projections, `rfsw-ncc`", "toy_neighbours",
         "rigid molecules: angles of rfsw-ncc over euclidean, mean", "`euclidean`"),
]  # fmt: skip
SPEED = [
    Line("5,000 particles of 64 px, one reference, poses only, whole process", "speed",
         "poses only, times RELION's fine grid", f"{RELION_FINE}, one iteration", first=True),
    Line("the same", "speed", "poses only, times RELION's default grid", f"{RELION}, its default steps, one iteration",
         first=True),
    Line("pairs of image and reference, 128 px, 10 references, whole process with the stack", "speed",
         "whole command with the stack over ASPIRE", f"{ASPIRE}, `BFTAverager2D` alone", first=True),
    Line("neighbours, whole process", "classavg_speed",
         "rid-distance, angles, no shifts: CPU over ASPIRE's, whole processes", ASPIRE, inverse=True, first=True),
    Line("classification with its graph", "classavg_speed",
         "classification with its graph, one round, no shifts: CPU over ASPIRE's classify()", ASPIRE, inverse=True),
    Line("an average for each of 1,000 particles, whole process", "classavg_speed",
         "every average, N = 1,000, k = 10: CPU over ASPIRE's, whole processes", ASPIRE, inverse=True),
    Line("an average for each of 3,000 particles, whole process", "classavg_speed",
         "every average, N = 3,000, k = 50: CPU over ASPIRE's, whole processes", ASPIRE, inverse=True, first=True),
    Line("memory for these", "classavg_speed", "every average, N = 3,000, k = 50: peak memory over ASPIRE's", ASPIRE,
         inverse=True),
    Line("every particle in a class", "partition", "CPU over Class2D's", f"{RELION}, Class2D, 25 iterations",
         inverse=True),
    Line("earth mover's distance, 64 x 64 x 100 pairs", "mnist", "64 x 64 x 100: wavelet EMD over rfsw",
         "wavelet EMD as published"),
    Line("two threads, poses only, whole process", "threads", "two threads over one, poses only, whole command",
         "one thread", first=True),
]  # fmt: skip


def _rows(folder: Path) -> dict[tuple[str, str], Row]:
    return {(row.room, row.name): row for row in read_rows(folder)}


def _table(lines: list[Line], rows: dict[tuple[str, str], Row], head: str, kind: str = "") -> list[str]:
    cells = [["", head, "bar", "peer"], ["---"] * 4] if head else []
    for line in lines:
        row = rows[line.room, line.figure]
        cells.append([kind + line.words, f"{line.ratio(row):.3g}", line.bar(row), line.peer])
    return [f"| {' | '.join(c)} |" for c in cells]


def first_figures(folder: Path) -> str:
    """Return the table of the README: a few ratios, and among them what falls short."""
    rows = _rows(folder)
    accuracy = _table([line for line in ACCURACY if line.first], rows, "ours over theirs", "error: ")
    speed = _table([line for line in SPEED if line.first], rows, "", "speed: ")
    return "\n".join([*accuracy, *speed])


def ratios(folder: Path) -> str:
    """Return the two tables of the summary."""
    rows = _rows(folder)
    accuracy = _table(ACCURACY, rows, "error, ours over theirs")
    return "\n".join([*accuracy, "", *_table(SPEED, rows, "times as fast, or as small")])


def misses(folder: Path) -> str:
    """Return every bar that does not hold."""
    lines = ["| figure | measured | bar | page |", "|---|---|---|---|"]
    for row in read_rows(folder):
        if row.verdict == SHORT:
            lines.append(f"| {row.name} | {row.measured} | {row.bar} | [{row.page}]({row.page}) |")
    return "\n".join(lines)


def contents(folder: Path) -> str:
    """Return the list of pages with their rooms, and how many bars hold."""
    lines = ["| page | rooms | bars that hold |", "|---|---|---|"]
    rows = read_rows(folder)
    for path in topic_pages(folder):
        mine = [row for row in rows if row.page == path.name]
        judged = [row for row in mine if row.verdict]
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        rooms = ", ".join(f"`{room}`" for room in dict.fromkeys(row.room for row in mine))
        held = sum(row.verdict != SHORT for row in judged)
        lines.append(f"| [{title}]({path.name}) | {rooms} | {held} of {len(judged)} |")
    return "\n".join(lines)


PARTS = {"ratios": ratios, "misses": misses, "contents": contents}
"""What stands between which marks of the summary's page."""


def fill_summary(folder: Path, readme: Path) -> None:
    """Draw the summary's page and the table of the README anew from the pages of the topics."""
    page = folder / INDEX
    text = page.read_text(encoding="utf-8")
    for name, draw in PARTS.items():
        text = put_between_marks(text, name, draw(folder))
    page.write_text(text, encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(put_between_marks(text, "figures", first_figures(folder)), encoding="utf-8")
