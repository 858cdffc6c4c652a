"""Short cuts for the tests of the search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cryoalign.core.search.search import SearchSettings
from helpers.blobs import degrees_apart, random_blobs


def white(box, variance=1.0):
    return np.full((1, box // 2 + 1), float(variance))


def settings(box, **changes):
    return replace(SearchSettings(0.08 * box, 0.36 * box), **changes)


def particle(box, seed=71):
    return random_blobs(np.random.default_rng(seed), 0.28 * box)


def single(images):
    return np.ascontiguousarray(images, dtype=np.float32)


def search_all(searcher, images, **columns):
    """Search any number of images tile by tile; return a dict of columns, poses unpacked."""
    results = []
    for first in range(0, len(images), 64):
        part = slice(first, first + 64)
        results.append(searcher.search(images[part], **{k: v[part] for k, v in columns.items()}))
    names = ("reference", "score", "margin", "psi_error_deg", "shift_error_px", "scale", "at_limit")
    found = {name: np.concatenate([getattr(r, name) for r in results]) for name in names}
    for name in ("psi", "dx", "dy", "mirror"):
        found[name] = np.concatenate([getattr(r.poses, name) for r in results])
    return found


def errors(found, psi, dx, dy):
    """Return psi errors in degrees and shift errors in pixels of both axes, signed."""
    return degrees_apart(found["psi"], psi), np.concatenate([found["dx"] - dx, found["dy"] - dy])


def noisy(rng, clean, snr):
    """Add white noise at an SNR (variance of the clean image over the noise's); return images and noise variance."""
    variance = clean.var(axis=(1, 2)).mean() / snr
    return single(clean + np.sqrt(variance) * rng.standard_normal(clean.shape)), variance
