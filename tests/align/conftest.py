"""Particle sets that several files of tests share; tests that change one work on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from align_helpers import run


@pytest.fixture(scope="session")
def small_set(tmp_path_factory) -> Path:
    """A folder with ``sim``: 70 particles of 32 px at 4 A with CTF in one view, and its clean reference."""
    folder = tmp_path_factory.mktemp("small")
    words = "simulate -q -o sim -n 70 --box 32 --pixel-size 4 --n-views 1 --ctf --noise white --snr 1 --shift-sd 1"
    assert run(folder, *words.split(), "-j", 1).status == 0
    return folder


@pytest.fixture
def small(small_set, tmp_path) -> Path:
    """A copy of the small set in a folder of its own."""
    shutil.copytree(small_set / "sim", tmp_path / "sim")
    return tmp_path
