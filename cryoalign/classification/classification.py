"""What classification of single images finds: cleaned neighbours, their poses, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.neighbours import NeighbourLists

LEAST_Z, LEAST_SHARE = 5.0, 0.03
"""What the test for a signal wants of both: pure noise reaches neither."""


@dataclass(frozen=True)
class SignalTest:
    """Whether images agree with their neighbours in components that did not choose the neighbours.

    Parameters
    ----------
    z
        The held-out covariance in units of its own standard error; pure noise gives about 0.
    share
        The held-out covariance divided by the signal variance of the same components, 0 for noise, 1 for perfect
        neighbours.
    signal
        Whether both are above what noise can give.
    """

    z: float
    share: float
    signal: bool


@dataclass(frozen=True, eq=False)
class Classification:
    """Neighbours of n images after classification.

    Pixels are those of the images that were classified, prepared ones in a run; `cryoalign.classify` brings them to
    those of its input.

    Parameters
    ----------
    neighbours
        The k nearest views of each image, nearest first: `score` is the score that orders them, poses bring neighbour j
        onto image i.
    distance
        Rotation-invariant distance of each membership, float32 (n, k), not negative; inf where there is no neighbour.
    weight
        Weight of each membership in an average, float32 (n, k) in [0, 1]; 0 where there is no neighbour. The largest of
        each image is 1; see `cryoalign.classification.member_weights`.
    viewing_angle_deg
        Angle between the two views as the graph sees it, float32 (n, k); nan where unknown.
    centre_px
        Synchronised shift of each image, float32 (n, 2): shifted by it, images of one view share a centre.
    graph
        The raw edges of the last round.
    embedding
        Where each image's view lies, float32 (n, 3).
    quality
        How well each image agrees with its neighbours, float32 (n,); junk comes last.
    shift_sd_px
        Standard deviation of either coordinate of the centres that was searched.
    signal
        Whether there is a signal at all.
    rounds
        Rounds of search, classification and shifts.
    timings
        CPU seconds by stage.
    """

    neighbours: NeighbourLists
    distance: NDArray[np.float32]
    weight: NDArray[np.float32]
    viewing_angle_deg: NDArray[np.float32]
    centre_px: NDArray[np.float32]
    graph: NeighbourLists
    embedding: NDArray[np.float32]
    quality: NDArray[np.float32]
    shift_sd_px: float
    signal: SignalTest
    rounds: int
    timings: dict[str, float]
