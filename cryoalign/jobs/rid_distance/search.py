"""From prepared particles to a graph: lists of nearest neighbours, or all pairs up to a distance.

Distances. Euclidean: d = sqrt(-2 S), in standard deviations of the noise. Likelihood ratio: what image i could reach at
most, E_i, less what the pair reaches, E_i - S_ij, in nats; among pairs, which have no first and second, the mean of
E_i - S_ij and E_j - S_ij. Either is at least 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.all_pairs import pairs_above
from cryoalign.classification.features import Features, prepare_features
from cryoalign.classification.llr import pair_weights
from cryoalign.classification.ordering import best_attainable
from cryoalign.classification.pipeline import find_neighbours
from cryoalign.core.errors import InputError
from cryoalign.jobs.rid_distance.by_measure import find_by_measure
from cryoalign.jobs.rid_distance.found import FoundGraph, queried
from cryoalign.jobs.rid_distance.parameters import RidDistanceParameters
from cryoalign.passes.prepare.compared import (
    list_distances,
    metric_in_words,
    neighbour_count,
    saying,
    search_settings,
)
from cryoalign.passes.prepare.graph import graph_of_edges, graph_of_lists
from cryoalign.passes.prepare.prepared import Prepared
from cryoalign.runs.rundir import RunDirectory

MOST_PAIRS = 20_000_000
"""Edges of a graph that lists pairs, at most: 6,324 particles against each other."""


def find_graph(p: RidDistanceParameters, prepared: Prepared, run: RunDirectory) -> FoundGraph:
    """Compare the particles and return the graph that was asked for.

    Raises
    ------
    InputError
        If there are fewer particles than neighbours, more pairs than a graph can list, or no pair near enough.
    """
    if p.measure is not None:
        return find_by_measure(p, prepared, run)
    if p.lists_pairs:
        return _pairs(p, prepared)
    k = neighbour_count(p, len(prepared.rows), run, prepared.particles)
    of = queried(p, prepared)
    settings = search_settings(p, prepared, k, p.threads)
    lists, features, notes = find_neighbours(prepared.images, settings, saying(run, "comparing"))
    graph = graph_of_lists(
        lists, list_distances(lists, p.score, notes.best_attainable), prepared, metric_in_words(p), of=of,
        max_distance=p.max_distance,
    )  # fmt: skip
    searched = None if notes.shift_sd_px == 0 else notes.shift_sd_px * prepared.plan.raw_per_prepared
    return FoundGraph(graph, k, searched, len(features.frequency), None if of is None else len(of))


def _pairs(p: RidDistanceParameters, prepared: Prepared) -> FoundGraph:
    """Compare all pairs, without shifts, and keep those that are near enough."""
    m = len(prepared.rows)
    if p.all_pairs and m * (m - 1) // 2 > MOST_PAIRS:
        raise InputError(
            f"{m} particles have {m * (m - 1) // 2} pairs, too many for a graph", value=MOST_PAIRS,
            hint="keep the nearest with -k, or near ones with --max-distance",
        )  # fmt: skip
    settings = search_settings(p, prepared, 1, p.threads)
    features = prepare_features(prepared.images, settings)
    columns = _columns(p, features)
    if not len(columns["i"]):
        raise InputError("no two particles are as near as --max-distance", value=p.max_distance)
    graph = graph_of_edges(
        columns["i"], columns["j"], columns["distance"], columns["angle_deg"], np.zeros((len(columns["i"]), 2)),
        columns["mirror"], prepared, metric_in_words(p),
    )  # fmt: skip
    return FoundGraph(graph, None, None, len(features.frequency))


def _columns(p: RidDistanceParameters, features: Features) -> dict[str, NDArray]:
    """Return the columns of the pairs i < j that are near enough."""
    weights = pair_weights(p.score, features.frequency, features.eigenvalue)
    offset = weights.own_terms(features.coefficients)
    least = -np.inf
    if p.score == "llr":
        # The mean of both ends' best: then the score is the distance, negated.
        offset = offset + 0.5 * best_attainable(features.coefficients, features.frequency, features.eigenvalue)
        least = -np.inf if p.max_distance is None else -p.max_distance
    elif p.max_distance is not None:
        least = -0.5 * p.max_distance**2
    kept: dict[str, list[NDArray]] = {name: [] for name in ("i", "j", "score", "angle_deg", "mirror")}
    count = 0
    for block in pairs_above(
        weights.weighted(features.coefficients), features.frequency, least, offset, mirror=p.mirror, threads=p.threads
    ):
        count += len(block.i)
        if count > MOST_PAIRS:
            raise InputError(
                f"more than {MOST_PAIRS} pairs are as near as --max-distance", value=p.max_distance,
                hint="give a smaller one, or -k",
            )  # fmt: skip
        for name, arrays in kept.items():
            arrays.append(getattr(block, name))
    found = {name: np.concatenate(arrays) for name, arrays in kept.items()}
    score = found.pop("score").astype(np.float64)
    found["distance"] = -score if p.score == "llr" else np.sqrt(np.maximum(-2.0 * score, 0.0))
    return found
