"""Rooms of structure: spectra that are known, and graphs with random errors, made from rotations alone."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from cryoalign.classification.affinity import affinity_features, best_affine
from cryoalign.classification.affinity_kernels import pair_angles
from cryoalign.classification.diffusion import Embedding, diffuse
from cryoalign.classification.reweight import reweight
from cryoalign.core.poses import wrap_degrees
from cryoalign.synchronization.edges import EdgeList, undirected

from .results import Room
from .settings import Settings

_NEAREST = 50


def run_structure(settings: Settings) -> Room:
    """The cap graph's exact spectra; rewired graphs (arXiv 1904.07772) as they are and re-weighted; mirrors."""
    room = settings.room("structure")
    _add_cap_graph(room, 5000)
    # (share of good edges, re-weighted, mirrors, bars of the mean angle and of the recall, K and neighbours)
    cases = [
        (0.2, False, False, None, 0.64),
        (0.1, False, False, None, None),
        (0.1, True, False, 8.0, 0.60),
        (0.08, True, False, 30.0, 0.30),
        (0.2, True, True, None, 0.70),
    ]
    for p, weighted, mirrors, angle_bar, recall_bar in cases[:1] + cases[-1:] if settings.quick else cases:
        found = [_measure(p, weighted, mirrors, seed) for seed in settings.seeds]
        view, recall, turn, seconds = (float(np.mean(column)) for column in zip(*found, strict=True))
        label = f"{'mirrored, ' if mirrors else ''}p = {p:g}{', re-weighted' if weighted else ''}"
        room.add(f"{label}: mean angle of the nearest 50, deg", view, angle_bar, note=f"{seconds:.0f} CPU s")
        room.add(f"{label}: recall of the true 50", recall, recall_bar, ">=")
        bar = 0.5 if weighted else None
        room.add(f"{label}: in-plane median on the true 50, deg", turn, bar)
    return room


def _add_cap_graph(room: Room, n: int) -> None:
    frames = _fibonacci(n)
    pairs = KDTree(frames[:, :, 2]).query_pairs(2 * np.sin(np.deg2rad(10)), output_type="ndarray")
    angle = _angle_deg(frames, pairs[:, 0], pairs[:, 1])
    embedding = diffuse(undirected(n, pairs[:, 0], pairs[:, 1], angle), 8, 60, tolerance=1e-2)
    h = 1 - np.cos(np.deg2rad(20))
    i, j = np.random.default_rng(0).integers(0, n, (2, 20_000))
    cosine = (frames[i, :, 2] * frames[j, :, 2]).sum(axis=1)
    value_error, affinity_error = [], []
    for k, values, vectors in zip(embedding.frequency, embedding.eigenvalue, embedding.vector, strict=True):
        top = 2 / (h * (k + 1)) * (1 - (1 - h / 2) ** (k + 1))
        value_error.append(np.abs(values[: 2 * k + 1] - top).max())
        rows = vectors[:, : 2 * k + 1] / np.linalg.norm(vectors[:, : 2 * k + 1], axis=1)[:, None]
        affinity_error.append(np.abs(np.abs((rows[i] * rows[j].conj()).sum(axis=1)) - ((1 + cosine) / 2) ** k).max())
    room.add(f"cap graph, n = {n}, k <= 8: largest error of an eigenvalue", max(value_error), 0.003)
    room.add(f"cap graph, n = {n}, k <= 8: largest error of an affinity", max(affinity_error), 0.02)


def _measure(p: float, weighted: bool, mirrors: bool, seed: int) -> tuple[float, float, float, float]:
    """Return mean view angle, recall, in-plane median on true neighbours, CPU seconds."""
    n, k = (5000, 100) if mirrors else (10_000, 150)
    frames = Rotation.random(n, rng=np.random.default_rng(seed)).as_matrix()
    edges = _rewired(frames, k, p, seed, mirrors)
    start = time.process_time()
    embedding: Embedding = reweight(edges, 10)[1] if weighted else diffuse(edges, 10, tolerance=1e-2)
    found = best_affine(embedding, _NEAREST)
    seconds = time.process_time() - start
    rows = np.repeat(np.arange(n), _NEAREST)
    sign = np.where(found.mirror.ravel(), -1, 1)
    cosine = (frames[rows, :, 2] * frames[found.index.ravel(), :, 2]).sum(axis=1) * sign
    index, flips = _nearest(frames, _NEAREST, mirrors)
    ours, truth = 2 * found.index + found.mirror, 2 * index + flips
    recall = np.mean([np.isin(b, a).mean() for a, b in zip(ours, truth, strict=True)])
    turn = np.zeros(index.shape, np.float32)
    frequency = np.asarray(embedding.frequency, np.int64)
    pair_angles(affinity_features(embedding), frequency, 0, index.astype(np.int32), flips, turn)
    error = np.abs(wrap_degrees(turn.ravel() - _angle_deg(frames, rows, index.ravel(), flips.ravel())))
    view = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
    return float(view), float(recall), float(np.median(error)), seconds


def _fibonacci(n: int) -> NDArray[np.float64]:
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    psi = np.random.default_rng(1).uniform(0, 2 * np.pi, n)
    tilt = np.arccos(1 - (2 * np.arange(n) + 1) / n)
    return Rotation.from_euler("ZYZ", np.stack([azimuth, tilt, psi], axis=1)).as_matrix()


def _angle_deg(frames: NDArray, i: NDArray, j: NDArray, mirror: NDArray | bool = False) -> NDArray:
    """Return psi of the in-plane rotation nearest to what turns frame j's plane into frame i's."""
    m = np.einsum("nca,ncb->nab", frames[i][:, :, :2], frames[j][:, :, :2])
    m[..., 0] *= np.where(mirror, -1, 1)[..., None]
    return np.degrees(np.arctan2(m[:, 1, 0] - m[:, 0, 1], m[:, 0, 0] + m[:, 1, 1]))


def _nearest(frames: NDArray, k: int, mirrors: bool) -> tuple[NDArray, NDArray]:
    """Return the k nearest views of each, and whether the mirrored view is meant."""
    views = frames[:, :, 2]
    found = KDTree(np.concatenate([views, -views]) if mirrors else views).query(views, k + 1)[1][:, 1:]
    return found % len(views), found >= len(views)


def _rewired(frames: NDArray, k: int, p: float, seed: int, mirrors: bool) -> EdgeList:
    """Join nearest views, each pair once; an edge is kept with probability p, else its end and its angle are random."""
    n = len(frames)
    rng = np.random.default_rng(seed)
    index, flips = _nearest(frames, k, mirrors)
    clean = undirected(n, np.repeat(np.arange(n), k), index.ravel(), np.zeros(n * k), flips.ravel())
    i, j, count = clean.i.astype(np.int64), clean.j.astype(np.int64), len(clean)
    bad = rng.uniform(size=count) >= p
    angle = np.where(bad, rng.uniform(-180, 180, count), _angle_deg(frames, i, j, clean.mirror))
    mirror = np.where(bad & mirrors, rng.uniform(size=count) < 0.5, clean.mirror)
    return undirected(n, i, np.where(bad, rng.integers(0, n, count), j), angle, mirror)
