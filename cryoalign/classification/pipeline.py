"""From prepared images to neighbours, and from neighbours to views: what `rid-distance` and `classavg` do.

How far images lie from their centres is found first, if nobody says. A round: components of the images at their present
centres, raw neighbours (with shifts if there are any), multi-frequency vector diffusion maps on the raw graph, centres
from the shifts on its trusted edges, and from these against means of neighbours. Rounds end when centres stand still;
images without shifts take one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.algorithms import embed, nearest_views
from cryoalign.classification.classification import Classification
from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.features import Features, prepare_features
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.llr import pair_weights
from cryoalign.classification.member_weights import member_weights
from cryoalign.classification.mfca import viewing_angles_deg
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.ordering import best_attainable, pair_distances, template_quality
from cryoalign.classification.pilot import shift_scale
from cryoalign.classification.raw_neighbours import raw_neighbours
from cryoalign.classification.second_graph import AMONG, WEAK_SHARE, second_pass
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.classification.shift_scale import LEAST_SD_PX, STILL_PX, first_sd, next_sd, scatter, trusted_edges
from cryoalign.classification.signal_test import measure_signal
from cryoalign.classification.stages import Clock, Progress
from cryoalign.classification.template_angles import MEMBERS, template_turns_deg, turned_lists
from cryoalign.classification.template_centres import centre_by_templates
from cryoalign.classification.view_directions import view_directions
from cryoalign.core.errors import InputError
from cryoalign.core.poses import rotate_points
from cryoalign.synchronization.translation import synchronise_shifts

ANEW = 20_000
"""Up to so many images each round compares all pairs anew. Of more, later rounds look among the neighbours that the
last one found, raw and by the graph."""
EDGES = 50
"""Raw neighbours of each image that become edges."""
TRUSTED = 100
"""Cleaned neighbours whose raw edges move the centres."""
MOST_ROUNDS = 3
"""Later rounds move images that stand wrong together, and centres scatter ever more."""


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
    clock = Clock(progress)
    _check_count(len(images), settings.k)
    clock("features")
    features = prepare_features(images, settings)
    expected = settings.shift_sd_px
    if expected is None:
        expected = shift_scale(features, settings, clock)
        sd = first_sd(expected, images.shape[-1])
    else:
        sd = expected
    lists = raw_neighbours(features, settings, settings.k, sd, clock=clock)
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
    clock = Clock(progress)
    centre = np.zeros((n, 2))
    clock("features")
    features = prepare_features(images, search, centre, threads=settings.threads)
    sd = 0.0 if graph is not None else search.shift_sd_px
    if sd is None:
        sd = first_sd(shift_scale(features, search, clock), images.shape[-1])
    most = MOST_ROUNDS if settings.rounds is None else max(1, settings.rounds)
    rounds, among = 0, None
    while True:
        rounds += 1
        if np.any(centre != features.centre_px):
            clock("features")
            features = prepare_features(images, search, centre, threads=settings.threads)
        raw = graph
        if raw is None:
            raw = raw_neighbours(features, search, min(max(EDGES, search.k), n - 1), sd, among, clock=clock)
        clock("diffusion maps")
        embedding = embed(edges_from_lists(raw.nearest(EDGES) if graph is None else raw), settings)
        clock("nearest views")
        cleaned = nearest_views(embedding, features, settings, max(settings.k, AMONG))
        if not np.any(raw.shift_px):
            break
        clock("centres")
        moved = synchronise_shifts(trusted_edges(raw, cleaned.nearest(TRUSTED)))
        step = scatter(moved)
        again = prepare_features(images, search, centre + moved, pca=features.pca, threads=settings.threads)
        further, _ = centre_by_templates(again, cleaned, max(scatter(again.centre_px), LEAST_SD_PX))
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
