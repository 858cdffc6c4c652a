"""The best others of each image by the score of pairs: of all, of those that invariants name, with shifts or without.

Shifts are searched to some hundreds of others of each image, chosen without shifts. At first these are the best of the
images as they are and of the images as the round mean centres them: either alone misses too many.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.all_pairs import all_neighbours, screen_pairs
from cryoalign.classification.candidates import propose
from cryoalign.classification.centring import centre_by_round_mean
from cryoalign.classification.features import Features, prepare_features
from cryoalign.classification.invariants import candidate_vectors
from cryoalign.classification.llr import ScoreWeights, pair_weights
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.pair_score import score_pairs, top_neighbours
from cryoalign.classification.settings import SearchSettings
from cryoalign.classification.shift_search import search_shifts, shift_pattern
from cryoalign.classification.stages import Clock

ALL_PAIRS = 150_000
"""Up to so many images all pairs are compared exactly. Invariants cost half as much, but miss neighbours in noise: at
an SNR of .02 two of five, and the error of views rises by a quarter."""
CANDIDATES = 400
"""Images that invariants propose for each, beyond that."""
SHIFTED_CANDIDATES = 400
"""Images to which shifts are searched for each: without shifts, true neighbours stand further down the lists."""


def raw_neighbours(
    features: Features,
    settings: SearchSettings,
    k: int,
    shift_sd_px: float,
    among: NDArray[np.int32] | None = None,
    shifted_candidates: int = SHIFTED_CANDIDATES,
    clock: Clock | None = None,
) -> NeighbourLists:
    """Find the best k others of each image.

    Parameters
    ----------
    features
        Of the images at their present centres.
    settings
        What to compare and how.
    k
        Neighbours of each.
    shift_sd_px
        Standard deviation of either coordinate of the shifts to search, in prepared pixels; 0 for none.
    among
        Others to look among if shifts are searched, int32 (n, m); all if omitted.
    shifted_candidates
        Others to which shifts are searched for each image.
    clock
        Told of the stages.
    """
    frequency, mirror, threads = features.frequency, settings.mirror, features.threads
    count = settings.candidates
    if count is None:
        count = 0 if len(features) <= ALL_PAIRS else CANDIDATES
    if clock is not None:
        clock("neighbours")
    if shift_sd_px == 0:
        weights, weighted, own = _weighted(features, settings)
        if count == 0:
            return all_neighbours(weighted, frequency, k, own, mirror=mirror, threads=threads)
        return best_listed(features, settings, propose(*_vectors(features, settings), max(count, k), threads), k)
    if among is None:
        most = min(shifted_candidates, count) if count else shifted_candidates
        rows = _shifted_candidates(features, settings, count, max(most, k), shift_sd_px)
    else:
        rows = _each_once(among)
    if clock is not None:
        clock("shifts")
    weights, weighted, own = _weighted(features, settings)
    pattern = shift_pattern(shift_sd_px)

    def moved(shift_px: tuple[float, float]) -> NDArray[np.complex64]:
        return weights.weighted(features.shifted(shift_px)) if any(shift_px) else weighted

    return search_shifts(weighted, frequency, rows, moved, pattern, k, own, mirror=mirror, threads=threads)


def best_listed(features: Features, settings: SearchSettings, rows: NDArray[np.int32], k: int) -> NeighbourLists:
    """Return the best k of the others that are listed for each image, (n, c), by their exact scores; -1 lists none."""
    _, weighted, own = _weighted(features, settings)
    scores = score_pairs(
        weighted, features.frequency, rows, own, mirror=settings.mirror, threads=features.threads
    )  # fmt: skip
    return top_neighbours(rows, scores, k)


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
    threads = features.threads
    if count == 0:
        _, weighted, own = _weighted(features, settings)
        return screen_pairs(weighted, features.frequency, most, own, mirror=settings.mirror, threads=threads)
    rows = propose(*_vectors(features, settings), max(count, most), threads)
    return best_listed(features, settings, rows, most).index
