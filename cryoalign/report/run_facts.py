"""What a page says of the run itself: heading, command, warnings; last its settings, files and timings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import cryoalign
from cryoalign.report.html import definition_table, escape, facts, page, section, table
from cryoalign.report.numbers import plural, text_percent
from cryoalign.runs.parameters import option_of
from cryoalign.runs.rundir import RunDirectory


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What every page is told of its run.

    Parameters
    ----------
    title
        Heading of the page.
    command_line, version
        As typed, and of cryoalign.
    parameters
        Name -> value as a user would type it.
    counts
        Name -> number, such as read, aligned, skipped; shown as given.
    warnings
        One sentence each.
    timings_s
        Stage -> seconds.
    files
        File name in the run directory -> what it holds.
    notes
        Remarks on how the numbers were made, one sentence each.
    """

    title: str
    command_line: str
    version: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        run: RunDirectory,
        title: str,
        *,
        parameters: Mapping[str, str],
        counts: Mapping[str, Any],
        files: Mapping[str, str],
        notes: Sequence[str] = (),
        sheet: str = "",
    ) -> RunFacts:
        """Return the facts of a run whose page is next.

        Parameters
        ----------
        run
            The run directory.
        title, parameters, notes
            As above.
        counts
            As in run.json; what is no single number is left out.
        files
            What was written so far.
        sheet
            What montage.png shows; empty where there is none.
        """
        pages = {"report.html, montage.png": f"this report, and {sheet}"} if sheet else {"report.html": "this report"}
        return cls(
            title=title, command_line=run.command_line, version=cryoalign.__version__, parameters=parameters,
            counts={name: value for name, value in counts.items() if not isinstance(value, (Mapping, list))},
            warnings=tuple(run.warnings), timings_s=dict(run.timings_s), notes=notes,
            files={**files, **pages, "run.json, run.log": "parameters, versions, inputs, counts, timings; the log"},
        )  # fmt: skip

    def of_read(self, otherwise: str = "") -> str:
        """Say of how many particles these are, if that was counted."""
        read = self.counts.get("read")
        return otherwise if read is None else f"of {read:,} read"

    @property
    def warned(self) -> str:
        """How many warnings there are, as it ends a summary."""
        return f"{len(self.warnings) or 'no'} {plural(len(self.warnings), 'warning')}"


def given_options(parameters: Any, *names: str, unit: str = "") -> dict[str, str]:
    """Return what was given of some parameters as a user would type it: option -> value, or yes; others left out."""
    words = {}
    for name in names:
        value = getattr(parameters, name)
        if value is not None and value is not False:
            text = "yes" if value is True else f"{value:g}" if isinstance(value, float) else str(value)
            words[option_of(name)] = text + unit
    return words


def whole_page(
    run: RunFacts,
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
    settings = ("settings", "Settings, files and timings", _settings(run, flags))
    kept = [(anchor, heading, content) for anchor, heading, content in (*sections, settings) if content]
    links = " ".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in kept)
    return page(
        run.title,
        [
            f"<header>\n<h1>{escape(run.title)}</h1>",
            f'<code class="command">{escape(run.command_line)}</code>\n</header>',
            *([_alarm_box(*alarm)] if alarm else []),
            f'<p class="lead">{escape(summary)}</p>',
            facts(list(fact_boxes)),
            _warning_list(run.warnings),
            f"<nav>{links}</nav>",
            *(section(anchor, heading, content) for anchor, heading, content in kept),
            f"<footer>cryoalign {escape(run.version)} · images are drawn with row 0 on top; grey levels are set for "
            "each picture between its 0.3 and 99.7 percentiles, so brightness cannot be compared between "
            "pictures.</footer>",
        ],
    )


def _alarm_box(heading: str, words: str) -> str:
    """Return a banner that nobody overlooks, as HTML."""
    return f'<div class="alarm" role="alert"><strong>{escape(heading)}</strong><p>{escape(words)}</p></div>'


def _warning_list(warnings: Sequence[str]) -> str:
    """Return the warnings, or that there are none, as HTML."""
    if not warnings:
        return '<p class="fine">No warnings.</p>'
    count = len(warnings)
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<div class="warnings"><strong>{count} {plural(count, "warning")}</strong><ul>{items}</ul></div>'


def _settings(run: RunFacts, flags: str) -> str:
    """Return tables of parameters, counts, files and timings; `flags` is HTML to stand after the counts."""
    left, right = [], []
    if run.parameters:
        left.append("<h3>Parameters</h3>" + definition_table(("Parameter", "Value"), run.parameters))
    if run.counts:
        words = {k: f"{v:,}" if isinstance(v, (int, np.integer)) else v for k, v in run.counts.items()}
        right.append("<h3>Counts</h3>" + definition_table(("What", "Number"), words))
    if flags:
        right.append(flags)
    if run.files:
        right.append("<h3>Files written</h3>" + definition_table(("File", "Holds"), run.files))
    if run.timings_s:
        total = sum(run.timings_s.values())
        rows = [(name, f"{seconds:,.2f}", text_percent(seconds, total)) for name, seconds in run.timings_s.items()]
        right.append("<h3>Timings</h3>" + table(("Stage", "Seconds", "Share"), rows, numeric=(1, 2)))
    if run.notes:
        left.append("<h3>Notes</h3>" + "".join(f"<p>{escape(note)}</p>" for note in run.notes))
    if not left and not right:
        return ""
    return f'<div class="columns"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>'
