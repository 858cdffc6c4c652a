"""The report of `align`: one self-contained page and one montage."""

from __future__ import annotations

from pathlib import Path

from cryoalign.report.align_data import AlignReportData

__all__ = ["AlignReportData", "write_align_report"]


def write_align_report(output_html: Path, montage_png: Path, data: AlignReportData) -> None:
    """Write report.html (self-contained) and montage.png (every class, or the 400 largest).

    Parameters
    ----------
    output_html, montage_png
        Where to write; existing files are replaced.
    data
        What to show.
    """
    from cryoalign.report.align_classes import montage_label, reference_words, summarise_classes
    from cryoalign.report.align_page import build_align_page
    from cryoalign.report.montage import draw_montage, sheet_classes

    summaries = summarise_classes(data)
    resolved = any(summary.resolved for summary in summaries)
    indices, left_out = sheet_classes([summary.members for summary in summaries])
    shown = [summaries[i] for i in indices]
    sheet = draw_montage(
        [(data.references[summary.number - 1], data.averages.get(summary.number)) for summary in shown],
        [montage_label(summary) for summary in shown],
        heading=data.title,
        legend=f"{left_out}Left: {reference_words(data)}. Right: average. corr.: correlation of both inside the mask."
        + (" Å: resolution from independent halves." if resolved else ""),
        pixel_size_angstrom=data.pixel_size_angstrom,
        missing={place: "no average" for place, summary in enumerate(shown) if summary.members},
    )
    Path(output_html).write_text(build_align_page(data), encoding="utf-8")
    Path(montage_png).write_bytes(sheet)
