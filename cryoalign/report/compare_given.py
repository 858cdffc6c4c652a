"""The part of `compare`'s page on poses that images came with: are they optima, and the best ones?"""

from __future__ import annotations

from collections.abc import Iterator

from cryoalign.report.compare_data import CompareReportData, PairDrawing
from cryoalign.report.compare_words import pose_words, two, value_words
from cryoalign.report.html import escape, table
from cryoalign.report.numbers import text_percent

_VERDICTS = (
    "best: the nearest optimum is within 5° and 2 px, and no better pose was found. second best: it is within 5° and "
    "2 px, but another pose is better. no optimum: the nearest one is farther off; nothing holds the image here."
)


def given_fact(data: CompareReportData) -> Iterator[tuple[str, str, str]]:
    """Yield a box with how many given poses are the best ones; none where that was not asked."""
    judged = [s for s in data.summaries if s.verdicts]
    if judged:
        first = next(iter(judged[0].verdicts))
        said = max(judged, key=lambda s: s.verdicts[first])
        yield "Given poses", text_percent(said.verdicts[first], data.pairs), f"{first} under {said.metric}"


def verdicts_table(data: CompareReportData) -> str:
    """Return how often each measure says what of given poses; nothing where that was not asked."""
    judged = [s for s in data.summaries if s.verdicts]
    if not judged:
        return ""
    header = ("Given poses under", *judged[0].verdicts)
    rows = [(s.metric, *(f"{count:,}" for count in s.verdicts.values())) for s in judged]
    numbers = table(header, rows, numeric=range(1, len(header)))
    return f'{numbers}<p class="section-note aid">{escape(_VERDICTS)}</p>'


def given_table(drawing: PairDrawing) -> str:
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
    return (
        f"<br><h3>The given pose: {escape(pose_words(drawing.given))}</h3>{table(header, rows, numeric=(1, 2, 3, 4))}"
    )
