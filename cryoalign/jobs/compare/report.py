"""What `compare` tells its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cryoalign.jobs.compare.drawing import pair_drawing
from cryoalign.jobs.compare.given import HOLDS, VERDICTS
from cryoalign.jobs.compare.images import CORRECTED
from cryoalign.jobs.compare.parameters import CompareParameters
from cryoalign.jobs.compare.result import CompareResult
from cryoalign.jobs.compare.search import PairSearch
from cryoalign.report.compare_data import CompareReportData, MetricSummary
from cryoalign.report.compare_page import build_compare_page
from cryoalign.report.run_facts import RunFacts, given_options
from cryoalign.runs.rundir import RunDirectory


def write_report(
    p: CompareParameters,
    result: CompareResult,
    searches: Mapping[str, PairSearch],
    run: RunDirectory,
    counts: Mapping[str, Any],
    files: Mapping[str, str],
    ctf: Mapping[str, str],
) -> None:
    """Write report.html; ``ctf`` says what was done about it in A and in B."""
    largest = result.agreeing.max(axis=0)
    with_most = ((result.agreeing == largest) & (largest > 1)).sum(axis=1)
    summaries = [
        MetricSummary(
            measure=searches[name].measure,
            median_value=float(np.median(result.found[name].value)),
            median_correlation=float(np.median(result.correlation[row])),
            with_most=int(with_most[row]),
            verdicts=_verdicts(result, name),
        )
        for row, name in enumerate(result.metrics)
    ]
    corrected = (ctf["A"] == CORRECTED, ctf["B"] == CORRECTED)
    drawn = drawn_pairs(result, p.pictures)
    drawings = [pair_drawing(result, searches, pair, corrected) for pair in drawn]
    facts = RunFacts.of(
        run, "Images compared", parameters=_parameters_as_words(p, result, ctf),
        counts={_in_words(name): value for name, value in counts.items()}, files=files, notes=_NOTES,
    )  # fmt: skip
    data = CompareReportData(
        paired=result.pairs.words, pairs=len(result.pairs), all_agree=counts["pairs_where_all_agree"],
        summaries=summaries, drawings=drawings, mask_radius_px=result.setting.mask_radius_px,
        pixel_size_angstrom=result.setting.pixel_size_angstrom,
    )  # fmt: skip
    run.write("report.html", build_compare_page(facts, data))


def drawn_pairs(result: CompareResult, count: int) -> list[int]:
    """Return the pairs that are drawn: the first, or those whose given pose the fewest measures call the best."""
    votes = np.zeros(len(result.pairs), np.int64)
    for judged in result.judged.values():
        votes += judged.verdict == HOLDS
    return np.argsort(votes, kind="stable")[:count].tolist()


def _verdicts(result: CompareResult, metric: str) -> dict[str, int]:
    """Count what a measure says of the given poses; empty where that was not asked."""
    if metric not in result.judged:
        return {}
    said = result.judged[metric].verdict
    return {verdict: int(np.count_nonzero(said == verdict)) for verdict in VERDICTS}


def _parameters_as_words(p: CompareParameters, result: CompareResult, ctf: Mapping[str, str]) -> dict[str, str]:
    """Say the parameters as a user would type them, with what was decided from the data."""
    setting, limits = result.setting, result.setting.limits
    pixel = setting.pixel_size_angstrom
    words = {
        "A": p.a,
        "B": p.b,
        "pairs": result.pairs.words,
        "--metric": ", ".join(result.metrics),
        "--mask-diameter": f"{2 * setting.mask_radius_px * pixel:g}",
        "--max-shift-px": f"{limits.max_shift_px:g}",
        "--mirror": "yes" if limits.mirror else "no",
        "--scale": f"yes, by {p.scale_limit:g} either way round {setting.scale_centre:g}" if p.scale else "no",
        "CTF": "; ".join(f"{name}: {words}" for name, words in ctf.items()),
        "noise": "measured outside the mask" if p.noise else "not measured",
        "--normalize": "yes" if p.normalize else "no",
        "pixel size": f"{pixel:g} A",
        "--check-poses": "yes" if p.check_poses else "no",
    }
    return words | given_options(p, "apply_mag_matrix", "invert")


def _in_words(count: str) -> str:
    """Return the words for the name of a count."""
    if count.startswith("given_best_"):
        return f"given poses that are best under {count.removeprefix('given_best_').replace('_', '-')}"
    return _WORDS[count]


_WORDS = {
    "images_a": "images in A",
    "images_b": "images in B",
    "pairs": "pairs",
    "metrics": "measures",
    "pairs_where_all_agree": "pairs where all measures agree",
    "snr_a": "estimated SNR of A",
    "snr_b": "estimated SNR of B",
}
_NOTES = (
    "Poses bring B onto A: magnified about the centre pixel, then mirrored, shifted by (dx, dy), turned by psi.",
    "Curves show the measure at every angle with the shift, mirror and scale of the best pose held fixed.",
    "For overlay, difference and histogram both images are brought to mean 0 and standard deviation 1 inside the mask "
    "(dashed circle).",
    "Values of different measures have different units and cannot be compared with each other.",
)
