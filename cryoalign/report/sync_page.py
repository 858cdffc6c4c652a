"""The page of `sync`: do edges agree, which nodes are sure, eigenvalues, components, settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from cryoalign.report import charts
from cryoalign.report.html import escape, picture, table
from cryoalign.report.numbers import median, plural, text_number, text_percent
from cryoalign.report.page_parts import whole_page
from cryoalign.report.sync_charts import eigenvalues, residual_density
from cryoalign.report.sync_data import SyncReportData

MAX_COMPONENTS = 20
MAX_DRAWN = 4_000_000
"""More edges than these are thinned evenly before they are drawn: no picture would change."""


def build_sync_page(data: SyncReportData) -> str:
    """Return report.html as text."""
    alarm = None
    if not data.signal:
        alarm = (
            "No signal",
            "Edges that took no part in finding the angles agree with them no better than by chance. Angles were "
            "written, but there is no reason to believe them: more good edges, or fewer wrong ones, are needed.",
        )
    return whole_page(
        data,
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        alarm=alarm,
        sections=(
            ("edges", "Do the edges agree?", _charts(_edges(data))),
            ("nodes", data.things.capitalize(), _charts(_nodes(data))),
            ("eigenvalues", "Eigenvalues", _charts(_eigenvalues(data))),
            ("components", "Components", _components(data)),
        ),
    )


def summary_sentence(data: SyncReportData) -> str:
    """Say in one breath what came out."""
    n, edges, parts = len(data.psi_deg), len(data.i), _sizes(data)
    several = int((parts > 1).sum())
    start = f"{n:,} {_things(data, n)}, {edges:,} {plural(edges, 'edge')}, {several:,} {plural(several, 'component')}: "
    if not data.signal:  # residuals of the edges that made the angles would flatter them
        return start + "the edges agree no better than by chance."
    return start + (
        f"{text_percent(_likely(data), edges)} of the edges are likely right, half of these within "
        f"{text_number(data.median_residual_deg)} degrees; {len(data.warnings) or 'no'} "
        f"{plural(len(data.warnings), 'warning')}."
    )


def _things(data: SyncReportData, count: int) -> str:
    return plural(count, data.things.removesuffix("s"))


def _sizes(data: SyncReportData) -> np.ndarray:
    return np.bincount(np.asarray(data.component))[1:]


def _likely(data: SyncReportData) -> float:
    return float(np.sum(data.inlier, dtype=np.float64))


def _facts(data: SyncReportData) -> Iterator[tuple[str, str, str]]:
    parts = _sizes(data)
    yield data.things.capitalize(), f"{len(data.psi_deg):,}", f"{int(np.sum(data.isolated)):,} without edges"
    yield "Edges", f"{len(data.i):,}", "all different ones, each once"
    yield "Components", f"{int((parts > 1).sum()):,}", f"the largest: {int(parts.max()):,} {data.things}"
    if data.signal:
        yield "Likely right", text_percent(_likely(data), len(data.i)), "share of the edges"
        yield "Residual", f"{text_number(data.median_residual_deg)}°", "median of edges that are likely right"
    yield (
        "Held-out edges", text_number(data.held_out_log_likelihood),
        "log-likelihood of one, against chance" + ("" if data.signal else ": no signal"),
    )  # fmt: skip
    if data.shift_scale_angstrom is not None:
        yield "Shifts", f"{text_number(data.shift_scale_angstrom, 2)} Å", "error of a good edge, x or y"
    if data.mirror is not None:
        share = text_percent(int(np.count_nonzero(data.mirror)), len(data.mirror))
        yield "Mirrored", share, f"of the {data.things}"


def _charts(pictures: Iterator[str]) -> str:
    content = "".join(pictures)
    return f'<div class="charts">{content}</div>' if content else ""


def _edges(data: SyncReportData) -> Iterator[str]:
    thin = slice(None, None, max(1, -(-len(data.i) // MAX_DRAWN)))
    words = f"Held-out edges: log-likelihood {text_number(data.held_out_log_likelihood)} each, 0 being chance."
    yield picture(
        residual_density(data.density_centres_deg, data.density),
        "Density of residuals",
        words,
        "one narrow peak at 0 on a level floor: right edges and random ones. No peak: nothing was found. A second peak "
        "elsewhere: edges that are wrong all in the same way, such as a particle that looks alike after a turn.",
    )
    yield picture(
        charts.histogram(np.asarray(data.inlier)[thin], x_label="probability to be right (no unit)", y_label="edges",
                         low=0, high=1, width=charts.WIDTH),
        "How likely edges are right",
        f"In all {text_number(_likely(data))} of {len(data.i):,} edges are likely right.",
        "most edges near 0 or near 1. What lies between cannot be told apart by the angle alone.",
    )  # fmt: skip


def _nodes(data: SyncReportData) -> Iterator[str]:
    joined = ~np.asarray(data.isolated, bool)
    if not joined.any():
        return
    sure = np.asarray(data.confidence)[joined]
    middle = median(sure)
    yield picture(
        charts.histogram(sure, x_label="confidence (no unit)", y_label=data.things, low=0, high=1, width=charts.WIDTH,
                         marks=[(middle, f"median {text_number(middle)}")]),
        "Confidence of angles",
        f"Median {text_number(middle)}; below 0.5: {int(np.sum(sure < 0.5)):,} of {len(sure):,}.",
        "most near 1. Low ones have few edges, or edges that contradict each other: another view, or junk.",
    )  # fmt: skip
    largest = joined & (np.asarray(data.component) == 1)
    yield picture(
        charts.angle_rose(np.asarray(data.psi_deg)[largest], things=data.things),
        "Angles of the largest component",
        f"{int(largest.sum()):,} {data.things}.",
        "even for particles on a support that favours no in-plane angle. Only differences mean anything, unless the "
        "frame was fixed by --anchor or by the input.",
    )
    if data.shift_angstrom is not None:
        shift = np.asarray(data.shift_angstrom)[joined]
        length = median(np.hypot(*shift.T))
        yield picture(
            charts.shift_map(shift, None, things=data.things),
            "Shifts",
            f"Median length {text_number(length)} Å.",
            "a cloud around the middle. The middle itself is a convention: in each component the shifts are centred.",
        )


def _eigenvalues(data: SyncReportData) -> Iterator[str]:
    known = {k: np.asarray(v) for k, v in data.eigenvalues.items() if len(v)}
    if not known:
        return
    gap = [k for k, v in known.items() if len(v) > 1 and v[1] < 0.9 * v[0]]
    yield picture(
        eigenvalues(known),
        "Largest eigenvalues of each frequency",
        f"{len(gap)} of {len(known)} {'frequency' if len(known) == 1 else 'frequencies'}: the first eigenvalue stands "
        "at least a tenth above the second. Of the largest component.",
        "filled marks well above the hollow ones: that frequency tells the angles. Where they touch it holds noise, "
        "and auto leaves it out.",
    )


def _components(data: SyncReportData) -> str:
    parts = _sizes(data)
    several = int((parts > 1).sum())
    component = np.asarray(data.component)
    of_edge = component[np.asarray(data.i)]
    edges = np.bincount(of_edge, minlength=len(parts) + 1)
    likely = np.bincount(of_edge, np.asarray(data.inlier, np.float64), minlength=len(parts) + 1)
    rows = []
    for number in range(1, min(several, MAX_COMPONENTS) + 1):
        used = data.algorithm_used[number - 1] if number <= len(data.algorithm_used) else ""
        rows.append((
            str(number), f"{parts[number - 1]:,}", f"{edges[number]:,}", text_percent(likely[number], edges[number]),
            text_number(median(np.asarray(data.confidence)[component == number])), used,
        ))  # fmt: skip
    words = [_how(data)]
    if several > MAX_COMPONENTS:
        words.append(f"The {MAX_COMPONENTS} largest of {several:,} components are listed; angles.star has all.")
    alone = int(np.sum(data.isolated))
    if alone:
        words.append(f"{alone:,} {_things(data, alone)} without edges: each a component of its own, without an angle.")
    header = ("Component", data.things.capitalize(), "Edges", "Likely right", "Median confidence", "Solved by")
    content = "".join(f'<p class="section-note">{escape(text)}</p>' for text in words)
    return content + table(header, rows, numeric=(0, 1, 2, 3, 4))


def _how(data: SyncReportData) -> str:
    """Say what was asked for, what gave the angles, and what a fallback means."""
    counts = Counter(data.algorithm_used)
    listed = "; ".join(f"{word}: {count:,} {plural(count, 'component')}" for word, count in counts.items())
    text = f"Asked for: {data.algorithm}. Angles of different components cannot be compared. Solved by {listed}."
    if any("fallback" in word for word in counts):
        text += (
            " A fallback is taken where the method that was asked for explains held-out edges no better than the "
            "simpler one."
        )
    return text
