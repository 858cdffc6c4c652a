"""The guard against model bias, in words and pictures: z, the share A, and each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryoalign.report.axes import finish_axes, legend_below
from cryoalign.report.charts import WIDTH, histogram
from cryoalign.report.figures import BLUE, INK, MUTED, VERMILLION, new_axes, new_figure, style, svg_uri
from cryoalign.report.html import escape, facts, picture, table
from cryoalign.report.numbers import finite, plural, text_number, text_percent
from cryoalign.report.quality_data import ClassGuard, GuardSummary

MAX_ROWS = 20
_MINUS = "\N{MINUS SIGN}"


def guard_section(guard: GuardSummary | None) -> str:
    """Return the section on the guard; empty where it did not run."""
    if guard is None:
        return ""
    kind = "fine" if guard.verdict == "signal" else "warnings"
    entries = [
        ("Verdict", guard.verdict, f"z is {'at least' if guard.z >= guard.threshold else 'below'} {guard.threshold:g}"
         if np.isfinite(guard.z) else "no z"),
        ("z", z_text(guard.z), "standard errors above 0" + _expected(guard)),
        ("Share A", share_text(guard.share), _share_words(guard)),
        ("Particles looked at", f"{guard.n:,}", "against averages of the other half" if guard.cross_fitted
         else "against given references" + (", contrast inverted" if guard.inverted else "")),
        ("Aligned on", f"≥ {text_number(guard.aligned_to_angstrom, 2)} Å", "coarse detail only"),
        ("Judged on", f"{text_number(guard.judged_from_angstrom, 2)}–{text_number(guard.judged_to_angstrom, 2)} Å",
         "finer detail, held out"),
    ]  # fmt: skip
    pictures = "".join(filter(None, (_distribution(guard), _by_class(guard))))
    return (
        f'<p class="{kind} verdict">{escape(verdict_words(guard))}</p>{facts(entries)}'
        + (f'<div class="charts">{pictures}</div>' if pictures else "")
        + _class_table(guard.classes)
    )


def verdict_words(guard: GuardSummary) -> str:
    """Say the verdict in a sentence or two."""
    band = f"between {text_number(guard.judged_from_angstrom)} and {text_number(guard.judged_to_angstrom)} Å"
    if guard.verdict == "signal":
        return (
            f"Signal: aligned on coarse detail alone, the particles show the reference's finer detail {band}, which "
            f"the alignment never saw (z = {z_text(guard.z)}). The likeness is not made by the reference."
        )
    if guard.verdict == "no signal":
        return (
            f"No signal: {band}, held out of the alignment, the particles show nothing of the reference "
            f"(z = {z_text(guard.z)}, wanted {guard.threshold:g}). The averages may be noise in the shape of the "
            "reference: do not trust them without other evidence."
        )
    return (
        f"Cannot tell: {band} there is too little detail in the reference, or there are too few particles, to decide. "
        "This is no evidence for the averages, nor against them."
    )


def z_text(z: float) -> str:
    """Write z with one decimal."""
    return _fixed(z, 1)


def share_text(share: float) -> str:
    """Write a share with two decimals."""
    return _fixed(share, 2)


def _fixed(value: float, decimals: int) -> str:
    """Write a number with so many decimals; what rounds to zero has no sign."""
    if not np.isfinite(value):
        return "none"
    return f"{round(float(value), decimals) + 0.0:,.{decimals}f}".replace("-", _MINUS)


def number_text(value: float, digits: int = 3) -> str:
    """Write a number with a proper minus sign."""
    return text_number(value, digits).replace("-", _MINUS)


def _expected(guard: GuardSummary) -> str:
    if guard.expected_z is None or not np.isfinite(guard.expected_z):
        return ""
    return f"; {z_text(guard.expected_z)} expected of real particles"


def _share_words(guard: GuardSummary) -> str:
    words = "1 = all particles real, 0 = none"
    if guard.intensity is not None and np.isfinite(guard.intensity):
        words = f"{share_text(guard.intensity)} = all particles real, 0 = none"
    if guard.share_error is not None and np.isfinite(guard.share_error):
        words = f"± {number_text(guard.share_error, 1)}; {words}"
    return words


def _distribution(guard: GuardSummary) -> str:
    u = finite(guard.u) if guard.u is not None else np.zeros(0)
    if len(u) < 2:
        return ""
    unit = guard.share / float(u.mean()) if u.mean() else 0.0
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


def _by_class(guard: GuardSummary) -> str:
    classes = [c for c in guard.classes if np.isfinite(c.z)]
    if len(classes) < 2:
        return ""
    low = sum(c.verdict == "no signal" for c in guard.classes)
    open_ = sum(c.verdict == "cannot tell" for c in guard.classes)
    return picture(
        z_chart(classes, guard.threshold),
        "z of each class",
        f"{low:,} of {len(guard.classes):,} {plural(len(guard.classes), 'class')} without signal, {open_:,} undecided.",
        f"points above the dashed line at {guard.threshold:g} carry signal. Small classes lie lower, as z grows with "
        "the square root of the particles; a large class below the line has a wrong reference or no particles in it. "
        "Beyond 10 the axis is logarithmic.",
    )


def z_chart(classes: Sequence[ClassGuard], threshold: float) -> str:
    """Draw z of each class against its size, with the threshold."""
    with style():
        figure = new_figure(WIDTH, 320)
        axes = new_axes(figure, left=66, bottom=74, right=16, top=14)
        for verdict, colour, marker in (
            ("signal", BLUE, "o"), ("no signal", VERMILLION, "X"), ("cannot tell", MUTED, "s"),
        ):  # fmt: skip
            chosen = [c for c in classes if c.verdict == verdict]
            if chosen:
                axes.scatter([c.number for c in chosen], [c.z for c in chosen], s=30, color=colour, marker=marker,
                             linewidths=0, alpha=0.85, label=verdict)  # fmt: skip
        axes.set_yscale("symlog", linthresh=10, linscale=1.6)
        axes.axhline(threshold, color=INK, linewidth=1.1, linestyle=(0, (4, 2.5)), label=f"z = {threshold:g}")
        axes.axhline(0, color=MUTED, linewidth=0.7)
        z = np.array([c.z for c in classes])
        low, high = min(-3.0, 1.3 * float(z.min())), max(8.0, 1.3 * float(z.max()))
        axes.set_ylim(low, high)
        ticks = [t for t in (-1000, -100, -10, -5, 0, 5, 10, 30, 100, 300, 1000, 3000) if low <= t <= high]
        axes.set_yticks(ticks, [f"{t:,}".replace("-", _MINUS) for t in ticks], minor=False)
        axes.set_yticks([], minor=True)
        numbers = [c.number for c in classes]
        axes.set_xlim(min(numbers) - 0.6, max(numbers) + 0.6)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        finish_axes(axes, "class number", "z (standard errors)")
        legend_below(axes)
        return svg_uri(figure)


def _class_table(classes: Sequence[ClassGuard]) -> str:
    if not classes:
        return ""
    rank = {"no signal": 0, "cannot tell": 1, "signal": 2}
    worst = sorted(classes, key=lambda c: (rank[c.verdict], c.z if np.isfinite(c.z) else -np.inf, c.number))
    rows = [(str(c.number), f"{c.n:,}", z_text(c.z), share_text(c.share), c.verdict) for c in worst[:MAX_ROWS]]
    total = sum(c.n for c in classes)
    weak = [c for c in classes if c.verdict != "signal"]
    lead = f"Worst first{f', {MAX_ROWS} of {len(classes):,} classes' if len(classes) > MAX_ROWS else ''}."
    if weak and total:
        share = text_percent(sum(c.n for c in weak), total)
        lead += f" Classes without a clear signal hold {share} of the particles looked at."
    header = ("Class", "Particles", "z", "Share A", "Verdict")
    return f"<h3>Classes</h3><p>{escape(lead)}</p>" + table(header, rows, numeric=(0, 1, 2, 3))
