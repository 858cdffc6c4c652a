"""Poses without a reference: angles between near neighbours, made into one frame, and classes seen in that frame.

Pairs of images tell how they are turned and shifted to each other; phase synchronisation finds one angle for each
image from all pairs, most of which may be wrong (:mod:`cryoalign.synchronization`; Singer, Appl. Comput. Harmon. Anal.
30:20, 2011, for the idea), and robust least squares one shift. Several views of one object have one frame too, for
pairs of unlike images also have an angle at which they are least unlike. So views are told apart afterwards, by
k-means on the principal components of the images in the frame (van Heel and Frank, Ultramicroscopy 6:187, 1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from cryoalign.classification.classification import SignalTest
from cryoalign.classification.kmeans import kmeans
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.pipeline import classify
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.core.filters import apply_ring_gain
from cryoalign.core.masks import soft_disc
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.core.tiles import TILE
from cryoalign.synchronization.robust_shifts import robust_shifts
from cryoalign.synchronization.settings import SyncSettings
from cryoalign.synchronization.synchronise import Synchronization, synchronise

COMPONENTS_EACH = 2
"""Principal components for each class that is looked for, at least; 24 at most."""
_MOST_COMPONENTS = 24
_STARTS = 10
"""Starts of k-means; the tightest clusters count."""


@dataclass(frozen=True)
class FrameSettings:
    """How a common frame is found.

    Parameters
    ----------
    k
        Neighbours of each image.
    mirror
        Mirrored views count as neighbours.
    shift_sd_px
        Standard deviation of either coordinate of the centres that is searched, in pixels of the images; 0 = none.
    radius_px
        Radius of the disc that is compared; None = the largest.
    rings
        Rings of the images' transforms on which classes are told apart.
    seed, threads
        Of the synchronisation and k-means; threads change nothing.
    """

    k: int
    mirror: bool
    shift_sd_px: float
    radius_px: float | None
    rings: int
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, eq=False)
class CommonFrame:
    """Images brought into one frame.

    Parameters
    ----------
    poses
        Of each image, (m,), shifts in pixels of the images.
    synchronization
        What was found on the way; one frame for each of its components.
    signal
        Whether neighbours agree in what did not choose them.
    edges
        Pairs that were used.
    """

    poses: Poses
    synchronization: Synchronization
    signal: SignalTest
    edges: int


def common_frame(
    images: NDArray[np.float32], settings: FrameSettings, progress: Callable[[str], None] | None = None
) -> CommonFrame:
    """Find the pose of every image in a common frame.

    Parameters
    ----------
    images
        Whitened, CTF signs undone, float32 (m, L, L).
    settings
        How.
    progress
        Called with the name of each stage.

    Raises
    ------
    InputError
        If there are not more images than neighbours.
    """
    s = settings
    search = SearchSettings(
        k=s.k, mirror=s.mirror, shift_sd_px=s.shift_sd_px, radius_px=s.radius_px, threads=s.threads
    )  # fmt: skip
    found = classify(
        images, ClassificationSettings(search=search, k=s.k, seed=s.seed, threads=s.threads), None, progress
    )
    edges = edges_from_lists(found.neighbours)
    if progress is not None:
        progress("synchronisation")
    sync = synchronise(edges, SyncSettings(seed=s.seed, threads=s.threads))
    shifts = robust_shifts(edges, sync.psi_deg, sync.mirror, sync.component, sync.inlier)
    poses = Poses(sync.psi_deg, shifts.origin_px[:, 0], shifts.origin_px[:, 1], sync.mirror)
    return CommonFrame(poses, sync, found.signal, len(edges))


def classes_in_frame(
    images: NDArray[np.float32], frame: CommonFrame, n_classes: int, settings: FrameSettings
) -> NDArray[np.int64]:
    """Tell apart what images in their frames show, each connected component alone.

    Parameters
    ----------
    images
        Float32 (m, L, L).
    frame
        Their common frame.
    n_classes
        Classes of all components together, dealt to them by size; a component has at least one.
    settings
        Band, mask and seed.

    Returns
    -------
    NDArray
        Class of each image from 0, int64 (m,), by falling number of members.
    """
    component = frame.synchronization.component
    size = np.bincount(component)[1:]
    shares = _shares(size, n_classes)
    label = np.zeros(len(images), np.int64)
    first = 0
    for c, share in enumerate(shares, start=1):
        members = np.flatnonzero(component == c)
        if share > 1:
            label[members] = _clusters(images, members, frame.poses, share, settings)
        label[members] += first
        first += share
    count = np.bincount(label, minlength=first)
    rank = np.empty(first, np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(first)
    return rank[label]


def class_means(
    images: NDArray[np.float32], poses: Poses, label: NDArray[np.int64], n_classes: int
) -> NDArray[np.float32]:
    """Average the images of each class in the frame, float32 (n_classes, L, L); zeros for classes without members."""
    box = images.shape[-1]
    total = np.zeros((n_classes, box, box))
    for start in range(0, len(images), TILE):
        rows = np.arange(start, min(start + TILE, len(images)))
        aligned = resample(np.ascontiguousarray(images[rows]), poses.take(rows))
        for at, row in enumerate(rows):
            total[label[row]] += aligned[at]
    count = np.bincount(label, minlength=n_classes)
    return np.asarray(total / np.maximum(count, 1)[:, None, None], dtype=np.float32)


def _shares(size: NDArray[np.int64], n_classes: int) -> list[int]:
    """Deal classes to components: one each, the others one by one to where most images share one."""
    shares = np.ones(len(size), np.int64)
    for _ in range(n_classes - len(size)):
        crowd = size / shares
        shares[int(np.argmax(crowd))] += 1
    return [int(share) for share in np.minimum(shares, size)]


def _clusters(
    images: NDArray[np.float32], members: NDArray[np.int64], poses: Poses, count: int, settings: FrameSettings
) -> NDArray[np.int64]:
    """Cluster images of one frame by their principal components inside the mask, on low rings."""
    box = images.shape[-1]
    gain = (np.arange(box // 2 + 1) <= settings.rings).astype(np.float64)
    diameter = 2 * settings.radius_px if settings.radius_px is not None else 0.8 * box
    mask = soft_disc(box, min(diameter, box - 2.0))
    inside = mask > 0

    def vectors(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        aligned = resample(np.ascontiguousarray(images[rows]), poses.take(rows))
        return np.asarray((apply_ring_gain(aligned, gain) * mask)[:, inside], dtype=np.float32)

    tiles = [members[start : start + TILE] for start in range(0, len(members), TILE)]
    total = np.zeros(int(inside.sum()))
    moment = np.zeros((len(total), len(total)))
    for rows in tiles:
        here = vectors(rows).astype(np.float64)
        total += here.sum(axis=0)
        moment += here.T @ here
    mean = total / len(members)
    covariance = moment / len(members) - np.outer(mean, mean)
    kept = min(max(COMPONENTS_EACH * count, 4), _MOST_COMPONENTS, len(total), len(members) - 1)
    top = [len(total) - kept, len(total) - 1]
    _, axes = scipy.linalg.eigh(covariance, subset_by_index=top)
    points = np.concatenate([(vectors(rows) - mean) @ axes for rows in tiles]).astype(np.float32)
    found = [kmeans(points, count, seed=settings.seed + start, iterations=100) for start in range(_STARTS)]
    return min(found, key=lambda one: float((one.distance.astype(np.float64) ** 2).sum())).label.astype(np.int64)
