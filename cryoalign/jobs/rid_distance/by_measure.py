"""``rid-distance`` by a measure of images: all pairs, each at its best pose, as lists of neighbours or as pairs.

Distances. Where lower is better it is the measure itself. Else it is what the two images have with themselves, on
average, less what they have with each other: 1 - NCC, 1 - correntropy, mean entropy less mutual information.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.core.errors import InputError
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.masks import background_region
from cryoalign.core.noise import noise_power
from cryoalign.core.poses import Poses
from cryoalign.io.graph_file import Graph
from cryoalign.jobs.rid_distance.found import FoundGraph, queried
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.metrics.measure import PairTable, Preparation, Ranking, SearchLimits
from cryoalign.metrics.names import ranking
from cryoalign.metrics.sliced.wiener_split import known_of_stack
from cryoalign.passes.prepare.compared import neighbour_count
from cryoalign.passes.prepare.graph import graph_of_edges, graph_of_lists
from cryoalign.passes.prepare.prepared import Prepared
from cryoalign.runs.parts import PartRange
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.work import PureWork, do_parts

MOST_HOURS, MOST_PAIRS = 24.0, 20_000_000
_TILE, _SAMPLE = 32, 512
_CLEAN = 0.05
"""Images whose variance outside the mask is a smaller share of that inside are taken to be clean."""


def find_by_measure(p: RidDistanceParameters, prepared: Prepared, run: RunDirectory) -> FoundGraph:
    """Compare all pairs of particles by a measure of images and return the graph that was asked for.

    Raises
    ------
    InputError
        If there are fewer particles than neighbours, pairs for more than a day, or no pair near enough.
    """
    assert p.measure is not None
    plan, m, known = prepared.plan, len(prepared.rows), _known(prepared)
    compare = ranking(p.measure).for_ranking(known.snr, p.shifts)
    k = None if p.lists_pairs else neighbour_count(p, m, run, prepared.particles)
    of = None if k is None else queried(p, prepared)
    tiles = _compared_tiles(m, of)
    _check_cost(p, compare, m, tiles, plan.box, run)
    said = compare.warning_in_noise(known.snr)
    if said is not None:
        run.warn(said)
    noise = "clean images" if known.snr is None else f"images with an SNR of {known.snr:.2g}"
    run.log.info("comparing %s by %s; %s", noise, compare.words, compare.cost_in_words)
    max_shift = _max_shift(p, plan.raw_box, plan.box)
    limits = SearchLimits(max_shift, mirror=p.mirror)
    value, poses = _all_pairs(compare, prepared, known, limits, tiles, run)
    if not compare.lower_is_better:
        own = _own_values(compare, prepared, known)
        distance = np.maximum(0.5 * (own[:, None] + own) - value, 0.0)
    else:
        distance = value * (plan.raw_per_prepared if compare.in_pixels else 1.0)
    words = f"{compare.name} ({compare.unit})"
    sd = None if max_shift == 0 else max_shift * plan.raw_per_prepared / 2.5
    if k is None:
        return FoundGraph(_pairs(distance, poses, prepared, words, p.max_distance), None, sd, 0)
    lists = _nearest(distance, poses, k, value if not compare.lower_is_better else -value)
    far = np.take_along_axis(distance, lists.index.astype(np.int64), axis=1)
    # Lists go by the distance, which the measure's own value need not follow from pair to pair.
    lists = replace(lists, score=(-far).astype(np.float32))
    graph = graph_of_lists(lists, far, prepared, words, of=of, max_distance=p.max_distance)
    return FoundGraph(graph, k, sd, 0, None if of is None else len(of))


def _compared_tiles(m: int, of: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """Return which tiles of rows are compared with which, (tiles, tiles): all, or those with images asked for."""
    count = -(-m // _TILE)
    asked = np.ones(count, bool) if of is None else np.bincount(of // _TILE, minlength=count) > 0
    return asked[:, None] | asked


def _check_cost(
    p: RidDistanceParameters, compare: Ranking, m: int, tiles: NDArray[np.bool_], box: int, run: RunDirectory
) -> None:
    """Say how long the pairs take; refuse what takes days, or does not fit."""
    pairs = m * (m - 1) // 2
    # Half of the work is done on small copies of the images, whatever their box.
    each = compare.pair_ms * (2 if p.mirror else 1) * (0.5 + 0.5 * (box / 64) ** 2)
    hours = pairs * float(tiles.mean()) * each / 3.6e6
    if pairs > MOST_PAIRS or hours > MOST_HOURS:
        raise InputError(
            f"--metric {p.measure} compares all pairs: the {pairs} of {m} particles take about {hours:.1f} h of CPU "
            "time, and memory for each",
            hint=f"at most {MOST_PAIRS} pairs and {MOST_HOURS:.0f} h: choose particles with select or --limit, a "
            "smaller --downsample or a faster measure; steerable-pca is for many particles",
        )  # fmt: skip
    took = f"{hours:.2g} h" if hours >= 0.1 else f"{np.ceil(3600 * hours):.0f} s"
    run.log.info("%d pairs, about %s of CPU time", round(pairs * float(tiles.mean())), took)


def _max_shift(p: RidDistanceParameters, raw_box: int, box: int) -> float:
    """Return the largest shift of one image to the other in prepared pixels."""
    if not p.shifts:
        return 0.0
    # The reach of a search is taken for 2.5 standard deviations, as in `align`.
    return box / 12 if p.shift_sd is None else 2.5 * p.shift_sd * box / raw_box


def _known(prepared: Prepared) -> Preparation:
    """Measure the noise of the prepared images outside the mask, if there is any."""
    plan, m = prepared.plan, len(prepared.rows)
    radius = plan.radius_px or 0.4 * plan.box
    images = np.asarray(prepared.images[evenly_spread(_SAMPLE, m)], np.float32)
    try:
        outside = background_region(plan.box, 2 * radius)
        around, within = images[:, outside].var(axis=1), images[:, ~outside].var(axis=1)
        if float(np.median(around)) < _CLEAN * float(np.median(within)):
            return Preparation(radius)
        known = Preparation(radius, noise_power(images, 2 * radius))
    except InputError:
        # Nothing outside the mask, or no room: nothing is known of noise.
        return Preparation(radius)
    return known_of_stack(images, known)


@dataclass(frozen=True, eq=False)
class _PairPart(PureWork):
    """The part function: a tile of images against its own and all later tiles; tiles not compared stay 0.

    Parameters
    ----------
    compare, features, limits
        What compares, the tiles made ready for it, and which poses are searched.
    tiles
        Which tiles are compared with which.
    m
        Images in all.
    """

    compare: Ranking
    features: list[Any]
    limits: SearchLimits
    tiles: NDArray[np.bool_]
    m: int

    def __call__(self, part: PartRange) -> dict[str, NDArray]:
        """Return values and poses of a tile's rows, (rows, images from the first of them on) each."""
        rows: dict[str, list[NDArray]] = {name: [] for name in ("value", "psi", "dx", "dy", "mirror")}
        for b in range(part.index, len(self.features)):
            if self.tiles[part.index, b]:
                table = self.compare.table(self.features[part.index], self.features[b], self.limits)
            else:
                table = PairTable.empty(len(part), min(_TILE, self.m - b * _TILE))
            for name, columns in rows.items():
                columns.append(getattr(table, name))
        joined = {name: np.concatenate(columns, axis=1) for name, columns in rows.items()}
        return {name: v if name == "mirror" else v.astype(np.float32) for name, v in joined.items()}


