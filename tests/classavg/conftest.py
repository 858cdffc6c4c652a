"""What the tests of ``classavg`` share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_report_of_average(monkeypatch) -> None:
    """Leave out what ``average`` draws: most of the time of a small run, and its own tests look at it."""

    def write(html: Path, png: Path, data: object) -> None:
        html.write_text("")
        png.write_bytes(b"")

    monkeypatch.setattr("cryoalign.jobs.average.report.write_average_report", write)
