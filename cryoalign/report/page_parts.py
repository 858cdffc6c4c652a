"""What every command's page has: heading, summary, warnings, links, sections, settings, footer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from cryoalign.report.html import definition_table, escape, facts, page, section, table
from cryoalign.report.numbers import plural, text_percent


def whole_page(
    *,
    title: str,
    command_line: str,
    version: str,
    summary: str,
    fact_boxes: Iterable[tuple[str, str, str]],
    warnings: Sequence[str],
    sections: Iterable[tuple[str, str, str]],
    alarm: tuple[str, str] | None = None,
) -> str:
    """Return a page of (anchor, heading, HTML) sections, empty ones left out; everything else is plain text.

    An `alarm` (heading, words) stands before all else: nothing on the page may be read without it.
    """
    kept = [(anchor, heading, content) for anchor, heading, content in sections if content]
    links = " ".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in kept)
    return page(
        title,
        [
            f"<header>\n<h1>{escape(title)}</h1>",
            f'<code class="command">{escape(command_line)}</code>\n</header>',
            *([alarm_box(*alarm)] if alarm else []),
            f'<p class="lead">{escape(summary)}</p>',
            facts(list(fact_boxes)),
            warning_list(warnings),
            f"<nav>{links}</nav>",
            *(section(anchor, heading, content) for anchor, heading, content in kept),
            f"<footer>cryoalign {escape(version)} · images are drawn with row 0 on top; grey levels are set for "
            "each picture between its 0.3 and 99.7 percentiles, so brightness cannot be compared between "
            "pictures.</footer>",
        ],
    )


def alarm_box(heading: str, words: str) -> str:
    """Return a banner that nobody overlooks, as HTML."""
    return f'<div class="alarm" role="alert"><strong>{escape(heading)}</strong><p>{escape(words)}</p></div>'


def warning_list(warnings: Sequence[str]) -> str:
    """Return the warnings, or that there are none, as HTML."""
    if not warnings:
        return '<p class="fine">No warnings.</p>'
    count = len(warnings)
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<div class="warnings"><strong>{count} {plural(count, "warning")}</strong><ul>{items}</ul></div>'


def settings_section(
    *,
    parameters: Mapping[str, str],
    counts: Mapping[str, int | str],
    files: Mapping[str, str],
    timings_s: Mapping[str, float],
    notes: Sequence[str],
    flags: str = "",
) -> str:
    """Return tables of parameters, counts, files and timings; `flags` is HTML to stand after the counts."""
    left, right = [], []
    if parameters:
        left.append("<h3>Parameters</h3>" + definition_table(("Parameter", "Value"), parameters))
    if counts:
        words = {k: f"{v:,}" if isinstance(v, (int, np.integer)) else v for k, v in counts.items()}
        right.append("<h3>Counts</h3>" + definition_table(("What", "Number"), words))
    if flags:
        right.append(flags)
    if files:
        right.append("<h3>Files written</h3>" + definition_table(("File", "Holds"), files))
    if timings_s:
        total = sum(timings_s.values())
        rows = [(name, f"{seconds:,.2f}", text_percent(seconds, total)) for name, seconds in timings_s.items()]
        right.append("<h3>Timings</h3>" + table(("Stage", "Seconds", "Share"), rows, numeric=(1, 2)))
    if notes:
        left.append("<h3>Notes</h3>" + "".join(f"<p>{escape(note)}</p>" for note in notes))
    if not left and not right:
        return ""
    return f'<div class="columns"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>'
