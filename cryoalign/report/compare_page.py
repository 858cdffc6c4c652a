"""The page of `compare`: do the measures agree, and for each pair drawn what each measure sees."""

from __future__ import annotations

from collections.abc import Iterator

from cryoalign.report.compare_charts import registration_figure
from cryoalign.report.compare_data import CompareReportData, MetricSummary, PairDrawing
from cryoalign.report.compare_given import given_fact, given_table, verdicts_table
from cryoalign.report.compare_words import (
    OPPOSITE,
    best_pose,
    finding,
    own_pose,
    pose_words,
    two,
    value_words,
)
from cryoalign.report.figures import display_tile
from cryoalign.report.html import caption, cards, escape, table, tiles
from cryoalign.report.numbers import plural, text_number, text_percent
from cryoalign.report.page_parts import whole_page

_READ = (
    "no colour in the overlay and nothing but noise in the difference: a right registration. A joint histogram on the "
    "dashed line: the same grey levels; on another line or curve: another contrast, which only some measures bear; a "
    "cloud: nothing in common, or a wrong pose. A curve with one sharp peak: a clear answer; several alike: the "
    "measure cannot tell these poses apart; flat: it sees nothing."
)


def build_compare_page(data: CompareReportData) -> str:
    """Return report.html as text."""
    by_name = {summary.metric: summary for summary in data.summaries}
    drawn = [
        (f"pair-{number}", f"Pair {number}", _pair(data, drawing, by_name))
        for number, drawing in enumerate(data.drawings, 1)
    ]
    return whole_page(
        data,
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        sections=(
            ("measures", "Do the measures agree?", _measures(data)),
            *drawn,
        ),
    )


def summary_sentence(data: CompareReportData) -> str:
    """Say in one breath what came out."""
    n, count = data.pairs, len(data.summaries)
    start = f"{n:,} {plural(n, 'pair')} of images ({data.paired}) under {count} {plural(count, 'measure')}: "
    most = max(s.with_most for s in data.summaries)
    leaders = ", ".join(s.metric for s in data.summaries if s.with_most == most)
    if count == 1:
        words = f"median {text_number(data.summaries[0].median_value)} ({data.summaries[0].metric})."
    elif data.all_agree == n:
        words = "all find the same registration" + (" of every pair." if n > 1 else ".")
    elif not most:
        words = "no two find the same registration" + (" of any pair." if n > 1 else ".")
    elif n == 1:
        words = f"these find the same registration: {leaders}."
    else:
        words = f"all agree on {text_percent(data.all_agree, n)} of the pairs; most often with the most: {leaders}."
    best = max(data.summaries, key=lambda s: abs(s.median_correlation))
    if best.median_correlation < OPPOSITE:
        words += f" At the poses of {best.metric} the images are alike with opposite contrast."
    return start + words


def _facts(data: CompareReportData) -> Iterator[tuple[str, str, str]]:
    yield "Pairs", f"{data.pairs:,}", data.paired
    yield "Measures", str(len(data.summaries)), ""
    if len(data.summaries) > 1 and data.pairs == 1:
        together = sum(s.with_most for s in data.summaries)
        yield "Agree", f"{together} of {len(data.summaries)}", "measures, within 5°, 2 px and 3 % of scale"
    elif len(data.summaries) > 1:
        yield "All agree", text_percent(data.all_agree, data.pairs), "of the pairs: within 5°, 2 px and 3 % of scale"
    yield from given_fact(data)
    best = max(data.summaries, key=lambda s: abs(s.median_correlation))
    contrast = ": contrasts are opposite" if best.median_correlation < OPPOSITE else ""
    yield "Strongest correlation", text_number(best.median_correlation), f"median, poses of {best.metric}{contrast}"


