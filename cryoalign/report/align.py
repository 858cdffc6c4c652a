"""The report of `align`: one self-contained page and one montage."""

from __future__ import annotations

from pathlib import Path

from .align_data import AlignReportData

__all__ = ["AlignReportData", "write_align_report"]


def write_align_report(output_html: Path, montage_png: Path, data: AlignReportData) -> None:
    """Write report.html (self-contained) and montage.png.

    Parameters
    ----------
    output_html, montage_png
        Where to write; existing files are replaced.
    data
        What to show.
    """
    from .align_page import build_align_page
    from .montage import draw_montage

    Path(output_html).write_text(build_align_page(data), encoding="utf-8")
    Path(montage_png).write_bytes(draw_montage(data))
