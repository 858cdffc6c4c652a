"""One pair on the page of `compare`: what each measure found, why they differ, and what they say of its given pose."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cryoalign.metrics.measure import Ranking
from cryoalign.report.compare_charts import registration_figure
from cryoalign.report.compare_data import CompareReportData, PairDrawing
from cryoalign.report.figures import display_tile
from cryoalign.report.html import caption, cards, escape, table, tiles
from cryoalign.report.numbers import two, value_words

OPPOSITE = -0.3
"""Below this correlation the contrasts of two images are called opposite."""
_HARDLY = 0.05
"""Values that differ by less than this share of the curve's range are alike."""
_READ = (
    "no colour in the overlay and nothing but noise in the difference: a right registration. A joint histogram on the "
    "dashed line: the same grey levels; on another line or curve: another contrast, which only some measures bear; a "
    "cloud: nothing in common, or a wrong pose. A curve with one sharp peak: a clear answer; several alike: the "
    "measure cannot tell these poses apart; flat: it sees nothing."
)


def pair_section(data: CompareReportData, drawing: PairDrawing) -> str:
    """Return all that is drawn and said of one pair, as HTML."""
    measures = {summary.metric: summary.measure for summary in data.summaries}
    count = len(drawing.registrations)
    width = len(drawing.a) * data.pixel_size_angstrom
    shown = [(display_tile(drawing.a), drawing.words_a), (display_tile(drawing.b), drawing.words_b)]
    lines = [f"A: {drawing.name_a}", f"B: {drawing.name_b}"]
    if drawing.given is not None and drawing.as_given is not None:
        shown.append((display_tile(drawing.as_given), "B at its given pose"))
        lines.append(f"given pose: {drawing.given.in_words}")
    svg = tiles(
        shown,
        width,
        description=f"{drawing.name_a} and {drawing.name_b}",
        circle_angstrom=2 * data.mask_radius_px * data.pixel_size_angstrom,
    )
    content = cards([(svg, "", tuple(lines))], columns=2)
    header = (
        "Measure", "Value", "Better by", "psi (°)", "dx (px)", "dy (px)", "Mirror", "Scale", "Correlation", "Agree",
    )  # fmt: skip
    rows = [
        (
            r.metric, value_words(r.value), value_words(r.margin), two(r.psi_deg), *map(two, r.shift_px),
            "yes" if r.mirror else "no", f"{r.scale:.4f}", f"{r.correlation:.3f}",
            f"{r.agreeing} of {count}" if r.agreeing else "found none",
        )
        for r in drawing.registrations
    ]  # fmt: skip
    content += table(header, rows, numeric=(1, 2, 3, 4, 5, 7, 8)) + _each_at_each(drawing, measures)
    content += _given_table(drawing)
    figures = []
    for row, r in enumerate(drawing.registrations):
        measure = measures[r.metric]
        first = drawing.poses[0] if drawing.poses and own_pose(drawing, row) != 0 else None
        uri = registration_figure(
            drawing.a, r, data.mask_radius_px, lower_is_better=measure.lower_is_better, value_label=r.metric,
            first_psi_deg=first.psi_deg if first is not None and first.mirror == r.mirror else None,
        )  # fmt: skip
        name = escape(f"{r.metric}: {measure.words}")
        words = escape(finding(drawing, row, lower_is_better=measure.lower_is_better))
        figures.append(f'<h4>{name}</h4><img src="{uri}" alt="{name}. {words}"><p>{words}</p><br>')
    aid = f'<figcaption class="above">{caption("", _READ)}</figcaption>'
    return content + f'<figure class="grid"><h3>Under each measure</h3>{aid}{"".join(figures)}</figure>'


