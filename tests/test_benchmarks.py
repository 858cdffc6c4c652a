"""The pages of docs/benchmarks: every room has its place, no result is lost, and summaries say what pages say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "benchmarks"

sys.path.insert(0, str(ROOT / "scripts"))
try:
    from benchlib.pages import fill_pages, put_between_marks, read_rows, rooms_of, topic_pages
    from benchlib.results import Figure, Room
    from benchlib.summary import ACCURACY, PARTS, SPEED, fill_summary, first_figures
finally:
    sys.path.remove(str(ROOT / "scripts"))


def between(text, name):
    """Return what stands between two marks."""
    return text.split(f"<!-- begin {name} -->\n", 1)[1].split(f"\n<!-- end {name} -->", 1)[0]


@pytest.fixture
def folder(tmp_path):
    """Return a copy of the pages."""
    return Path(shutil.copytree(PAGES, tmp_path / "benchmarks"))


def result(tmp_path, room):
    """Save the result of a room with three figures."""
    measured = Room(room, {"seeds": 1, "quick": False})
    measured.figures += [
        Figure("a |b|", 0.5, 1.0),
        Figure("c", 1234.5, 1.0, note="twice 2.5"),
        Figure("d", float("nan")),
    ]
    measured.save(tmp_path)


def test_every_room_of_the_program_has_marks_on_one_page():
    source = (ROOT / "scripts" / "benchlib" / "main.py").read_text(encoding="utf-8")
    rooms = [line.split('"')[1] for line in source.split("ROOMS = {")[1].split("\n}")[0].splitlines() if '"' in line]
    placed = [room for page in topic_pages(PAGES) for room in rooms_of(page.read_text(encoding="utf-8"))]
    assert len(rooms) >= 28
    assert sorted(placed) == sorted(rooms)


def test_a_result_comes_onto_the_page_of_its_room_and_is_read_back(folder, tmp_path):
    result(tmp_path, "memory")
    before = {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}
    assert fill_pages(folder, tmp_path) == (["memory"], [])
    changed = [page.name for page in folder.glob("*.md") if page.read_text(encoding="utf-8") != before[page.name]]
    assert changed == ["speed.md"]
    rows = {row.name: row for row in read_rows(folder) if row.room == "memory"}
    assert list(rows) == ["a |b|", "c", "d"]
    assert (rows["a |b|"].value, rows["a |b|"].bar, rows["a |b|"].verdict) == (0.5, "<= 1", "holds")
    assert (rows["c"].value, rows["c"].verdict, rows["c"].noted("twice")) == (1234, "FALLS SHORT", 2.5)
    assert rows["d"].measured == ""


def test_a_result_without_a_place_is_named(folder, tmp_path):
    result(tmp_path, "cellar")
    assert fill_pages(folder, tmp_path) == ([], ["cellar"])


def test_quick_runs_stay_out_of_the_pages(folder, tmp_path):
    Room("memory", {"quick": True}, [Figure("a", 1.0)]).save(tmp_path)
    assert json.loads((tmp_path / "results-quick" / "memory.json").read_text())["room"] == "memory"
    assert fill_pages(folder, tmp_path) == ([], [])


def test_the_summary_and_the_readme_say_what_the_pages_say():
    summary = (PAGES / "README.md").read_text(encoding="utf-8")
    for name, draw in PARTS.items():
        assert between(summary, name) == draw(PAGES)
    assert between((ROOT / "README.md").read_text(encoding="utf-8"), "figures") == first_figures(PAGES)


def test_every_miss_is_told(folder, tmp_path):
    result(tmp_path, "memory")
    fill_pages(folder, tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("x\n<!-- begin figures -->\n<!-- end figures -->\n")
    fill_summary(folder, readme)
    misses = between((folder / "README.md").read_text(encoding="utf-8"), "misses")
    assert "| c | 1,234 | <= 1 | [speed.md](speed.md) |" in misses
    assert misses.count("\n| ") == sum(row.verdict == "FALLS SHORT" for row in read_rows(folder))
    assert "falls short" in readme.read_text()


@pytest.mark.parametrize("line", [*ACCURACY, *SPEED], ids=lambda line: f"{line.room}: {line.figure} {line.over}")
def test_a_ratio_is_the_figure_or_over_the_peers_in_its_note(line):
    (row,) = [row for row in read_rows(PAGES) if (row.room, row.name) == (line.room, line.figure)]
    ratio = 1 / line.ratio(row) if line.inverse else line.ratio(row)
    assert ratio * (row.noted(line.over) if line.over else 1) == pytest.approx(row.value)
    # The verdict survives the turning round of a cost into a speed.
    if line.bar(row):
        sense, bar = line.bar(row).split(",")[0].split()
        holds = line.ratio(row) <= float(bar) if sense == "<=" else line.ratio(row) >= float(bar)
        assert holds is (row.verdict == "holds") is ("falls short" not in line.bar(row))


def test_marks_keep_what_stands_around_them():
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert put_between_marks(text, "x", "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="not enough values"):
        put_between_marks("a", "x", "new")
