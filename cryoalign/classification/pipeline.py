"""From prepared images to neighbours, and from neighbours to views: what `rid-distance` and `classavg` do.

A round: components of the images at their present centres, raw neighbours by exact scores of all pairs (of those that
rotation invariants propose, for very many images), shifts if any are expected, multi-frequency vector diffusion maps on
the raw graph, centres from the shifts on its trusted edges, and from these against means of neighbours. Rounds end when
centres stand still; images without shifts take one. Before the first search for shifts, pairs are chosen from images as
they are and as the round mean centres them. A first search that was far too wide is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cryoalign.classification.algorithms import embed, nearest_views
from cryoalign.classification.all_pairs import all_neighbours, screen_pairs
from cryoalign.classification.candidates import propose
from cryoalign.classification.centring import centre_by_round_mean
from cryoalign.classification.classification import Classification
from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.features import Features, prepare_features
from cryoalign.classification.invariants import candidate_vectors
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.llr import ScoreWeights, pair_weights
from cryoalign.classification.member_weights import member_weights
from cryoalign.classification.mfca import viewing_angles_deg
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import best_attainable, pair_distances, template_quality
from cryoalign.classification.pair_score import score_pairs, top_neighbours
from cryoalign.classification.second_graph import AMONG, WEAK_SHARE, second_pass
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.classification.shift_scale import (
    LEAST_SD_PX,
    STILL_PX,
    are_centred,
    are_shifted,
    next_sd,
    pilot_sd,
    scatter,
    trusted_edges,
)
from cryoalign.classification.shift_search import search_shifts, shift_pattern
from cryoalign.classification.signal_test import measure_signal
from cryoalign.classification.template_angles import MEMBERS, template_turns_deg, turned_lists
from cryoalign.classification.template_centres import centre_by_templates
from cryoalign.classification.view_directions import view_directions
from cryoalign.core.errors import InputError
from cryoalign.core.poses import rotate_points
from cryoalign.synchronization.translation import synchronise_shifts

Progress = Callable[[str], None]
"""Called with the name of each stage when it begins."""

ALL_PAIRS = 150_000
"""Up to so many images all pairs are compared exactly. Invariants cost half as much, but miss neighbours in noise: at
an SNR of .02 two of five, and the error of views rises by a quarter."""
CANDIDATES = 400
"""Images that invariants propose for each, beyond that."""
ANEW = 20_000
"""Up to so many images each round compares all pairs anew. Of more, later rounds look among the neighbours that the
last one found, raw and by the graph."""
SHIFTED_CANDIDATES = 400
"""Images to which shifts are searched for each: without shifts, true neighbours stand further down the lists."""
EDGES = 50
"""Raw neighbours of each image that become edges."""
TRUSTED = 100
"""Cleaned neighbours whose raw edges move the centres."""
MOST_ROUNDS = 3
"""Later rounds move images that stand wrong together, and centres scatter ever more."""
FAR_TOO_WIDE = 0.5
"""If centres scatter by less than this share of what the first search allowed for, it is repeated with that."""
LITTLE_PX = 0.1
"""Shifts of noise that scatter by less do a graph no harm, in prepared pixels."""


@dataclass(frozen=True, eq=False)
class SearchNotes:
    """What a search found out.

    Parameters
    ----------
    shift_sd_px
        Standard deviation of either coordinate of the centres that was searched, in prepared pixels; 0 if none.
    best_attainable
        The highest score that any other image could give each, float32 (n,).
    timings
        CPU seconds by stage.
    """

    shift_sd_px: float
    best_attainable: NDArray[np.float32]
    timings: dict[str, float]


class _Clock:
    """CPU seconds by stage, and word of each stage to who wants it."""

    def __init__(self, progress: Progress | None) -> None:
        self.timings: dict[str, float] = {}
        self._progress = progress
        self._stage, self._since = "", time.process_time()

    def __call__(self, stage: str) -> None:
        now = time.process_time()
        if self._stage:
            self.timings[self._stage] = self.timings.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now
        if stage and self._progress is not None:
            self._progress(stage)


def find_neighbours(
    images: NDArray[np.float32], settings: SearchSettings, progress: Progress | None = None
) -> tuple[NeighbourLists, Features, SearchNotes]:
    """Find the raw nearest neighbours of prepared images.

    Parameters
    ----------
    images
        Whitened, CTF signs undone, float32 (n, L, L); an array or a memory map.
    settings
        What to compare and how.
    progress
        Called with the name of each stage.

    Returns
    -------
    lists, features, notes
        Neighbours with scores of ``settings.score``, poses between the images as they are.

    Raises
    ------
    InputError
        If there are not more images than neighbours.
    """
    clock = _Clock(progress)
    _check_count(len(images), settings.k)
    with threadpool_limits(1, user_api="blas"):
        clock("features")
        features = prepare_features(images, settings)
        known = _known_scale(features, settings, clock)
        expected = pilot_sd(images.shape[-1]) if known is None else known
        lists = _raw_neighbours(features, settings, settings.k, expected, clock)
        if known is None:
            expected = _shift_scale(features, lists, threads=features.threads, clock=clock)
            if expected == 0:
                lists = _raw_neighbours(features, settings, settings.k, 0.0, clock)
        best = best_attainable(features.coefficients, features.frequency, features.eigenvalue)
        clock("")
    return lists, features, SearchNotes(expected, best, clock.timings)


def classify(
    images: NDArray[np.float32],
    settings: ClassificationSettings,
    graph: NeighbourLists | None = None,
    progress: Progress | None = None,
) -> Classification:
    """Find the nearest views of prepared images, their poses and centres.

    Parameters
    ----------
    images
        Whitened, CTF signs undone, float32 (n, L, L); an array or a memory map.
    settings
        How.
    graph
        Raw neighbours found before, with shifts between the images as they are: nothing is searched then.
    progress
        Called with the name of each stage.

    Raises
    ------
    InputError
        If there are not more images than neighbours, or the graph is of another number of images.
    """
    n, search = len(images), settings.search
    _check_count(n, settings.k)
    if graph is not None and len(graph) != n:
        raise InputError(f"the graph joins {len(graph)} images, but there are {n}")
    clock = _Clock(progress)
    centre = np.zeros((n, 2))
    with threadpool_limits(1, user_api="blas"):
        clock("features")
        features = prepare_features(images, search, centre, threads=settings.threads)
        known = 0.0 if graph is not None else _known_scale(features, search, clock)
        sd = pilot_sd(images.shape[-1]) if known is None else known
        most = MOST_ROUNDS if settings.rounds is None else max(1, settings.rounds)
        rounds, among = 0, None
        while True:
            rounds += 1
            if np.any(centre != features.centre_px):
                clock("features")
                features = prepare_features(images, search, centre, threads=settings.threads)
            raw = graph
            if raw is None:
                raw = _raw_neighbours(features, search, min(max(EDGES, search.k), n - 1), sd, clock, among)
            clock("diffusion maps")
            embedding = embed(edges_from_lists(raw.nearest(EDGES) if graph is None else raw), settings)
            clock("nearest views")
            cleaned = nearest_views(embedding, features, settings, max(settings.k, AMONG))
            if not np.any(raw.shift_px):
                break
            clock("centres")
            moved = synchronise_shifts(trusted_edges(raw, cleaned.nearest(TRUSTED)))
            step = scatter(moved)
            if rounds == 1 and known is None and not are_shifted(features, cleaned, moved):
                if step < LITTLE_PX:
                    break
                # What was found is noise: once more, without shifts.
                sd, known, rounds = 0.0, 0.0, 0
                continue
            again = prepare_features(images, search, centre + moved, pca=features.pca, threads=settings.threads)
            further, spread = centre_by_templates(again, cleaned, max(scatter(again.centre_px), LEAST_SD_PX))
            if rounds == 1 and known is None and spread < FAR_TOO_WIDE * sd:
                # The first search was far too wide: once more, from the images as they are.
                sd, known, rounds = spread, spread, 0
                continue
            centre = again.centre_px + further
            if rounds >= most or graph is not None or step < STILL_PX:
                break
            sd = next_sd(step)
            if n > ANEW and search.candidates is None:
                among = np.concatenate([raw.index, cleaned.nearest(AMONG).index], axis=1)
        if np.any(centre != features.centre_px):
            clock("features")
            features = prepare_features(images, search, centre, threads=settings.threads)
        clock("signal test")
        signal = measure_signal(
            features.coefficients, features.frequency, features.eigenvalue, mirror=search.mirror,
            threads=settings.threads,
        )  # fmt: skip
        # Edges chosen anew are without shifts: where images were centred, not all are exactly, and these suffer.
        centred = bool(np.any(features.centre_px))
        weak = graph is None and not centred and signal.share < WEAK_SHARE
        if weak and settings.algorithm != "kmeans":
            clock("second graph")
            embedding, cleaned = second_pass(features, cleaned, settings, EDGES, max(settings.k, TRUSTED))
        clock("order")
        turns = template_turns_deg(
            features.coefficients, features.frequency, cleaned, min(MEMBERS, cleaned.k), settings.threads
        )
        result = _describe(features, embedding, turned_lists(cleaned.nearest(settings.k), turns), settings)
        neighbours, distance, angle, quality = result
        weight = member_weights(embedding, features, neighbours, settings, signal=signal.signal)
        clock("")
    found_sd = scatter(centre) if search.shift_sd_px is None else search.shift_sd_px
    return Classification(
        neighbours, distance, weight, angle, centre.astype(np.float32), raw, view_directions(embedding), quality,
        found_sd, signal, rounds, clock.timings,
    )  # fmt: skip


def _check_count(n: int, k: int) -> None:
    if n <= k:
        raise InputError(f"{n} particles are too few for {k} neighbours of each", hint="give a smaller -k")


def _known_scale(features: Features, settings: SearchSettings, clock: _Clock) -> float | None:
    """Return the deviation of the images' centres as far as it is known without a search: as told, 0, or None."""
    if settings.shift_sd_px is not None:
        return settings.shift_sd_px
    clock("shift test")
    return 0.0 if are_centred(features, mirror=settings.mirror) else None


