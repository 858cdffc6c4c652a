"""Images with a known formula for the tests of measures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cryoalign.metrics.measure import Preparation, SearchLimits
from cryoalign.metrics.names import measure
from helpers.blobs import degrees_apart, random_blobs, random_poses

PIXEL_MEASURES = (
    "euclidean",
    "ncc",
    "absolute-difference",
    "ssd",
    "normalised-ssd",
    "correntropy",
    "mutual-information",
    "wavelet-emd",
)
LADDER = ("absolute-difference", "correntropy", "mutual-information", "wavelet-emd")
BOX = 64


class Case(NamedTuple):
    """A reference, turned and shifted copies, and by how much."""

    reference: np.ndarray
    images: np.ndarray
    psi: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    variance: float


def copies(n=8, box=BOX, seed=0, snr=None, reach=0.07, mirror=False):
    """Draw a particle and n copies; noise at an SNR over the frame."""
    rng = np.random.default_rng(1000 * box + seed)
    blobs = random_blobs(rng, 0.28 * box)
    psi, dx, dy = random_poses(rng, n, reach * box)
    images = blobs.images(box, psi, dx, dy, mirror)
    variance = 0.0 if snr is None else float(images.var(axis=(1, 2)).mean() / snr)
    noisy = images + np.sqrt(variance) * rng.standard_normal(images.shape)
    return Case(blobs.images(box).astype(np.float32), noisy.astype(np.float32), psi, dx, dy, variance)


def background(case, radius=0.38):
    """What is known of the images of a case."""
    box = case.images.shape[-1]
    spectrum = np.full(box // 2 + 1, case.variance) if case.variance else None
    return Preparation(mask_radius_px=radius * box, noise_spectrum=spectrum)


def limits(case, **changes):
    """Search a little farther than the copies were moved."""
    return SearchLimits(**{"max_shift_px": 0.08 * case.images.shape[-1], **changes})


def find(name, case, images=None, **changes):
    """Search the images of a case (or others) with a measure."""
    metric = measure(name)
    references = metric.prepare(case.reference, Preparation(mask_radius_px=background(case).mask_radius_px))
    features = metric.prepare(case.images if images is None else images, background(case))
    return metric.search(references, features, limits(case, **changes))


def off(matches, case):
    """Return how far angles (degrees) and shifts (pixels) are from the truth, both >= 0."""
    turn = np.abs(degrees_apart(matches.poses.psi, case.psi))
    return turn, np.hypot(matches.poses.dx - case.dx, matches.poses.dy - case.dy)
