"""What a search finds: the best answer of each image with all that is told of it, and the next best if asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.poses import Poses


@dataclass(frozen=True, eq=False)
class SearchAnswers:
    """The best K answers of n images, which stand apart: other peaks, or other references.

    The first is that of a search for one; the others follow, best first. Only candidates that reached the full band are
    answers, so that there may be fewer.

    Parameters
    ----------
    valid
        Whether there is one, bool (n, K).
    reference
        0-based reference, int32 (n, K); 0 where there is none.
    poses
        Of length n K, image by image; the origin alone where there is none.
    score
        As that of :class:`SearchResult`, float64 (n, K); 0 where there is none.
    gain
        By how much the log likelihood of the image is higher than without a particle, at the fitted intensity,
        X^2 / (2 E), float64 (n, K); 0 where there is none, or where nothing correlates.
    """

    valid: NDArray[np.bool_]
    reference: NDArray[np.int32]
    poses: Poses
    score: NDArray[np.float64]
    gain: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Answers for n images.

    Parameters
    ----------
    poses
        The pose that brings each image onto its reference.
    reference
        0-based reference, int32 (n,).
    score
        Normalised, CTF- and noise-weighted correlation in [-1, 1].
    margin
        Score minus the best score of another pose or reference.
    psi_error_deg, shift_error_px
        Standard errors, the shift's along one axis (:mod:`cryoalign.core.search.pose_errors`); 180 and the box where
        there is no peak.
    scale
        Fitted intensity of the image relative to its reference.
    at_limit
        Whether the answer lies on the border of what was searched, bool (n,).
    answers
        These answers and the next best, where more than one was asked for.
    """

    poses: Poses
    reference: NDArray[np.int32]
    score: NDArray[np.float64]
    margin: NDArray[np.float64]
    psi_error_deg: NDArray[np.float64]
    shift_error_px: NDArray[np.float64]
    scale: NDArray[np.float64]
    at_limit: NDArray[np.bool_]
    answers: SearchAnswers | None = None
