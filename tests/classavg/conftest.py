"""What the tests of ``classavg`` share."""

from __future__ import annotations

import pytest

from helpers.undrawn import leave_out_drawing


@pytest.fixture(autouse=True)
def no_report_of_average(monkeypatch) -> None:
    """Leave out what ``average`` draws: most of the time of a small run, and its own tests look at it."""

    leave_out_drawing(monkeypatch, "average")
