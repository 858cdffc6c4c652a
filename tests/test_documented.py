"""Every command and every option is in the documentation, and no page describes options that are gone."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

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


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    broken = []
    for path in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert broken == []