def _measures(data: CompareReportData) -> str:
    rows = [
        (
            s.metric, s.words, "lower" if s.lower_is_better else "higher", value_words(s.median_value),
            text_number(s.median_correlation), text_percent(s.with_most, data.pairs), s.warning or "",
        )
        for s in data.summaries
    ]  # fmt: skip
    value = "Value" if data.pairs == 1 else "Median"
    header = ("Measure", "What it is", "Better is", value, "Correlation", "With the most", "Where it loses")
    notes = (
        "Correlation: of the two images inside the mask at the poses of this measure, a yardstick for all; it says "
        "nothing where contrasts differ. With the most: pairs where the measure is one of the largest group that finds "
        "the same registration, within 5°, 2 px and 3 % of scale. Most votes are not a proof: look at the overlays."
    )
    content = table(header, rows, numeric=(3, 4, 5)) + f'<p class="section-note aid">{escape(notes)}</p>'
    content += verdicts_table(data)
    if len(data.drawings) < data.pairs:
        which = "those whose given pose the fewest measures call best" if data.summaries[0].verdicts else "the first"
        left = f"Drawn: {which}, {len(data.drawings)} of {data.pairs:,} pairs; compare.star has all."
        content += f'<p class="section-note">{escape(left)}</p>'
    return content


def _pair(data: CompareReportData, drawing: PairDrawing, by_name: dict[str, MetricSummary]) -> str:
    count = len(drawing.registrations)
    width = len(drawing.a) * data.pixel_size_angstrom
    shown = [(display_tile(drawing.a), drawing.words_a), (display_tile(drawing.b), drawing.words_b)]
    lines = [f"A: {drawing.name_a}", f"B: {drawing.name_b}"]
    if drawing.given is not None and drawing.as_given is not None:
        shown.append((display_tile(drawing.as_given), "B at its given pose"))
        lines.append(f"given pose: {pose_words(drawing.given)}")
    svg = tiles(
        shown,
        width,
        description=f"{drawing.name_a} and {drawing.name_b}",
        circle_angstrom=2 * data.mask_radius_px * data.pixel_size_angstrom,
    )
    content = cards([(svg, "", tuple(lines))], columns=2)
    header = (
        "Measure",
        "Value",
        "Better by",
        "psi (°)",
        "dx (px)",
        "dy (px)",
        "Mirror",
        "Scale",
        "Correlation",
        "Agree",
    )
    rows = [
        (
            r.metric, value_words(r.value), value_words(r.margin), two(r.psi_deg), two(r.dx_px), two(r.dy_px),
            "yes" if r.mirror else "no", f"{r.scale:.4f}", f"{r.correlation:.3f}",
            f"{r.agreeing} of {count}" if r.agreeing else "found none",
        )
        for r in drawing.registrations
    ]  # fmt: skip
    content += table(header, rows, numeric=(1, 2, 3, 4, 5, 7, 8)) + _each_at_each(drawing, by_name)
    content += given_table(drawing)
    figures = []
    for row, r in enumerate(drawing.registrations):
        summary = by_name[r.metric]
        first = drawing.poses[0] if drawing.poses and own_pose(drawing, row) != 0 else None
        uri = registration_figure(
            drawing.a, r, data.mask_radius_px, lower_is_better=summary.lower_is_better, value_label=r.metric,
            first_psi_deg=first.psi_deg if first is not None and first.mirror == r.mirror else None,
        )  # fmt: skip
        name = escape(f"{r.metric}: {summary.words}")
        words = escape(finding(drawing, row, lower_is_better=summary.lower_is_better))
        figures.append(f'<h4>{name}</h4><img src="{uri}" alt="{name}. {words}"><p>{words}</p><br>')
    aid = f'<figcaption class="above">{caption("", _READ)}</figcaption>'
    return content + f'<figure class="grid"><h3>Under each measure</h3>{aid}{"".join(figures)}</figure>'


def _each_at_each(drawing: PairDrawing, by_name: dict[str, MetricSummary]) -> str:
    """Return a table of the value of each measure at each pose found, where there are several or one found none."""
    if not drawing.poses or (len(drawing.poses) == 1 and all(r.agreeing for r in drawing.registrations)):
        return ""
    rows = []
    for row, r in enumerate(drawing.registrations):
        own = own_pose(drawing, row)
        best = best_pose(drawing, row, lower_is_better=by_name[r.metric].lower_is_better)
        cells = [
            value_words(float(value)) + (" ●" if k == best else "") + (" ◂" if k == own else "")
            for k, value in enumerate(drawing.values[row])
        ]
        rows.append((r.metric, *cells))
    listed = "; ".join(
        f"pose {k}: {pose_words(pose)}, by {', '.join(pose.metrics)}" for k, pose in enumerate(drawing.poses, 1)
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
