"""What the tests of ``compare`` share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch) -> None:
    """Leave out drawing, most of the time of a small run, where a test is not about the report."""
    if "with_report" not in request.fixturenames:
        monkeypatch.setattr("cryoalign.jobs.compare.job.write_report", lambda p, r, s, run, *_: _empty(run))


def _empty(run) -> None:
    run.staged("report.html").write_text("")


@pytest.fixture
def with_report() -> None:
    """Draw the report after all."""
