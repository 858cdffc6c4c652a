"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DATA = os.environ.get("CRYOALIGN_TEST_DATA", "")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real files that others made; tests that need it are skipped, and counted, without it."""
    if not _DATA or not Path(_DATA).is_dir():
        pytest.skip("real files: CRYOALIGN_TEST_DATA is not set to a folder")
    return Path(_DATA).resolve()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """Say how many tests were left out for want of the real files or of RELION."""
    skipped = terminalreporter.stats.get("skipped", [])
    # (path, line, reason): the path must not count, since files are named after RELION too.
    reasons = [report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in skipped]
    real = sum("real files" in reason for reason in reasons)
    relion = sum("relion" in reason.lower() for reason in reasons)
    terminalreporter.write_line(f"skipped for want of real files: {real}; for want of RELION binaries: {relion}")
