"""The report of `rid-distance`: one self-contained page."""

from __future__ import annotations

from pathlib import Path

from cryoalign.report.rid_distance_data import NeighbourExample, RidDistanceReportData

__all__ = ["NeighbourExample", "RidDistanceReportData", "write_rid_distance_report"]


def write_rid_distance_report(output_html: Path, data: RidDistanceReportData) -> None:
    """Write report.html (self-contained).

    Parameters
    ----------
    output_html
        Where to write; an existing file is replaced.
    data
        What to show.
    """
    from cryoalign.report.rid_distance_page import build_rid_distance_page

    Path(output_html).write_text(build_rid_distance_page(data), encoding="utf-8")
