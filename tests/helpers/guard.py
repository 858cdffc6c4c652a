"""Particles and noise for the tests of the guard: a phantom known in closed form, and the search that all use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.to_references import mask_references
from cryoalign.averaging.ctf_sums import multiply_by_ctf
from cryoalign.averaging.guard import BAND_RING, GAP, faded, held_out_products, judged_references
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.poses import Poses
from cryoalign.core.resample.resample import resample
from cryoalign.core.search.search import Searcher, SearchSettings, plan_search
from cryoalign.core.search.weigh import ctf_coefficients
from cryoalign.simulation.noise import coloured, noise_image
from cryoalign.simulation.phantom import built_in_phantom

BOX, PIXEL = 64, 4.0
WIDTH = 3.0
"""Of the phantom's atoms, in A: it has detail on every ring."""
MASK = 0.8 * BOX
WHITE = np.ones(BOX // 2 + 1)
COLOURED = coloured().ring_power(BOX, PIXEL)


def view(tilt: float = 60.0, width: float = WIDTH) -> NDArray[np.float32]:
    """Return one view of the phantom, variance 1 over the box, (1, L, L)."""
    image = built_in_phantom(0.6 * BOX * PIXEL, width).project([20.0], [tilt], Poses.identity(1), BOX, PIXEL)
    return (image / image.std()).astype(np.float32)


def particles(n: int, seed: int, tilt: float = 60.0) -> NDArray[np.float32]:
    """Return the view turned at random and shifted by 1.5 px, without noise, (n, L, L)."""
    rng = np.random.default_rng(seed)
    poses = Poses(rng.uniform(-180, 180, n), *rng.normal(0, 1.5, (2, n)))
    phantom = built_in_phantom(0.6 * BOX * PIXEL, WIDTH)
    scale = phantom.project([20.0], [tilt], Poses.identity(1), BOX, PIXEL).std()
    images = phantom.project(np.full(n, 20.0), np.full(n, tilt), poses, BOX, PIXEL)
    return (images / scale).astype(np.float32)


def noise(n: int, seed: int, power: NDArray = WHITE) -> NDArray[np.float32]:
    """Return n noise images."""
    rng = np.random.default_rng(seed)
    return np.stack([noise_image(rng, power, BOX) for _ in range(n)])


def defoci(n: int, seed: int) -> CtfParameters:
    """Return CTFs of n images."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(10000, 25000, n)
    return CtfParameters(300.0, 2.7, 0.1, u, u - 500.0, rng.uniform(0, 180, n))


def look(
    images: NDArray[np.float32],
    references: NDArray[np.float32],
    power: NDArray = WHITE,
    ctf: CtfParameters | None = None,
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Align on low rings and return u, energy, scale and reference of each image."""
    masked, judged = mask_references(references, MASK), judged_references(references, MASK)
    settings = SearchSettings(BOX / 12, MASK / 2 + 2.5, full_rings=BAND_RING, coarse_rings=BAND_RING)
    searcher = Searcher(plan_search(masked, power[None], settings))
    found = []
    images = faded(images, MASK)
    for start in range(0, len(images), 64):
        some = images[start : start + 64]
        here = None if ctf is None else ctf.take(np.arange(start, start + len(some)))
        result = searcher.search(some, coefficients=None if here is None else ctf_coefficients(here, BOX, PIXEL))
        weighted, squares = multiply_by_ctf(some, here, PIXEL)
        aligned = resample(weighted, result.poses)
        products = held_out_products(
            aligned, masked, result.reference, squares, np.repeat(power[None], len(some), 0), BAND_RING + GAP + 1,
            result.scale, judged,
        )  # fmt: skip
        found.append((*products, result.scale, result.reference))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))
