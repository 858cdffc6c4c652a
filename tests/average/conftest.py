"""What the tests of ``average`` share."""

from __future__ import annotations

import shutil

import pytest

from helpers.average import ClassSet, class_set
from helpers.undrawn import leave_out_drawing


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch) -> None:
    """Leave out drawing, most of the time of a small run, where a test is not about the report."""
    if "with_report" in request.fixturenames:
        return

    leave_out_drawing(monkeypatch, "average")


@pytest.fixture
def with_report() -> None:
    """Draw the report after all."""


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> ClassSet:
    """260 particles of 48 px at 4 A in three classes (2, 5 and 6), with CTF, true poses; tests only read it."""
    return class_set(tmp_path_factory.mktemp("classes"), 260, 48, 4.0, snr=0.3, seed=3, ctf=True)


@pytest.fixture
def few(made, tmp_path) -> ClassSet:
    """The same in a folder of its own, whose files a test may change."""
    for file in made.folder.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path / file.name)
    return ClassSet(tmp_path, made.made, made.numbers)
