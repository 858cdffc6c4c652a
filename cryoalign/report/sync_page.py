"""The page of `sync`: do edges agree, which nodes are sure, eigenvalues, components, settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.report import charts
from cryoalign.report.html import abreast, escape, picture, table
from cryoalign.report.numbers import median, plural, text_number, text_percent
from cryoalign.report.run_facts import RunFacts, whole_page
from cryoalign.report.sync_charts import eigenvalues, residual_density
from cryoalign.synchronization.edges import EdgeList
from cryoalign.synchronization.robust_shifts import RobustShifts
from cryoalign.synchronization.synchronise import Synchronization

MAX_COMPONENTS = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class SyncReportData:
    """Everything that report.html shows of a run of `sync`.

    Parameters
    ----------
    sync, edges
        Angles of n nodes, and the edges that they were found from.
    algorithm
        As asked for.
    mirrors
        Whether edges may be mirrored.
    shifts, pixel_size_angstrom
        Origins, and the size of their pixels; None where the edges have no shifts, or that is not known.
    things
        What nodes are called, such as particles.
    """

    sync: Synchronization
    edges: EdgeList
    algorithm: str
    mirrors: bool
    shifts: RobustShifts | None = None
    pixel_size_angstrom: float | None = None
    things: str = "nodes"

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Nodes of each component, the largest first."""
        return np.bincount(self.sync.component)[1:]

    @property
    def likely(self) -> float:
        """How many edges are likely right."""
        return float(np.sum(self.sync.inlier, dtype=np.float64))

    def counted(self, count: int) -> str:
        """Return what nodes are called after a count."""
        return plural(count, self.things.removesuffix("s"))


def build_sync_page(run: RunFacts, data: SyncReportData) -> str:
    """Return report.html as text."""
    alarm = None
    if not data.sync.signal:
        alarm = (
            "No signal",
            "Edges that took no part in finding the angles agree with them no better than by chance. Angles were "
            "written, but there is no reason to believe them: more good edges, or fewer wrong ones, are needed.",
        )
    return whole_page(
        run,
        summary=summary_sentence(run, data),
        fact_boxes=_facts(data),
        alarm=alarm,
        sections=(
            ("edges", "Do the edges agree?", abreast(*_edges(data))),
            ("nodes", data.things.capitalize(), abreast(*_nodes(data))),
            ("eigenvalues", "Eigenvalues", abreast(*_eigenvalues(data))),
            ("components", "Components", _components(data)),
        ),
    )


def summary_sentence(run: RunFacts, data: SyncReportData) -> str:
    """Say in one breath what came out."""
    n, edges, parts = len(data.sync.psi_deg), len(data.edges), data.sizes
    several = int((parts > 1).sum())
    start = f"{n:,} {data.counted(n)}, {edges:,} {plural(edges, 'edge')}, {several:,} {plural(several, 'component')}: "
    if not data.sync.signal:  # residuals of the edges that made the angles would flatter them
        return start + "the edges agree no better than by chance."
    return start + (
        f"{text_percent(data.likely, edges)} of the edges are likely right, half of these within "
        f"{text_number(data.sync.median_residual_deg)} degrees; {run.warned}."
    )


def _facts(data: SyncReportData) -> Iterator[tuple[str, str, str]]:
    parts = data.sizes
    yield data.things.capitalize(), f"{len(data.sync.psi_deg):,}", f"{int(np.sum(data.sync.isolated)):,} without edges"
    yield "Edges", f"{len(data.edges):,}", "all different ones, each once"
    yield "Components", f"{int((parts > 1).sum()):,}", f"the largest: {int(parts.max()):,} {data.things}"
    if data.sync.signal:
        yield "Likely right", text_percent(data.likely, len(data.edges)), "share of the edges"
        yield "Residual", f"{text_number(data.sync.median_residual_deg)}°", "median of edges that are likely right"
    yield (
        "Held-out edges", text_number(data.sync.held_out_log_likelihood),
        "log-likelihood of one, against chance" + ("" if data.sync.signal else ": no signal"),
    )  # fmt: skip
    if data.shifts is not None and data.pixel_size_angstrom is not None:
        error = text_number(data.shifts.scale_px * data.pixel_size_angstrom, 2)
        yield "Shifts", f"{error} Å", "error of a good edge, x or y"
    if data.mirrors:
        share = text_percent(int(np.count_nonzero(data.sync.mirror)), len(data.sync.mirror))
        yield "Mirrored", share, f"of the {data.things}"


