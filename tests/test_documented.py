"""Every command and every option is in the documentation, and no page describes options that are gone."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest
from test_imports import ORDER

from cryoalign.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
# Words in pages that look like options of ours and belong to other programs.
OTHERS = re.compile(r"^\s*(?:relion_|pip |git |sbatch |srun |scripts/|\./)")


def options_of(name: str) -> list[click.Option]:
    """Return the options of a command."""
    command = importlib.import_module(f"cryoalign.cli.{name.replace('-', '_')}").command
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def spellings(name: str) -> set[str]:
    """Return every spelling of every option of a command."""
    return {word for option in options_of(name) for word in (*option.opts, *option.secondary_opts)}


def page(name: str) -> str:
    """Return the page of a command."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_on_the_page_of_its_command(name):
    text = page(name)
    missing = [word for word in sorted(spellings(name)) if not re.search(rf"`[^`]*(?<![\w-]){word}(?![\w-])", text)]
    assert missing == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_speaks_of_no_option_that_is_gone(name):
    known = {word for other in COMMANDS for word in spellings(other)} | {"--help", "--version"}
    known |= {word.replace("_", "-") for word in known}
    lines = [line for line in page(name).splitlines() if not OTHERS.match(line)]
    # Only code is looked at: prose may name the options of RELION's programs.
    code = re.findall(r"`(--[a-z][\w-]*)", "\n".join(lines))
    assert sorted({word for word in code if word not in known}) == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_begins_with_its_name_and_shows_how_it_is_called(name):
    text = page(name)
    assert text.startswith(f"# cryoalign {name}")
    assert text.count(f"cryoalign {name} ") >= 2


def test_the_readme_mentions_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(COMMANDS) if f"cryoalign {name}" not in text] == []


def test_the_readme_is_short_and_starts_with_how_to_set_up():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    first = text.split("```")[1]
    assert [line.split()[0] for line in first.strip().splitlines()] == ["scripts/demo", "scripts/test"]
    before = text.index("## Which command for whom")
    assert text.count("![", 0, before) == 1
    assert text.count("\n| --- ", 0, before) == 1


def pages():
    """Return every page that a reader may land on."""
    above = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*above, *sorted((ROOT / "docs").rglob("*.md"))]


def links(path):
    """Return (file or empty word, anchor or empty word) of the links of a page that stay in the repository."""
    found = re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)[^)]*\)", path.read_text(encoding="utf-8"))
    return [(target, anchor) for target, anchor in found if not re.match(r"[a-z]+:", target)]


def anchors(path):
    """Return the anchors that the headings of a page have on a code host."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = [title.lower() for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_links_between_pages_lead_somewhere():
    broken = []
    for path in pages():
        for target, anchor in links(path):
            other = path.parent / target if target else path
            if not other.exists() or (anchor and anchor not in anchors(other)):
                broken.append(f"{path.name}: {target}#{anchor}")
    assert broken == []


def test_the_index_leads_to_every_page():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target, _ in links(index)}
    assert [path.name for path in pages() if path != index and path.resolve() not in linked] == []


def test_files_that_pages_name_are_there():
    named = re.compile(r"`((?:cryoalign|tests|docs|data)/(?:[a-z_][\w.-]*/?)*)`")
    gone = [
        f"{path.name}: {name}"
        for path in pages()
        for name in named.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert gone == []


def test_the_architecture_names_every_room_in_the_order_of_its_imports():
    tree = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    assert re.findall(r"^(\w+)/", tree, re.MULTILINE) == list(ORDER)
