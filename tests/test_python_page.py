"""The page of the Python face works as it is printed, block by block in one notebook, and prints what it shows."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from cryoalign import api

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
DECIMAL = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """What the blocks leave behind, and (block, printed, shown) of each."""
    names: dict = {}
    ran = []
    with contextlib.chdir(tmp_path_factory.mktemp("notebook")):
        for number, (block, shown) in enumerate(BLOCK.findall(PAGE), 1):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
            ran.append((block, printed.getvalue(), shown))
        yield names, ran


def agree(printed: str, shown: str) -> bool:
    """Tell whether two texts have the same words and whole numbers, and decimals that another CPU could have given."""
    if DECIMAL.sub("#", printed) != DECIMAL.sub("#", shown):
        return False
    pairs = zip(DECIMAL.findall(printed), DECIMAL.findall(shown), strict=True)
    return all(abs(float(a) - float(b)) <= 0.02 * abs(float(b)) + 0.1 for a, b in pairs)


def test_every_block_runs_and_prints_what_the_page_shows(notebook):
    _, ran = notebook
    assert len(ran) == PAGE.count("```python") and sum(bool(shown) for _, _, shown in ran) >= 10
    for block, printed, shown in ran:
        assert agree(printed, shown), f"{block}\nprinted:\n{printed}\nshown:\n{shown}"


def test_a_run_shows_itself_in_a_notebook(notebook):
    names, _ = notebook
    view = names["aligned"]._repr_html_()
    assert view.count("<img") == 2 and "cryoalign align sim/particles.star" in view and "report.html" in view


def test_every_name_of_the_face_is_on_the_page():
    assert [name for name in api.__all__ if not re.search(rf"(?<!\w){name}(?!\w)", PAGE)] == []
    table = re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE)
    assert sorted(table) == sorted(name for name in api.__all__ if name[0].islower())
