"""The table of a comparison: a row for each pair and measure, as STAR, CSV and on the terminal."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses
from cryoalign.io.columns import text_column
from cryoalign.io.star import write_star_loop
from cryoalign.io.writing import naming
from cryoalign.jobs.compare.given import VERDICTS
from cryoalign.jobs.compare.result import CompareResult
from cryoalign.runs.rundir import RunDirectory

_AT_ONCE = 1 << 14
_SHOWN_ROWS = 60

CSV_NAMES = {
    "cryoalignReferenceName": "reference", "rlnImageName": "image", "cryoalignMetric": "metric",
    "cryoalignValue": "value", "cryoalignMargin": "margin", "cryoalignRank": "rank", "rlnAnglePsi": "psi_deg",
    "cryoalignShiftX": "shift_x_px", "cryoalignShiftY": "shift_y_px", "rlnOriginXAngst": "origin_x_angstrom",
    "rlnOriginYAngst": "origin_y_angstrom", "rlnIsFlip": "mirror", "cryoalignScale": "scale",
    "cryoalignCorrelation": "correlation", "cryoalignAgreeing": "agreeing",
    "cryoalignGivenValue": "given_value", "cryoalignNearestValue": "nearest_value",
    "cryoalignNearestAngle": "nearest_angle_deg", "cryoalignNearestShift": "nearest_shift_px",
    "cryoalignGivenVerdict": "given_verdict",
}  # fmt: skip


def write_tables(run: RunDirectory, result: CompareResult, export: tuple[str, ...]) -> dict[str, str]:
    """Write compare.star, and compare.csv where it is asked for."""
    write_star_loop(run.staged("compare.star"), "compare", _pieces(result))
    files = {"compare.star": "a row for each pair and measure: value, pose, scale, rank"}
    if "csv" in export:
        path = run.staged("compare.csv")
        with naming(path), path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as handle:
            lines = csv.writer(handle, lineterminator="\n")
            for number, piece in enumerate(_pieces(result)):
                if number == 0:
                    lines.writerow(CSV_NAMES[label] for label in piece)
                lines.writerows(zip(*piece.values(), strict=True))
        files["compare.csv"] = "the same as text"
    return files


def json_rows(result: CompareResult) -> list[dict[str, object]]:
    """Return the rows of the table as JSON has them: names as in CSV, numbers as numbers."""
    columns = _columns(result, np.arange(len(result.pairs)))
    cells = [values.tolist() for values in columns.values()]
    return [dict(zip((CSV_NAMES[label] for label in columns), row, strict=True)) for row in zip(*cells, strict=True)]


def _pieces(result: CompareResult) -> Iterator[dict[str, list[str]]]:
    for first in range(0, len(result.pairs), _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, len(result.pairs)))
        yield {label: text_column(label, values) for label, values in _columns(result, rows).items()}


def _columns(result: CompareResult, rows: NDArray[np.int64]) -> dict[str, NDArray]:
    """Return the columns of some pairs: pair by pair, the measures in their order."""
    found, count = [result.found[m] for m in result.metrics], len(result.metrics)

    def column(values: list[NDArray]) -> NDArray:
        return np.stack([v[rows] for v in values], axis=1).ravel()

    dx, dy = column([f.poses.dx for f in found]), column([f.poses.dy for f in found])
    pixel = result.setting.pixel_size_angstrom
    names = {"a": np.array(result.a.names, object), "b": np.array(result.b.names, object)}
    columns = {
        "cryoalignReferenceName": np.repeat(names["a"][result.pairs.a[rows]], count),
        "rlnImageName": np.repeat(names["b"][result.pairs.b[rows]], count),
        "cryoalignMetric": np.tile(np.array(result.metrics, object), len(rows)),
        "cryoalignValue": column([f.value for f in found]),
        "cryoalignMargin": column([f.margin for f in found]),
        "cryoalignRank": column(list(result.rank)),
        "rlnAnglePsi": column([f.poses.psi for f in found]),
        "cryoalignShiftX": dx,
        "cryoalignShiftY": dy,
        "rlnOriginXAngst": dx * pixel,
        "rlnOriginYAngst": dy * pixel,
        "rlnIsFlip": column([f.poses.mirror for f in found]),
        "cryoalignScale": column([f.scale for f in found]),
        "cryoalignCorrelation": column(list(result.correlation)),
        "cryoalignAgreeing": column(list(result.agreeing)),
    }
    if result.judged:
        judged = [result.judged[m] for m in result.metrics]
        columns |= {
            "cryoalignGivenValue": column([j.value for j in judged]),
            "cryoalignNearestValue": column([j.optimum for j in judged]),
            "cryoalignNearestAngle": column([j.away_deg for j in judged]),
            "cryoalignNearestShift": column([j.away_px for j in judged]),
            "cryoalignGivenVerdict": column([j.verdict for j in judged]),
        }
    return columns


def table_lines(result: CompareResult) -> list[str]:
    """Return the table for the terminal: a heading for each pair, a line for each measure; the first of them."""
    count = len(result.metrics)
    pairs = min(len(result.pairs), max(1, _SHOWN_ROWS // count))
    lines = []
    for pair in range(pairs):
        row_a, row_b = int(result.pairs.a[pair]), int(result.pairs.b[pair])
        lines.append(f"{result.b.names[row_b]} onto {result.a.names[row_a]}")
        lines.append(
            f"  {'metric':<20}{'value':>11}{'margin':>11}{'rank':>6}{'psi':>9}{'dx':>8}{'dy':>8}{'mirror':>8}"
            f"{'scale':>8}{'ncc':>8}{'agree':>7}"
        )
        for m, metric in enumerate(result.metrics):
            found = result.found[metric]
            pose = found.poses
            psi, dx, dy = _shown(pose, pair)
            lines.append(
                f"  {metric:<20}{found.value[pair]:>11.5g}{found.margin[pair]:>11.3g}{result.rank[m, pair]:>6}"
                f"{psi:>9.2f}{dx:>8.2f}{dy:>8.2f}"
                f"{'yes' if pose.mirror[pair] else 'no':>8}{found.scale[pair]:>8.4f}{result.correlation[m, pair]:>8.3f}"
                f"{f'{agree}/{count}' if (agree := result.agreeing[m, pair]) else 'none':>7}"
            )
        lines += _judged_lines(result, pair)
    if pairs < len(result.pairs):
        lines.append(f"... {len(result.pairs) - pairs} more pairs in compare.star")
    return lines


def _shown(poses: Poses, row: int) -> tuple[float, float, float]:
    """Return psi, dx and dy to two decimals; what rounds to zero has no sign."""
    psi, dx, dy = (round(float(v[row]), 2) + 0.0 for v in (poses.psi, poses.dx, poses.dy))
    return psi, dx, dy


def _judged_lines(result: CompareResult, pair: int) -> list[str]:
    """Return what the measures say of the given pose of a pair; nothing where that was not asked."""
    if not result.judged:
        return []
    pose = result.given_pose(pair)
    psi, dx, dy = _shown(pose, 0)
    lines = [
        f"  as given: psi {psi:.2f}, shift ({dx:.2f}, {dy:.2f}) px{', mirrored' if pose.mirror[0] else ''}",
        f"  {'metric':<20}{'value there':>14}{'nearest optimum':>18}{'turned by':>12}{'shifted by':>12}  verdict",
    ]
    for metric in result.metrics:
        j = result.judged[metric]
        lines.append(
            f"  {metric:<20}{j.value[pair]:>14.5g}{j.optimum[pair]:>18.5g}{j.away_deg[pair]:>12.2f}"
            f"{j.away_px[pair]:>12.2f}  {j.verdict[pair]}"
        )
    return lines


def verdict_lines(result: CompareResult) -> list[str]:
    """Count the verdicts on given poses, a line for each measure."""
    lines = []
    for metric, judged in result.judged.items():
        counts = [f"{verdict} {np.count_nonzero(judged.verdict == verdict)}" for verdict in VERDICTS]
        lines.append(f"given poses under {metric}: {', '.join(counts)} of {len(result.pairs)}")
    return lines
