"""The report of `compare`: one self-contained page."""

from __future__ import annotations

from pathlib import Path

from cryoalign.report.compare_data import (
    CompareReportData,
    FoundPose,
    GivenPose,
    MetricSummary,
    PairDrawing,
    Registration,
)

__all__ = [
    "CompareReportData",
    "FoundPose",
    "GivenPose",
    "MetricSummary",
    "PairDrawing",
    "Registration",
    "write_compare_report",
]


def write_compare_report(output_html: Path, data: CompareReportData) -> None:
    """Write report.html (self-contained).

    Parameters
    ----------
    output_html
        Where to write; an existing file is replaced.
    data
        What to show.
    """
    from cryoalign.report.compare_page import build_compare_page

    Path(output_html).write_text(build_compare_page(data), encoding="utf-8")
