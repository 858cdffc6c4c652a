"""``compare`` from start to finish: read, bring together, search under every measure, write, draw, say, commit."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from cryoalign.jobs.compare.geometry import (
    Pairs,
    Setting,
    brought_together,
    choose_pairs,
    pairs_by_class,
    setting_of,
)
from cryoalign.jobs.compare.given import HOLDS, Judged, judge
from cryoalign.jobs.compare.images import ImageSet, phases_flipped, read_image_set
from cryoalign.jobs.compare.outputs import json_rows, table_lines, verdict_lines, write_tables
from cryoalign.jobs.compare.parameters import CompareParameters
from cryoalign.jobs.compare.report import write_report
from cryoalign.jobs.compare.result import CompareResult, result_of
from cryoalign.jobs.compare.scales import ScaleGrid, scale_grid
from cryoalign.jobs.compare.search import Found, PairSearch, known_of
from cryoalign.metrics.names import measure
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.results import tell_results
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.runlog import progress


def run_compare(p: CompareParameters, argv: Sequence[str], verbosity: int) -> int:
    """Compare two images or stacks and write a run directory."""
    with RunDirectory.begin_with(p, argv, verbosity) as run:
        with run.stage("read"):
            measures = {name: measure(name) for name in p.metrics}
            a, b = (
                read_image_set(
                    text,
                    datadir=p.datadir,
                    angpix=p.angpix,
                    apply_mag_matrix=p.apply_mag_matrix,
                    normalize=p.normalize,
                    mask_diameter=p.mask_diameter,
                    with_poses=p.check_poses,
                )
                for text in (p.a, p.b)
            )
            for text in dict.fromkeys((*a.warnings, *b.warnings)):
                run.warn(text)
            by_class = p.by_class
            pairs = pairs_by_class(a, b) if by_class else choose_pairs(len(a), len(b), all_pairs=p.all_pairs)
            ctf = {"A": "as it is", "B": "as it is"}
            if p.ctf:
                (a, ctf["A"]), (b, ctf["B"]) = phases_flipped(a), phases_flipped(b)
            a, b, said = brought_together(p, a, b)
            for text in said:
                run.warn(text)
            setting = setting_of(p, a, b)
        grid = scale_grid(setting, p.scale_limit) if p.scale else None
        _say(pairs, setting, grid.scales if grid else None, ctf, run)
        with run.stage("noise"):
            known_a, known_b = (known_of(s.pixels, setting.mask_radius_px, noise=p.noise) for s in (a, b))
            snr = {name: np.inf if k.snr is None else k.snr for name, k in (("A", known_a), ("B", known_b))}
        _say_noise(p, snr, run)
        searches = {
            name: PairSearch(m, a.pixels, b.pixels, known_a, known_b, setting, grid) for name, m in measures.items()
        }
        found: dict[str, Found] = {}
        took: dict[str, float] = {}
        with (
            run.stage("search"),
            progress(run.log, "comparing", len(pairs) * len(measures), unit="pairs", verbosity=verbosity) as counter,
        ):

            def done(count: int) -> None:
                if run.aborted():
                    raise Interrupted("asked to stop by RELION_JOB_ABORT_NOW")
                counter.update(count)

            for name, search in searches.items():
                start = time.perf_counter()
                found[name] = search.run(pairs, p.threads, done)
                took[name] = time.perf_counter() - start
        run.log.info("seconds by measure: %s", ", ".join(f"{name} {seconds:.2g}" for name, seconds in took.items()))
        judged: dict[str, Judged] = {}
        if p.check_poses:
            with run.stage("check poses"):
                for name, search in searches.items():
                    judged[name] = judge(search, pairs, b.poses, found[name], p.threads)
        lower = {name: m.lower_is_better for name, m in measures.items()}
        result = result_of(a, b, pairs, setting, found, lower, judged)
        _warn_at_limits(result, grid, run)
        with run.stage("write"):
            files = write_tables(run, result, p.export)
        counts = _counts(result, a, b, snr)
        if drawn := min(p.pictures, len(pairs)):
            run.log.info("drawing %s under %d measures", _pairs(drawn), len(measures))
        with run.stage("report"):
            write_report(p, result, searches, run, counts, files, ctf)
        tell_results(
            run.log, [*table_lines(result), *verdict_lines(result)], verbosity=verbosity,
            as_json={"counts": counts, "pairs": json_rows(result)} if p.as_json else None,
        )  # fmt: skip
        run.commit(counts=counts)
    return 0


def _say(pairs: Pairs, setting: Setting, scales: np.ndarray | None, ctf: dict[str, str], run: RunDirectory) -> None:
    limits = setting.limits
    run.log.info("%s: %s", pairs.words, _pairs(len(pairs)))
    shifts = f"shifts up to {limits.max_shift_px:.3g} px" if limits.max_shift_px else "rotations only"
    run.log.info(
        "%d px at %g A: mask %.4g px, %s, mirrors %s, psi full circle",
        setting.box,
        setting.pixel_size_angstrom,
        2 * setting.mask_radius_px,
        shifts,
        "searched" if limits.mirror else "not searched",
    )
    run.log.info("CTF: %s", "; ".join(f"{name} {words}" for name, words in ctf.items()))
    if scales is not None:
        run.log.info("scale: %d from %.4g to %.4g, then refined", len(scales), scales[0], scales[-1])


def _warn_at_limits(result: CompareResult, grid: ScaleGrid | None, run: RunDirectory) -> None:
    """Say where most measures find the largest shift or scale that was allowed: the truth may lie beyond."""
    limit, half = result.setting.limits.max_shift_px, 0.5 * len(result.metrics)
    far = np.sum([np.hypot(f.poses.dx, f.poses.dy) > limit - 0.05 for f in result.found.values()], axis=0)
    count = int(np.count_nonzero(far > half)) if limit else 0
    if count:
        run.warn(
            f"at the largest shift of {limit:.3g} px under most measures: {_pairs(count)}; try a larger --max-shift-px"
        )
    if grid is None:
        return
    low, high = grid.scales[0] * np.exp(grid.tolerance), grid.scales[-1] * np.exp(-grid.tolerance)
    ends = np.sum([(f.scale < low) | (f.scale > high) for f in result.found.values()], axis=0)
    count = int(np.count_nonzero(ends > half))
    if count:
        run.warn(f"at the end of the scales under most measures: {_pairs(count)}; try a larger --scale-limit")


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _say_noise(p: CompareParameters, snr: dict[str, float], run: RunDirectory) -> None:
    if not p.noise:
        run.log.info("images count as clean (--no-noise)")
        return
    for name, value in snr.items():
        run.log.info("%s: %s", name, f"SNR about {value:.3g}" if value < 1000 else "no noise outside the mask")


def _counts(result: CompareResult, a: ImageSet, b: ImageSet, snr: dict[str, float]) -> dict[str, object]:
    together = (result.agreeing == len(result.metrics)).all(axis=0)
    return {
        "images_a": len(a),
        "images_b": len(b),
        "pairs": len(result.pairs),
        "metrics": len(result.metrics),
        "pairs_where_all_agree": int(np.count_nonzero(together)),
        **{
            f"given_best_{metric.replace('-', '_')}": int(np.count_nonzero(judged.verdict == HOLDS))
            for metric, judged in result.judged.items()
        },
        **{f"snr_{name.lower()}": round(value, 4) for name, value in snr.items() if np.isfinite(value)},
    }