def _edges(data: SyncReportData) -> Iterator[str]:
    words = f"Held-out edges: log-likelihood {text_number(data.sync.held_out_log_likelihood)} each, 0 being chance."
    yield picture(
        residual_density(data.sync.density.centres_deg, data.sync.density.density),
        "Density of residuals",
        words,
        "one narrow peak at 0 on a level floor: right edges and random ones. No peak: nothing was found. A second peak "
        "elsewhere: edges that are wrong all in the same way, such as a particle that looks alike after a turn.",
    )
    yield picture(
        charts.histogram(charts.thinned(data.sync.inlier), x_label="probability to be right (no unit)", y_label="edges",
                         low=0, high=1, width=charts.WIDTH),
        "How likely edges are right",
        f"In all {text_number(data.likely)} of {len(data.edges):,} edges are likely right.",
        "most edges near 0 or near 1. What lies between cannot be told apart by the angle alone.",
    )  # fmt: skip


def _nodes(data: SyncReportData) -> Iterator[str]:
    joined = ~data.sync.isolated
    if not joined.any():
        return
    sure = data.sync.confidence[joined]
    middle = median(sure)
    yield picture(
        charts.histogram(sure, x_label="confidence (no unit)", y_label=data.things, low=0, high=1, width=charts.WIDTH,
                         marks=[(middle, f"median {text_number(middle)}")]),
        "Confidence of angles",
        f"Median {text_number(middle)}; below 0.5: {int(np.sum(sure < 0.5)):,} of {len(sure):,}.",
        "most near 1. Low ones have few edges, or edges that contradict each other: another view, or junk.",
    )  # fmt: skip
    largest = joined & (data.sync.component == 1)
    yield picture(
        charts.angle_rose(data.sync.psi_deg[largest], things=data.things),
        "Angles of the largest component",
        f"{int(largest.sum()):,} {data.things}.",
        "even for particles on a support that favours no in-plane angle. Only differences mean anything, unless the "
        "frame was fixed by --anchor or by the input.",
    )
    if data.shifts is not None and data.pixel_size_angstrom is not None:
        shift = data.shifts.origin_px[joined] * data.pixel_size_angstrom
        length = median(np.hypot(*shift.T))
        yield picture(
            charts.shift_map(shift, None, things=data.things),
            "Shifts",
            f"Median length {text_number(length)} Å.",
            "a cloud around the middle. The middle itself is a convention: in each component the shifts are centred.",
        )


def _eigenvalues(data: SyncReportData) -> Iterator[str]:
    known = {k: np.asarray(v) for k, v in data.sync.eigenvalues.items() if len(v)}
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
    parts = data.sizes
    several = int((parts > 1).sum())
    component = data.sync.component
    of_edge = component[data.edges.i]
    edges = np.bincount(of_edge, minlength=len(parts) + 1)
    likely = np.bincount(of_edge, data.sync.inlier, minlength=len(parts) + 1)
    rows = []
    for number in range(1, min(several, MAX_COMPONENTS) + 1):
        used = data.sync.algorithm_used[number - 1] if number <= len(data.sync.algorithm_used) else ""
        rows.append((
            str(number), f"{parts[number - 1]:,}", f"{edges[number]:,}", text_percent(likely[number], edges[number]),
            text_number(median(data.sync.confidence[component == number])), used,
        ))  # fmt: skip
    words = [_how(data)]
    if several > MAX_COMPONENTS:
        words.append(f"The {MAX_COMPONENTS} largest of {several:,} components are listed; angles.star has all.")
    alone = int(np.sum(data.sync.isolated))
    if alone:
        words.append(f"{alone:,} {data.counted(alone)} without edges: each a component of its own, without an angle.")
    header = ("Component", data.things.capitalize(), "Edges", "Likely right", "Median confidence", "Solved by")
    content = "".join(f'<p class="section-note">{escape(text)}</p>' for text in words)
    return content + table(header, rows, numeric=(0, 1, 2, 3, 4))


def _how(data: SyncReportData) -> str:
    """Say what was asked for, what gave the angles, and what a fallback means."""
    counts = Counter(data.sync.algorithm_used)
    listed = "; ".join(f"{word}: {count:,} {plural(count, 'component')}" for word, count in counts.items())
    text = f"Asked for: {data.algorithm}. Angles of different components cannot be compared. Solved by {listed}."
    if any("fallback" in word for word in counts):
        text += (
            " A fallback is taken where the method that was asked for explains held-out edges no better than the "
            "simpler one."
        )
    return text
