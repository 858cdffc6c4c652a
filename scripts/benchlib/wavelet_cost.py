"""What a full rotation search by the wavelet earth mover's distance costs, as it is published and as it is here.

As published: the image is turned to every angle of the grid, and each turned copy passes its own wavelet transform
(Shirdhonkar and Jacobs, CVPR 2008; PyWavelets, sym3). The grid is that of the sliced measures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryoalign.core.errors import InputError
from cryoalign.metrics.measure import Measure, Preparation, SearchLimits
from cryoalign.metrics.names import measure
from cryoalign.metrics.sliced.sinogram import line_layout

from . import digits
from .results import Room
from .speed import best_cpu

BOX, IMAGES = 64, 100
_FEW = 5


def _weighted(image: NDArray) -> NDArray[np.float64]:
    import pywt

    coarse, *details = pywt.wavedecn(image, "sym3", mode="zero", level=3)
    rows = [2.0 ** (2 * len(details)) * coarse.ravel()]
    rows += [2.0 ** (2 * (len(details) - i)) * part.ravel() for i, d in enumerate(details) for part in d.values()]
    return np.concatenate(rows)


def every_angle(reference: NDArray, images: NDArray, count: int) -> NDArray[np.float64]:
    """Return the best of ``count`` rotations of each image in degrees, one transform for every image and angle."""
    fixed, centre = _weighted(reference), reference.shape[-1] // 2
    found = np.empty(len(images))
    for i, image in enumerate(images):
        cost = np.empty(count)
        for a, angle in enumerate(np.arange(count) * (2 * np.pi / count)):
            # turned(q) = image(R(-angle) q): by linear interpolation, the cheapest
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            offset = centre - turn @ np.array([centre, centre])
            cost[a] = np.abs(fixed - _weighted(ndimage.affine_transform(image, turn, offset, order=1))).sum()
        found[i] = 360.0 * np.argmin(cost) / count
    return found


def _all_pairs(kind: Measure, images: NDArray, known: Preparation, limits: SearchLimits) -> object:
    features = kind.prepare(images, known)
    return kind.table(features, features, limits)


def add_wavelet_cost(room: Room) -> None:
    """Add CPU seconds of 64 px images with one reference over all rotations, one thread."""
    try:
        ours = measure("wavelet-emd")
    except InputError as error:  # PyWavelets is an extra
        room.skip("wavelet EMD", str(error))
        return
    rng, known, limits = np.random.default_rng(64), Preparation(), SearchLimits()
    x, y = 14 * rng.uniform(-1, 1, (2, 8))
    width, height, psi = np.full(8, 2.0), rng.uniform(0.5, 1.5, 8), rng.uniform(-180, 180, IMAGES)
    reference = digits.blobs(BOX, x, y, width, height)
    images = np.array([digits.blobs(BOX, x, y, width, height, angle) for angle in psi])
    sliced, count = measure("rfsw"), line_layout(BOX).n_angles

    def search(kind: Measure, n: int) -> object:
        return kind.search(kind.prepare(reference[None], known), kind.prepare(images[:n], known), limits)

    found = every_angle(reference, images[:_FEW], count)
    error = np.abs((found - psi[:_FEW] + 180.0) % 360.0 - 180.0).max()
    rfsw = best_cpu(lambda: search(sliced, IMAGES), 5)
    direct = best_cpu(lambda: every_angle(reference, images, count), 1)
    label = f"{BOX} x {BOX} x {IMAGES}"
    note = f"{direct:.2f} s; {count} angles, a transform for each, as published; right to {error:.1f} deg"
    room.add(f"{label}: rfsw, CPU s", rfsw, note="every rotation, images prepared")
    room.add(f"{label}: wavelet EMD over rfsw", direct / rfsw, 30.0, ">=", note)
    ladder = best_cpu(lambda: search(ours, IMAGES), 1)
    room.add(f"{label}: wavelet-emd of cryoalign over rfsw", ladder / rfsw, note=f"{ladder:.2f} s; grid, then descent")
    tables = []
    for kind, few in ((sliced, IMAGES), (ours, 20)):
        spent = best_cpu(lambda kind=kind, few=few: _all_pairs(kind, images[:few], known, limits), 1)
        tables.append(spent / few**2)
    note = f"{1e3 * tables[0]:.2g} and {1e3 * tables[1]:.2g} ms a pair, each image prepared once"
    room.add(f"{label}, all with each other: wavelet-emd of cryoalign over rfsw", tables[1] / tables[0], note=note)