def _raw_neighbours(
    features: Features,
    settings: SearchSettings,
    k: int,
    shift_sd_px: float,
    clock: _Clock,
    among: NDArray[np.int32] | None = None,
) -> NeighbourLists:
    """Find the best k others of each image, over shifts of such a scale if it is not 0; of all, or among some."""
    frequency, mirror, threads = features.frequency, settings.mirror, features.threads
    count = settings.candidates
    if count is None:
        count = 0 if len(features) <= ALL_PAIRS else CANDIDATES
    clock("neighbours")
    if shift_sd_px == 0:
        weights, weighted, own = _weighted(features, settings)
        if count == 0:
            return all_neighbours(weighted, frequency, k, own, mirror=mirror, threads=threads)
        rows = propose(*_vectors(features, settings), max(count, k), threads)
        scores = score_pairs(weighted, frequency, rows, own, mirror=mirror, threads=threads)
        return top_neighbours(rows, scores, k)
    most = min(SHIFTED_CANDIDATES, count) if count else SHIFTED_CANDIDATES
    if among is None:
        rows = _shifted_candidates(features, settings, count, max(most, k), shift_sd_px)
    else:
        rows = _each_once(among)
    clock("shifts")
    weights, weighted, own = _weighted(features, settings)
    pattern = shift_pattern(shift_sd_px)

    def moved(shift_px: tuple[float, float]) -> NDArray[np.complex64]:
        return weights.weighted(features.shifted(shift_px)) if any(shift_px) else weighted

    return search_shifts(weighted, frequency, rows, moved, pattern, k, own, mirror=mirror, threads=threads)


