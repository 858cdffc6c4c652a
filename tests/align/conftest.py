"""Particle sets that several files of tests share; tests that change one work on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.align import PhantomSet, phantom_set, run
from helpers.undrawn import leave_out_drawing


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


@pytest.fixture(scope="session")
def demo_set(tmp_path_factory) -> tuple[Path, PhantomSet]:
    """A folder with 260 particles of 64 px at 3 A in two views, with CTF and coloured noise; tests only read it."""
    folder = tmp_path_factory.mktemp("demo")
    made = phantom_set(260, 64, 3.0, snr=0.3, seed=5, views=2, ctf=True, coloured=True)
    return folder, made.write(folder)


@pytest.fixture
def demo(demo_set, tmp_path) -> tuple[Path, PhantomSet]:
    """The demo set in a folder of its own; the files themselves are shared."""
    for file in demo_set[0].iterdir():
        if file.is_file():
            (tmp_path / file.name).symlink_to(file)
    return tmp_path, demo_set[1]


@pytest.fixture
def no_report(monkeypatch) -> None:
    """Leave out drawing, most of the time of a small run, where a test is not about the report."""

    leave_out_drawing(monkeypatch, "align")
