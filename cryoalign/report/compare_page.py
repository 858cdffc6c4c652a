"""The page of `compare`: do the measures agree, and for each pair drawn what each measure sees."""

from __future__ import annotations

from collections.abc import Iterator

from cryoalign.metrics.alike import ALIKE, ALIKE_DEG, ALIKE_PX
from cryoalign.report.compare_data import CompareReportData
from cryoalign.report.compare_pair import OPPOSITE, pair_section
from cryoalign.report.html import escape, table
from cryoalign.report.numbers import plural, text_number, text_percent, value_words
from cryoalign.report.run_facts import RunFacts, whole_page

_READ_VERDICTS = (
    f"best: the nearest optimum is within {ALIKE_DEG:g}° and {ALIKE_PX:g} px, and no better pose was found. second "
    "best: it is as near, but another pose is better. no optimum: the nearest one is farther off; nothing holds the "
    "image here."
)


def build_compare_page(run: RunFacts, data: CompareReportData) -> str:
    """Return report.html as text."""
    drawn = [
        (f"pair-{number}", f"Pair {number}", pair_section(data, drawing))
        for number, drawing in enumerate(data.drawings, 1)
    ]
    return whole_page(
        run,
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        sections=(("measures", "Do the measures agree?", _measures(data)), *drawn),
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
        yield "Agree", f"{together} of {len(data.summaries)}", f"measures, {ALIKE}"
    elif len(data.summaries) > 1:
        yield "All agree", text_percent(data.all_agree, data.pairs), f"of the pairs: {ALIKE}"
    judged = [s for s in data.summaries if s.verdicts]
    if judged:
        first = next(iter(judged[0].verdicts))
        said = max(judged, key=lambda s: s.verdicts[first])
        yield "Given poses", text_percent(said.verdicts[first], data.pairs), f"{first} under {said.metric}"
    best = max(data.summaries, key=lambda s: abs(s.median_correlation))
    contrast = ": contrasts are opposite" if best.median_correlation < OPPOSITE else ""
    yield "Strongest correlation", text_number(best.median_correlation), f"median, poses of {best.metric}{contrast}"


def _measures(data: CompareReportData) -> str:
    rows = [
        (
            s.metric, s.measure.words, "lower" if s.measure.lower_is_better else "higher", value_words(s.median_value),
            text_number(s.median_correlation), text_percent(s.with_most, data.pairs), s.measure.warning or "",
        )
        for s in data.summaries
    ]  # fmt: skip
    value = "Value" if data.pairs == 1 else "Median"
    header = ("Measure", "What it is", "Better is", value, "Correlation", "With the most", "Where it loses")
    notes = (
        "Correlation: of the two images inside the mask at the poses of this measure, a yardstick for all; it says "
        "nothing where contrasts differ. With the most: pairs where the measure is one of the largest group that finds "
        f"the same registration, {ALIKE}. Most votes are not a proof: look at the overlays."
    )
    content = table(header, rows, numeric=(3, 4, 5)) + f'<p class="section-note aid">{escape(notes)}</p>'
    content += _verdicts(data)
    if len(data.drawings) < data.pairs:
        which = "those whose given pose the fewest measures call best" if data.summaries[0].verdicts else "the first"
        left = f"Drawn: {which}, {len(data.drawings)} of {data.pairs:,} pairs; compare.star has all."
        content += f'<p class="section-note">{escape(left)}</p>'
    return content


def _verdicts(data: CompareReportData) -> str:
    """Return how often each measure says what of given poses; nothing where that was not asked."""
    judged = [s for s in data.summaries if s.verdicts]
    if not judged:
        return ""
    header = ("Given poses under", *judged[0].verdicts)
    rows = [(s.metric, *(f"{count:,}" for count in s.verdicts.values())) for s in judged]
    numbers = table(header, rows, numeric=range(1, len(header)))
    return f'{numbers}<p class="section-note aid">{escape(_READ_VERDICTS)}</p>'
