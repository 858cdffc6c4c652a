"""The report of `classavg`: one self-contained page, and one montage of the views."""

from __future__ import annotations

from pathlib import Path

from cryoalign.report.classavg_data import ClassavgReportData, SignalSummary, ViewMembers

__all__ = ["ClassavgReportData", "SignalSummary", "ViewMembers", "write_classavg_report"]


def write_classavg_report(output_html: Path, montage_png: Path, data: ClassavgReportData) -> None:
    """Write report.html (self-contained) and montage.png (every view, or the 400 best).

    Parameters
    ----------
    output_html, montage_png
        Where to write; existing files are replaced.
    data
        What to show.
    """
    from cryoalign.report.classavg_page import build_classavg_page, draw_view_montage

    # The sheet first, and let go of before figures are drawn: neither is small.
    Path(montage_png).write_bytes(draw_view_montage(data))
    Path(output_html).write_text(build_classavg_page(data), encoding="utf-8")
