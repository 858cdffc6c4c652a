"""The small project of scripts/torturelib, made in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torturelib.small_runs import make_project

from helpers.align import run


def small_project(folder: Path) -> Path:
    """Fill a folder with what the commands of `torturelib.small_runs` read."""

    def here(words: Sequence[str]) -> int:
        return run(folder, *words).status

    make_project(folder, here)
    return folder