def _weighted(
    features: Features, settings: SearchSettings
) -> tuple[ScoreWeights, NDArray[np.complex64], NDArray[np.float32]]:
    """Return the weights of the score, the weighted components and each image's own term."""
    weights = pair_weights(settings.score, features.frequency, features.eigenvalue)
    return weights, weights.weighted(features.coefficients), weights.own_terms(features.coefficients)


def _vectors(features: Features, settings: SearchSettings) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return rotation invariants of the images, and of their mirror images if these count."""
    plain, mirrored = candidate_vectors(features)
    return plain, mirrored if settings.mirror else None


def _shifted_candidates(
    features: Features, settings: SearchSettings, count: int, most: int, shift_sd_px: float
) -> NDArray[np.int32]:
    """List the images to which shifts are searched, (n, most) or fewer: the best without shifts."""
    if np.any(features.centre_px):
        return _best_as_they_are(features, settings, count, most)
    # A picking error spoils the likeness of equal views, and what the round mean leaves of it is far less. Of weak
    # images, or of a molecule that is not round, it leaves more: so the best of both.
    centre = centre_by_round_mean(
        features.images, shift_sd_px, radius_px=settings.radius_px, threads=features.threads
    )  # fmt: skip
    centred = prepare_features(features.images, settings, centre, threads=features.threads)
    if count:  # invariants suffer more from shifts than exact scores do
        return _best_as_they_are(centred, settings, count, most)
    both = [_best_as_they_are(part, settings, count, -(-most // 2)) for part in (features, centred)]
    return _each_once(np.concatenate(both, axis=1))


def _each_once(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sort each row's entries; repeats become -1."""
    rows = np.sort(rows, axis=1)
    rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = -1
    return rows