def _all_pairs(
    compare: Ranking, prepared: Prepared, known: Preparation, limits: SearchLimits, tiles: NDArray[np.bool_],
    run: RunDirectory,
) -> tuple[NDArray[np.float32], dict[str, NDArray]]:  # fmt: skip
    """Return values (m, m), symmetric, and the poses that bring j onto i where i < j, (m, m) each.

    Parts are tiles of rows. Tiles that are not compared stay 0.
    """
    m = len(prepared.rows)
    starts = range(0, m, _TILE)
    work = _PairPart(
        compare, [compare.prepare(np.array(prepared.images[s : s + _TILE], np.float32), known) for s in starts],
        limits, tiles, m,
    )  # fmt: skip
    ranges = [PartRange(index, s, min(s + _TILE, m)) for index, s in enumerate(starts)]
    do_parts(run, work, ranges, store="pairs", words="comparing", stage="pairs", worker_bytes=64 * _TILE * m)
    whole: dict[str, NDArray] = {name: np.zeros((m, m), np.float32) for name in ("value", "psi", "dx", "dy")}
    whole["mirror"] = np.zeros((m, m), bool)
    for part, arrays in run.parts("pairs").load_all(ranges):
        for name, values in arrays.items():
            whole[name][part.start : part.stop, part.start :] = values
    upper = np.triu(whole.pop("value"), 1)
    return upper + upper.T, whole


def _own_values(compare: Ranking, prepared: Prepared, known: Preparation) -> NDArray[np.float64]:
    """Return the measure of each image with itself, as it is, (m,)."""
    own = np.empty(len(prepared.rows))
    for i in range(len(own)):
        one = compare.prepare(np.array(prepared.images[i : i + 1], np.float32), known)
        own[i] = compare.own_value(one)
    return own


def _nearest(distance: NDArray, poses: dict[str, NDArray], k: int, score: NDArray) -> NeighbourLists:
    """Return the k nearest of each image; ties by row."""
    m = len(distance)
    index = np.empty((m, k), np.int32)
    for row in range(m):
        order = np.argsort(distance[row], kind="stable")
        index[row] = order[order != row][:k]
    i, j = np.repeat(np.arange(m), k), index.ravel().astype(np.int64)
    found = _poses_of(poses, i, j)
    return NeighbourLists(
        index, score[i, j].reshape(m, k).astype(np.float32), found.psi.reshape(m, k).astype(np.float32),
        found.mirror.reshape(m, k), np.stack([found.dx, found.dy], axis=1).reshape(m, k, 2).astype(np.float32),
    )  # fmt: skip


def _poses_of(poses: dict[str, NDArray], i: NDArray[np.int64], j: NDArray[np.int64]) -> Poses:
    """Return the poses that bring j onto i: as they were found, or the inverse of those found for (j, i)."""
    low, high = np.minimum(i, j), np.maximum(i, j)
    found = Poses(*(poses[name][low, high] for name in ("psi", "dx", "dy", "mirror")))
    return Poses.where(i < j, found, found.inverse())


def _pairs(distance: NDArray, poses: dict[str, NDArray], prepared: Prepared, words: str, most: float | None) -> Graph:
    """Return the graph of pairs i < j that are near enough."""
    i, j = np.triu_indices(len(distance), 1)
    if most is not None:
        near = distance[i, j] <= most
        if not near.any():
            raise InputError(
                "no two particles are as near as --max-distance", value=most,
                hint=f"the nearest are {float(distance[i, j].min()):.4g} apart",
            )  # fmt: skip
        i, j = i[near], j[near]
    found = _poses_of(poses, i, j)
    return graph_of_edges(
        i, j, distance[i, j], found.psi, np.stack([found.dx, found.dy], axis=1), found.mirror, prepared, words
    )
