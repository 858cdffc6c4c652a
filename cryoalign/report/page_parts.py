"""What every command's page has: heading, summary, warnings, links, sections, settings, footer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from cryoalign.report.html import definition_table, escape, facts, page, section, table
from cryoalign.report.numbers import plural, text_percent


class PageData(Protocol):
    """What every report is told: heading, command as typed, version, and what its last section lists."""

    title: str
    command_line: str
    version: str
    warnings: Sequence[str]
    parameters: Mapping[str, str]
    counts: Mapping[str, int | str]
    files: Mapping[str, str]
    timings_s: Mapping[str, float]
    notes: Sequence[str]


def whole_page(
    data: PageData,
    *,
    summary: str,
    fact_boxes: Iterable[tuple[str, str, str]],
    sections: Iterable[tuple[str, str, str]],
    alarm: tuple[str, str] | None = None,
    flags: str = "",
) -> str:
    """Return a page of (anchor, heading, HTML) sections, empty ones left out, with settings, files and timings last.

    Summary and boxes are plain text. `flags` is HTML to stand after the counts. An `alarm` (heading, words) stands
    before all else: nothing on the page may be read without it.
    """
    settings = ("settings", "Settings, files and timings", _settings(data, flags))
    kept = [(anchor, heading, content) for anchor, heading, content in (*sections, settings) if content]
    links = " ".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in kept)
    return page(
        data.title,
        [
            f"<header>\n<h1>{escape(data.title)}</h1>",
            f'<code class="command">{escape(data.command_line)}</code>\n</header>',
            *([alarm_box(*alarm)] if alarm else []),
            f'<p class="lead">{escape(summary)}</p>',
            facts(list(fact_boxes)),
            warning_list(data.warnings),
            f"<nav>{links}</nav>",
            *(section(anchor, heading, content) for anchor, heading, content in kept),
            f"<footer>cryoalign {escape(data.version)} · images are drawn with row 0 on top; grey levels are set for "
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


def _settings(data: PageData, flags: str) -> str:
    """Return tables of parameters, counts, files and timings; `flags` is HTML to stand after the counts."""
    left, right = [], []
    if data.parameters:
        left.append("<h3>Parameters</h3>" + definition_table(("Parameter", "Value"), data.parameters))
    if data.counts:
        words = {k: f"{v:,}" if isinstance(v, (int, np.integer)) else v for k, v in data.counts.items()}
        right.append("<h3>Counts</h3>" + definition_table(("What", "Number"), words))
    if flags:
        right.append(flags)
    if data.files:
        right.append("<h3>Files written</h3>" + definition_table(("File", "Holds"), data.files))
    if data.timings_s:
        total = sum(data.timings_s.values())
        rows = [(name, f"{seconds:,.2f}", text_percent(seconds, total)) for name, seconds in data.timings_s.items()]
        right.append("<h3>Timings</h3>" + table(("Stage", "Seconds", "Share"), rows, numeric=(1, 2)))
    if data.notes:
        left.append("<h3>Notes</h3>" + "".join(f"<p>{escape(note)}</p>" for note in data.notes))
    if not left and not right:
        return ""
    return f'<div class="columns"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>'
