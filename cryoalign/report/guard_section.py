"""The guard against model bias, in words and pictures: z, the share A, and each class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cryoalign.averaging.guard import LEAST_Z, GuardVerdict
from cryoalign.averaging.verdict import Verdict
from cryoalign.report.axes import finish_axes, legend_below, ticks
from cryoalign.report.charts import WIDTH, histogram
from cryoalign.report.figures import BLUE, INK, MUTED, VERMILLION, new_axes, new_figure, style, svg_uri
from cryoalign.report.html import abreast, escape, facts, picture, table
from cryoalign.report.numbers import MINUS, finite, number_text, plural, share_text, text_number, text_percent, z_text

MAX_ROWS = 20


def guard_section(guard: Verdict) -> str:
    """Return the section on the guard, as HTML."""
    found = guard.overall
    kind = "fine" if found.verdict == "signal" else "warnings"
    entries = [
        ("Verdict", found.verdict, f"z is {'at least' if found.z >= LEAST_Z else 'below'} {LEAST_Z:g}"),
        ("z", z_text(found.z), f"standard errors above 0; {z_text(found.expected_z)} expected of real particles"),
        ("Share A", share_text(found.share), f"± {number_text(found.share_error, 1)}; {share_text(found.intensity)} = "
         "all particles real, 0 = none"),
        ("Particles looked at", f"{found.n:,}", f"against {guard.against}"),
        ("Aligned on", f"≥ {text_number(guard.aligned_to_angstrom, 2)} Å", "coarse detail only"),
        ("Judged on", f"{text_number(guard.judged_from_angstrom, 2)}–{text_number(guard.judged_to_angstrom, 2)} Å",
         "finer detail, held out"),
    ]  # fmt: skip
    return (
        f'<p class="{kind} verdict">{escape(verdict_words(guard))}</p>{facts(entries)}'
        + abreast(_distribution(guard), _by_class(guard.classes))
        + _class_table(guard.classes)
    )


def verdict_words(guard: Verdict) -> str:
    """Say the verdict in a sentence or two."""
    band = f"between {text_number(guard.judged_from_angstrom)} and {text_number(guard.judged_to_angstrom)} Å"
    z = z_text(guard.overall.z)
    if guard.overall.verdict == "signal":
        return (
            f"Signal: aligned on coarse detail alone, the particles show the reference's finer detail {band}, which "
            f"the alignment never saw (z = {z}). The likeness is not made by the reference."
        )
    if guard.overall.verdict == "no signal":
        return (
            f"No signal: {band}, held out of the alignment, the particles show nothing of the reference "
            f"(z = {z}, wanted {LEAST_Z:g}). The averages may be noise in the shape of the "
            "reference: do not trust them without other evidence."
        )
    return (
        f"Cannot tell: {band} there is too little detail in the reference, or there are too few particles, to decide. "
        "This is no evidence for the averages, nor against them."
    )


def _distribution(guard: Verdict) -> str:
    u = finite(guard.u)
    if len(u) < 2:
        return ""
    unit = guard.overall.share / float(u.mean()) if u.mean() else 0.0
    label = "product with the reference (no unit, 0 = none)"
    if np.isfinite(unit) and unit > 0:
        u = u * unit
        label = "reference's held-out detail found in a particle\n(1 = all of it, 0 = none)"
    mean, error = float(u.mean()), float(u.std(ddof=1) / np.sqrt(len(u)))
    return picture(
        histogram(
            u,
            x_label=label,
            marks=[(mean, f"mean {number_text(mean, 2)}"), (0.0, "0: noise")],
            width=WIDTH,
        ),
        "Held-out detail, particle by particle",
        f"Mean {number_text(mean, 2)} with a standard error of {text_number(error, 2)}, {len(u):,} particles.",
        "single particles are too noisy to tell, so the hump is wide; its mean tells. A mean well right of 0: signal. "
        "A mean at 0 within its error: noise, or a wrong reference.",
    )


def _by_class(classes: Mapping[int, GuardVerdict]) -> str:
    if len(classes) < 2:
        return ""
    said = [one.verdict for one in classes.values()]
    low, open_ = said.count("no signal"), said.count("cannot tell")
    return picture(
        z_chart(classes),
        "z of each class",
        f"{low:,} of {len(classes):,} {plural(len(classes), 'class')} without signal, {open_:,} undecided.",
        f"points above the dashed line at {LEAST_Z:g} carry signal. Small classes lie lower, as z grows with "
        "the square root of the particles; a large class below the line has a wrong reference or no particles in it. "
        "Beyond 10 the axis is logarithmic.",
    )


def z_chart(classes: Mapping[int, GuardVerdict]) -> str:
    """Draw z of each class by its number, with the threshold."""
    with style():
        figure = new_figure(WIDTH, 320)
        axes = new_axes(figure, left=66, bottom=74, right=16, top=14)
        for verdict, colour, marker in (
            ("signal", BLUE, "o"), ("no signal", VERMILLION, "X"), ("cannot tell", MUTED, "s"),
        ):  # fmt: skip
            chosen = {number: one.z for number, one in classes.items() if one.verdict == verdict}
            if chosen:
                axes.scatter([*chosen], [*chosen.values()], s=30, color=colour, marker=marker, linewidths=0, alpha=0.85,
                             label=verdict)  # fmt: skip
        axes.set_yscale("symlog", linthresh=10, linscale=1.6)
        axes.axhline(LEAST_Z, color=INK, linewidth=1.1, linestyle=(0, (4, 2.5)), label=f"z = {LEAST_Z:g}")
        axes.axhline(0, color=MUTED, linewidth=0.7)
        z = np.array([one.z for one in classes.values()])
        low, high = min(-3.0, 1.3 * float(z.min())), max(8.0, 1.3 * float(z.max()))
        axes.set_ylim(low, high)
        at = [t for t in (-1000, -100, -10, -5, 0, 5, 10, 30, 100, 300, 1000, 3000) if low <= t <= high]
        axes.set_yticks(at, [f"{t:,}".replace("-", MINUS) for t in at], minor=False)
        axes.set_yticks([], minor=True)
        axes.set_xlim(min(classes) - 0.6, max(classes) + 0.6)
        ticks(axes.xaxis, integer=True, min_n_ticks=1)
        finish_axes(axes, "class number", "z (standard errors)")
        legend_below(axes)
        return svg_uri(figure)


def _class_table(classes: Mapping[int, GuardVerdict]) -> str:
    if not classes:
        return ""
    rank = {"no signal": 0, "cannot tell": 1, "signal": 2}
    worst = sorted(classes.items(), key=lambda item: (rank[item[1].verdict], item[1].z, item[0]))
    rows = [(str(number), f"{c.n:,}", z_text(c.z), share_text(c.share), c.verdict) for number, c in worst[:MAX_ROWS]]
    total = sum(c.n for c in classes.values())
    weak = sum(c.n for c in classes.values() if c.verdict != "signal")
    lead = f"Worst first{f', {MAX_ROWS} of {len(classes):,} classes' if len(classes) > MAX_ROWS else ''}."
    if weak:
        lead += f" Classes without a clear signal hold {text_percent(weak, total)} of the particles looked at."
    header = ("Class", "Particles", "z", "Share A", "Verdict")
    return f"<h3>Classes</h3><p>{escape(lead)}</p>" + table(header, rows, numeric=(0, 1, 2, 3))
