"""The report of `sync`: one self-contained page."""

from __future__ import annotations

from pathlib import Path

from cryoalign.report.sync_data import SyncReportData

__all__ = ["SyncReportData", "write_sync_report"]


def write_sync_report(output_html: Path, data: SyncReportData) -> None:
    """Write report.html (self-contained).

    Parameters
    ----------
    output_html
        Where to write; an existing file is replaced.
    data
        What to show.
    """
    from cryoalign.report.sync_page import build_sync_page

    Path(output_html).write_text(build_sync_page(data), encoding="utf-8")
