"""The report of `average`: one self-contained page and one montage."""

from __future__ import annotations

from pathlib import Path

from cryoalign.report.average_data import AverageReportData

__all__ = ["AverageReportData", "write_average_report"]


def write_average_report(output_html: Path, montage_png: Path, data: AverageReportData) -> None:
    """Write report.html (self-contained) and montage.png (every class, or the 400 largest).

    Parameters
    ----------
    output_html, montage_png
        Where to write; existing files are replaced.
    data
        What to show.
    """
    from cryoalign.report.average_page import build_average_page, draw_average_montage

    page, sheet = build_average_page(data), draw_average_montage(data)
    Path(output_html).write_text(page, encoding="utf-8")
    Path(montage_png).write_bytes(sheet)