def _best_as_they_are(features: Features, settings: SearchSettings, count: int, most: int) -> NDArray[np.int32]:
    """List the best others of each image without shifts, int32 (n, most): of all, or of those that invariants name."""
    _, weighted, own = _weighted(features, settings)
    threads = features.threads
    if count == 0:
        return screen_pairs(weighted, features.frequency, most, own, mirror=settings.mirror, threads=threads)
    rows = propose(*_vectors(features, settings), max(count, most), threads)
    scores = score_pairs(weighted, features.frequency, rows, own, mirror=settings.mirror, threads=threads)
    return top_neighbours(rows, scores, most).index


def _shift_scale(features: Features, raw: NeighbourLists, threads: int, clock: _Clock) -> float:
    """Return the deviation of the images' centres, from neighbours found with shifts; 0 where that is noise."""
    clock("shift scale")
    settings = ClassificationSettings(threads=threads)
    embedding = embed(edges_from_lists(raw.nearest(EDGES)), settings)
    cleaned = nearest_views(embedding, features, settings, TRUSTED)
    moved = synchronise_shifts(trusted_edges(raw, cleaned))
    return scatter(moved) if are_shifted(features, cleaned, moved) else 0.0


def _describe(
    features: Features, embedding: Embedding, nearest: NeighbourLists, settings: ClassificationSettings
) -> tuple[NeighbourLists, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the lists with shifts from the centres, their distances and viewing angles, and each image's quality."""
    coefficients, frequency, eigenvalue = features.coefficients, features.frequency, features.eigenvalue
    threads = settings.threads
    weights = pair_weights(settings.search.score, frequency, eigenvalue)
    best = best_attainable(coefficients, frequency, eigenvalue)
    distance = pair_distances(coefficients, frequency, weights, best, nearest, threads)
    quality = template_quality(coefficients, frequency, eigenvalue, nearest, threads=threads)
    angle = viewing_angles_deg(embedding, nearest.index, nearest.mirror)
    return _with_shifts(nearest, features.centre_px), distance, angle, quality


def _with_shifts(lists: NeighbourLists, centre: NDArray[np.float64]) -> NeighbourLists:
    """Put the shifts into edges that hold between images moved to their centres: d = F^m t_j - R(-psi) t_i."""
    other = centre[lists.index]
    x, y = rotate_points(-lists.angle_deg, centre[:, None, 0], centre[:, None, 1])
    shift = np.stack([np.where(lists.mirror, -1.0, 1.0) * other[..., 0] - x, other[..., 1] - y], axis=-1)
    shift = np.where((lists.index >= 0)[..., None], shift, 0.0).astype(np.float32)
    return NeighbourLists(lists.index, lists.score, lists.angle_deg, lists.mirror, shift)
