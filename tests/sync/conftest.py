"""What the tests of ``sync`` share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.align import PhantomSet, phantom_set, run
from helpers.undrawn import leave_out_drawing


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch) -> None:
    """Leave out drawing, most of the time of a small run, where a test is not about the report."""
    if "with_report" not in request.fixturenames:
        leave_out_drawing(monkeypatch, "sync")


@pytest.fixture
def with_report() -> None:
    """Draw the report after all."""


@pytest.fixture(scope="session")
def one_view_made(tmp_path_factory) -> tuple[Path, PhantomSet]:
    """200 shifted particles of 48 px at 4 A in one view, half of them mirrored; tests only read it.

    ``Near`` has their graph, with shifts and mirrors.
    """
    folder = tmp_path_factory.mktemp("one-view")
    made = phantom_set(200, 48, 4.0, snr=0.5, seed=3, views=1, ctf=True, mirror=True, shift_sd=1.8)
    made.write(folder)
    assert (
        run(folder, "rid-distance", "-q", "-j", 1, "-k", 15, "--shift-sd", 1.5, "particles.star", "-o", "Near").status
        == 0
    )
    return folder, made


@pytest.fixture
def one_view(one_view_made, tmp_path) -> tuple[Path, PhantomSet]:
    """The same in a folder of its own, whose files a test may change."""
    shutil.copytree(one_view_made[0], tmp_path / "one-view")
    return tmp_path / "one-view", one_view_made[1]
