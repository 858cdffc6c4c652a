"""What the tests of ``rid-distance`` share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.align import PhantomSet, phantom_set
from helpers.undrawn import leave_out_drawing


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch) -> None:
    """Leave out drawing, most of the time of a small run, where a test is not about the report."""
    if "with_report" not in request.fixturenames:
        leave_out_drawing(monkeypatch, "rid_distance")


@pytest.fixture
def with_report() -> None:
    """Draw the report after all."""


@pytest.fixture(scope="session")
def views_made(tmp_path_factory) -> tuple[Path, PhantomSet]:
    """150 particles of 48 px at 4 A in three views, half of them mirrored, with CTF and shifts; tests only read it."""
    folder = tmp_path_factory.mktemp("views")
    made = phantom_set(150, 48, 4.0, snr=1.0, seed=11, views=3, ctf=True, mirror=True, shift_sd=1.0, coloured=True)
    return folder, made.write(folder)


@pytest.fixture
def views(views_made, tmp_path) -> tuple[Path, PhantomSet]:
    """The same in a folder of its own, whose files a test may change."""
    for file in views_made[0].iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path / file.name)
    return tmp_path, views_made[1]