def _each_at_each(drawing: PairDrawing, measures: Mapping[str, Ranking]) -> str:
    """Return a table of the value of each measure at each pose found, where there are several or one found none."""
    if not drawing.poses or (len(drawing.poses) == 1 and all(r.agreeing for r in drawing.registrations)):
        return ""
    rows = []
    for row, r in enumerate(drawing.registrations):
        own = own_pose(drawing, row)
        best = best_pose(drawing, row, lower_is_better=measures[r.metric].lower_is_better)
        cells = [
            value_words(float(value)) + (" ●" if k == best else "") + (" ◂" if k == own else "")
            for k, value in enumerate(drawing.values[row])
        ]
        rows.append((r.metric, *cells))
    listed = "; ".join(
        f"pose {k}: {pose.in_words}, by {', '.join(pose.metrics)}" for k, pose in enumerate(drawing.poses, 1)
    )
    header = ("Measure", *(f"at pose {k}" for k in range(1, len(drawing.poses) + 1)))
    aid = (
        "● the best of the row, ◂ the pose that this measure found. Where both stand together the measure itself "
        "prefers that pose, right or wrong; where they do not, its search missed a pose that it likes better."
    )
    return (
        f"<br><h3>Why do they differ? Each measure at each pose found</h3>{table(header, rows)}"
        f'<p class="section-note">{escape(listed)}.</p><p class="section-note aid">{escape(aid)}</p>'
    )


def _given_table(drawing: PairDrawing) -> str:
    """Return what each measure says of the given pose of one pair; nothing where that was not asked."""
    rows = [
        (
            r.metric, value_words(r.given.value), value_words(r.given.nearest_value), two(r.given.away_deg),
            two(r.given.away_px), r.given.verdict,
        )
        for r in drawing.registrations
        if r.given is not None
    ]  # fmt: skip
    if drawing.given is None:
        return ""
    header = ("Measure", "There", "At the nearest optimum", "Turned by (°)", "Shifted by (px)", "Verdict")
    return f"<br><h3>The given pose: {escape(drawing.given.in_words)}</h3>{table(header, rows, numeric=(1, 2, 3, 4))}"


def finding(drawing: PairDrawing, row: int, *, lower_is_better: bool) -> str:
    """Say what one measure found, how far the others agree, and what may have misled it."""
    r, count = drawing.registrations[row], len(drawing.registrations)
    if not r.agreeing:
        where = f"{value_words(r.value)} with B where it is, correlation {r.correlation:.3f}"
        return f"No pose was found: nothing correlates. {where}."
    others = f"; {r.agreeing - 1} of the {count - 1} others agree" if count > 1 else ""
    words = [f"{value_words(r.value)} at {r.in_words}; correlation {r.correlation:.3f}{others}."]
    if r.correlation < OPPOSITE:
        words.append("The contrasts are opposite at this pose.")
    if r.at_limit:
        words.append("The shift is at its limit: the truth may lie beyond, or there is none.")
    own = own_pose(drawing, row)
    if own is not None and own > 0:
        words.append(_against_first(drawing, row, own, lower_is_better))
    return " ".join(words)


def _against_first(drawing: PairDrawing, row: int, own: int, lower: bool) -> str:
    """Say whether a measure prefers its own pose to the first one, or its search missed that."""
    here, first = float(drawing.values[row, own]), float(drawing.values[row, 0])
    gain = (here - first) if lower else (first - here)
    span = float(np.ptp(drawing.registrations[row].curve)) or 1.0
    if abs(gain) < _HARDLY * span:
        return f"It can hardly tell pose 1 from it ({value_words(first)} there, {value_words(here)} here)."
    if gain > 0:
        return f"Pose 1 is better by its own value ({value_words(first)}): its search missed it."
    return f"By its own value pose 1 is worse ({value_words(first)}): the measure itself prefers this one."


def own_pose(drawing: PairDrawing, row: int) -> int | None:
    """Return which of the poses a measure found; None where it found none."""
    name = drawing.registrations[row].metric
    return next((k for k, pose in enumerate(drawing.poses) if name in pose.metrics), None)


def best_pose(drawing: PairDrawing, row: int, *, lower_is_better: bool) -> int:
    """Return which of the poses is best by the value of a measure."""
    values = drawing.values[row]
    return int(np.argmin(values if lower_is_better else -values))
